package git

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// LsRemote lists the refs that a remote advertises, HEAD included; a peeled tag (name^{}) takes the place of the tag object. dir is what a
// relative path is relative to.
func (p *Program) LsRemote(ctx context.Context, dir, url string) ([]NamedRef, error) {
	if err := CheckURL(url); err != nil {
		return nil, err
	}
	out, err := p.Output(ctx, Call{Args: []string{"ls-remote", "--quiet", "--", url}, Dir: dir, Network: true})
	if err != nil {
		return nil, err
	}
	var refs []NamedRef
	for line := range strings.SplitSeq(string(out), "\n") {
		if line == "" {
			continue
		}
		id, name, ok := strings.Cut(line, "\t")
		oid, err := schema.ParseObjectID(id)
		if !ok || err != nil {
			return nil, fmt.Errorf("git ls-remote says %q", schema.Shorten(line, 120))
		}
		if tag, peeled := strings.CutSuffix(name, "^{}"); peeled && len(refs) > 0 && refs[len(refs)-1].Name == tag {
			refs[len(refs)-1].ID = oid
			continue
		}
		refs = append(refs, NamedRef{name, oid})
	}
	return refs, nil
}

// FetchAll fetches what all refs of a remote reach, into refs/remote/: commits alone where the remote can send them so. have, if not "",
// is a commit that need not be sent.
func (s *Scratch) FetchAll(ctx context.Context, url string, have schema.ObjectID) error {
	if err := CheckURL(url); err != nil {
		return err
	}
	if have != "" {
		if _, err := s.Run(ctx, nil, "update-ref", "refs/have/commit", string(have)); err != nil {
			return err
		}
	}
	err := s.Fetch(ctx, "--force", "--filter=tree:0", "--", url, "+refs/*:refs/remote/*")
	if err != nil && ctx.Err() == nil {
		err = s.Fetch(ctx, "--force", "--", url, "+refs/*:refs/remote/*")
	}
	return err
}

// FetchCommit fetches one commit and its files without history. A remote that does not hand out commits by id is asked for all its refs.
func (s *Scratch) FetchCommit(ctx context.Context, url string, commit schema.ObjectID, filter string) error {
	if err := CheckURL(url); err != nil {
		return err
	}
	args := []string{"--depth=1", "--force"}
	if filter != "" {
		args = append(args, "--filter="+filter)
	}
	first := s.Fetch(ctx, append(args, "--", url, string(commit)+":refs/fetched/"+string(commit))...)
	if first == nil || ctx.Err() != nil {
		return first
	}
	// "not our ref": it looked the commit up by its id and has none. Other refusals are about asking by id.
	if call := (*CallError)(nil); errors.As(first, &call) && strings.Contains(call.Text, "not our ref "+string(commit)) {
		return fmt.Errorf("the remote does not have commit %s: %w", commit.Short(), ErrMissing)
	}
	all := []string{"--force"}
	if filter != "" {
		all = append(all, "--filter="+filter)
	}
	if err := s.Fetch(ctx, append(all, "--", url, "+refs/*:refs/remote/*")...); err != nil {
		return err
	}
	if _, err := s.Run(ctx, nil, "cat-file", "-e", string(commit)+"^{commit}"); err != nil {
		return fmt.Errorf("the remote does not have commit %s: %w", commit.Short(), ErrMissing)
	}
	return nil
}
