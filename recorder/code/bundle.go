package code

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// bundle stores the commits that no remote has. Its pack is not thin, so that it can be read where the commits it builds on are had without
// their history. Beyond the cap the commit alone, with all its files, is stored; beyond the cap even so, the run is refused. So it is when
// one of them holds a secret.
func (s *session) bundle(ctx context.Context, j judge, repo *git.Repo, commit schema.ObjectID, tips []schema.ObjectID, prefix string) (*schema.BlobRef, error) {
	if s.req.Sink == nil {
		return nil, nil
	}
	p := j.(packer)
	f, err := os.CreateTemp("", "runpin-bundle-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	limited := &cappedWriter{w: f, left: s.r.opts.MaxBundle}
	prerequisites, err := p.pack(ctx, limited, commit, tips, false)
	if err == nil {
		err = s.searchPacked(ctx, j, p, commit, tips, false, prefix)
	}
	if limited.over || errors.Is(err, errScanLimit) {
		why := "are larger than " + humanBytes(s.r.opts.MaxBundle)
		if !limited.over {
			why = "hold more than the " + humanBytes(s.r.opts.maxScanned) + " that are searched for secrets"
		}
		s.reason("bundle-snapshot", schema.Text(prefix), "the commits that no remote has "+why+"; only the files of this commit are kept")
		if err := f.Truncate(0); err != nil {
			return nil, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		limited = &cappedWriter{w: f, left: s.r.opts.MaxBundle}
		if prerequisites, err = p.pack(ctx, limited, commit, nil, true); err == nil {
			err = s.searchPacked(ctx, j, p, commit, nil, true, prefix)
		}
	}
	if limited.over {
		return nil, unpinnable(repo.Root, fmt.Errorf("commit %s is on no remote, and its files hold more than the %s that a record keeps", commit.Short(), humanBytes(s.r.opts.MaxBundle)),
			"git push, so that the record can name the remote")
	}
	if schema.IsKind(err, schema.Unpinnable) {
		return nil, err // a secret
	}
	if err != nil {
		return nil, unpinnable(repo.Root, fmt.Errorf("the commits that no remote has cannot be packed: %w", err), "git push, so that the record can name the remote")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	ref, err := s.req.Sink.PutBlob(ctx, schema.BlobBundle, io.MultiReader(strings.NewReader(bundleHeader(commit, prerequisites)), f))
	return &ref, err
}

// packer is what a judge can pack. eachPacked lists the commits and files of the pack that pack has just written for the same arguments, and
// stops at the first error of visit.
type packer interface {
	pack(ctx context.Context, w io.Writer, commit schema.ObjectID, tips []schema.ObjectID, alone bool) (prerequisites []schema.ObjectID, err error)
	eachPacked(ctx context.Context, commit schema.ObjectID, tips []schema.ObjectID, alone bool, visit func(packed) error) error
}

// bundleHeader writes what stands before the pack of a bundle (gitformat-bundle).
func bundleHeader(commit schema.ObjectID, prerequisites []schema.ObjectID) string {
	var b strings.Builder
	if git.IDSize(commit) == 32 {
		b.WriteString("# v3 git bundle\n@object-format=sha256\n")
	} else {
		b.WriteString("# v2 git bundle\n")
	}
	for _, p := range prerequisites {
		b.WriteString("-" + string(p) + " \n")
	}
	b.WriteString(string(commit) + " HEAD\n\n")
	return b.String()
}

// readBundleHeader reads it back and leaves r at the pack.
func readBundleHeader(r *bufio.Reader) (commits, prerequisites []schema.ObjectID, err error) {
	for n := 0; ; n++ {
		line, err := r.ReadString('\n')
		if err != nil || n > 1<<20 {
			return nil, nil, errors.New("not a git bundle")
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case n == 0:
			if line != "# v2 git bundle" && line != "# v3 git bundle" {
				return nil, nil, errors.New("not a git bundle")
			}
		case line == "":
			return commits, prerequisites, nil
		case line[0] == '@':
			if line != "@object-format=sha256" && line != "@object-format=sha1" {
				return nil, nil, fmt.Errorf("the bundle needs %q", schema.Shorten(line, 80))
			}
		default:
			text, isPrerequisite := strings.CutPrefix(line, "-")
			text, _, _ = strings.Cut(text, " ")
			id, err := schema.ParseObjectID(text)
			if err != nil {
				return nil, nil, err
			}
			if isPrerequisite {
				prerequisites = append(prerequisites, id)
			} else {
				commits = append(commits, id)
			}
		}
	}
}

func (j *programJudge) pack(ctx context.Context, w io.Writer, commit schema.ObjectID, tips []schema.ObjectID, alone bool) ([]schema.ObjectID, error) {
	return j.scratch.Pack(ctx, w, commit, tips, alone)
}

// cappedWriter fails once more than left bytes are written.
type cappedWriter struct {
	w    io.Writer
	left int64
	over bool
}

var errOverCap = errors.New("larger than the cap")

func (c *cappedWriter) Write(p []byte) (int, error) {
	if c.left -= int64(len(p)); c.left < 0 {
		c.over = true
		return 0, errOverCap
	}
	return c.w.Write(p)
}
