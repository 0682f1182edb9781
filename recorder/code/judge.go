package code

import (
	"context"
	"errors"
	"strings"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// judge says how a checkout stands. There are two: the git program and go-git.
type judge interface {
	name() string
	// touched lists the paths that may differ from the commit; hidden edits that the judge sees by itself included.
	touched(ctx context.Context) ([]git.Touched, error)
	index(ctx context.Context) (*git.Index, error)
	objects(ctx context.Context) (git.ObjectReader, error)
	commitTree(ctx context.Context, commit schema.ObjectID) (schema.ObjectID, error)
	// reachable gives the ones of tips from which commit can be reached, at most one of each remote's when there are many.
	reachable(ctx context.Context, commit schema.ObjectID, tips []schema.ObjectID) ([]schema.ObjectID, error)
	close()
}

// programJudge asks the git program, in a scratch directory of ours.
type programJudge struct {
	version string
	scratch *git.Scratch
	repo    *git.Repo
	batch   *git.Batch
}

func (j *programJudge) name() string { return "git " + j.version }

func (j *programJudge) touched(ctx context.Context) ([]git.Touched, error) {
	return j.scratch.Status(ctx)
}

func (j *programJudge) index(ctx context.Context) (*git.Index, error) {
	idx, err := j.repo.ReadIndex()
	if err == nil && (idx.Split || idx.Sparse) {
		return j.scratch.Flagged(ctx)
	}
	return idx, err
}

func (j *programJudge) objects(ctx context.Context) (git.ObjectReader, error) {
	if j.batch == nil {
		batch, err := j.scratch.Objects(ctx)
		if err != nil {
			return nil, err
		}
		j.batch = batch
	}
	return j.batch, nil
}

func (j *programJudge) commitTree(ctx context.Context, commit schema.ObjectID) (schema.ObjectID, error) {
	out, err := j.scratch.Run(ctx, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", string(commit)+"^{tree}")
	if err != nil {
		return "", errors.New("commit " + commit.Short() + " is missing from the repository or damaged")
	}
	return schema.ParseObjectID(strings.TrimSpace(string(out)))
}

func (j *programJudge) reachable(ctx context.Context, commit schema.ObjectID, tips []schema.ObjectID) ([]schema.ObjectID, error) {
	return j.scratch.Containing(ctx, commit, tips)
}

func (j *programJudge) close() {
	if j.batch != nil {
		j.batch.Close()
	}
	j.scratch.Close()
}

// judge opens the judge for a checkout: the git program, or go-git where there is none that can be relied on.
func (r *Resolver) judge(ctx context.Context, repo *git.Repo, head git.Head, ignore []string) (judge, error) {
	p := r.git()
	if p == nil {
		return newLibraryJudge(repo, head)
	}
	asked := make(chan struct{})
	go func() { // the answer takes as long as the scratch directory
		defer close(asked)
		_, _ = p.Version(ctx)
	}()
	s, scratchErr := p.NewScratch(repo, head.Commit, ignore)
	<-asked
	version, err := p.Version(ctx)
	if err != nil {
		if scratchErr == nil {
			s.Close()
		}
		if ctx.Err() != nil {
			return nil, err
		}
		return newLibraryJudge(repo, head)
	}
	if scratchErr != nil {
		return nil, scratchErr
	}
	return &programJudge{version: version, scratch: s, repo: repo}, nil
}
