package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Init makes dir a new repository of ours: no hooks, no user's settings, line endings as committed. The result acts on it as a scratch
// directory would, with dir as its checkout.
func (p *Program) Init(ctx context.Context, dir string, idSize int) (*Scratch, error) {
	args := []string{"init", "--quiet", "--template="}
	if idSize == 32 {
		args = append(args, "--object-format=sha256")
	}
	if _, err := p.Output(ctx, Call{Args: append(args, "--", dir)}); err != nil {
		return nil, err
	}
	s := &Scratch{Dir: filepath.Join(dir, ".git"), program: p, repo: &Repo{Root: dir, Dir: filepath.Join(dir, ".git"), Common: filepath.Join(dir, ".git")}}
	return s, s.configure("[core]\n\tautocrlf = false\n\teol = lf\n\tsafecrlf = false\n[gc]\n\tauto = 0\n")
}

// CheckOut writes the commit's files and leaves HEAD detached on it. Refs under which it was fetched are dropped.
func (s *Scratch) CheckOut(ctx context.Context, commit schema.ObjectID) error {
	if err := s.CutHistory(commit); err != nil {
		return err
	}
	if err := s.write("HEAD", string(commit)+"\n"); err != nil {
		return err
	}
	workers := "checkout.workers=" + strconv.Itoa(max(1, runtime.GOMAXPROCS(0)))
	if _, err := s.Run(ctx, nil, "-c", workers, "-c", "checkout.thresholdForParallelism=500", "read-tree", "--reset", "-u", string(commit)); err != nil {
		return err
	}
	for _, name := range []string{"refs/fetched", "refs/remote", "packed-refs"} {
		if err := os.RemoveAll(filepath.Join(s.Dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	return nil
}

// SetUnborn points HEAD at a branch without commits.
func (s *Scratch) SetUnborn(name string) error {
	if !strings.HasPrefix(name, "refs/heads/") || !safeRefName(name) {
		name = "refs/heads/main"
	}
	return s.write("HEAD", "ref: "+name+"\n")
}

// SetRemote names the remote origin, without fetching.
func (s *Scratch) SetRemote(url string) error {
	if err := CheckURL(url); err != nil {
		return err
	}
	return s.configure("[remote \"origin\"]\n\turl = " + quoteConfig(url) + "\n")
}

// configure adds to the configuration of a repository of ours.
func (s *Scratch) configure(text string) error {
	f, err := os.OpenFile(filepath.Join(s.Dir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// CleanIDs gives the ids of the objects that git would make of files, with git's own conversions and no filter driver.
func (s *Scratch) CleanIDs(ctx context.Context, paths []string) ([]schema.ObjectID, error) {
	var in strings.Builder
	for _, p := range paths {
		in.WriteString(quoteC(p) + "\n")
	}
	out, err := s.Run(ctx, strings.NewReader(in.String()), "hash-object", "--stdin-paths")
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(out))
	if len(lines) != len(paths) {
		return nil, fmt.Errorf("git hash-object answered %d of %d", len(lines), len(paths))
	}
	ids := make([]schema.ObjectID, len(lines))
	for i, l := range lines {
		if ids[i], err = schema.ParseObjectID(l); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
