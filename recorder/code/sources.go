package code

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// source is where the commit of a pin, or of one of its submodules, may be had.
type source struct {
	commit schema.ObjectID
	clone  string // where the checkout was recorded, "" when unknown
	bundle *schema.BlobRef
	urls   []string // best first
}

func sourceOf(pin schema.CodePin) source {
	s := source{commit: pin.Commit, bundle: pin.Bundle}
	if pin.Root != nil {
		s.clone = string(pin.Root.Located)
	}
	s.urls = append(s.urls, pin.Remote)
	names := make([]string, 0, len(pin.Remotes))
	for name := range pin.Remotes {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		s.urls = append(s.urls, pin.Remotes[name])
	}
	s.urls = usable(s.urls)
	return s
}

func sourceOfSubmodule(pin schema.CodePin, sub schema.Submodule) source {
	s := source{commit: sub.Commit, bundle: sub.Bundle, urls: usable([]string{sub.URL})}
	if pin.Root != nil && pin.Root.Located != "" {
		s.clone = filepath.Join(string(pin.Root.Located), filepath.FromSlash(string(sub.Path)))
	}
	return s
}

func usable(urls []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, u := range urls {
		if !seen[u] && git.CheckURL(u) == nil {
			seen[u] = true
			out = append(out, u)
		}
	}
	return out
}

// cloneObjects gives the object directories of the repository at dir, nil when there is none.
func cloneObjects(dir string, idSize int) []string {
	if !filepath.IsAbs(dir) {
		return nil
	}
	repo, err := git.Open(dir)
	if err != nil || repo.HashSize() != idSize {
		return nil
	}
	return repo.ObjectDirs()
}

// found says how a commit can be had: How is what an [schema.Availability] says.
type found struct {
	how     string
	err     error    // why not, when how is ""
	net     bool     // err comes from a remote that did not answer: it may be had all the same
	objects []string // object directories that have it, for "object-present"
	trees   bool     // its trees were at hand, and were read into memory
}

// key names a question about a source: two with the same key have the same answer.
func (s source) key() string {
	parts := append([]string{string(s.commit), s.clone}, s.urls...)
	if s.bundle != nil {
		parts = append(parts, string(s.bundle.Digest), "bundle")
	}
	return strings.Join(parts, "\x00")
}

// locate finds out whether the commit can be had: in the clone, then in the bundle, then from the remotes. Nothing is written but to a temporary
// directory.
func (r *Resolver) locate(ctx context.Context, p *git.Program, src source, blobs schema.BlobSource) found {
	return r.asked.commits.get(ctx, r.opts.Remember, src.key(), func() found { return r.look(ctx, p, src, blobs) })
}

func (r *Resolver) look(ctx context.Context, p *git.Program, src source, blobs schema.BlobSource) found {
	idSize := git.IDSize(src.commit)
	objects := cloneObjects(src.clone, idSize)
	if len(objects) > 0 {
		if s, err := p.NewStore(idSize, objects); err == nil {
			complete := s.Complete(ctx, src.commit)
			s.Close()
			if complete {
				return found{how: "object-present", objects: objects}
			}
		}
	}
	if src.bundle != nil && blobs != nil {
		f, err := r.lookInBundle(ctx, p, src, blobs)
		if err == nil {
			return f
		}
		if len(src.urls) == 0 {
			return found{err: err, net: schema.IsKind(err, schema.Unavailable)}
		}
	}
	return r.askRemotes(ctx, p, src)
}

// remotesAtOnce is how many remotes are asked about one commit at the same time.
const remotesAtOnce = 4

// askRemotes looks for the commit in its remotes at the same time, so that one that says nothing does not hold up the others. The one that a restore would try first is
// alone for a moment: mostly it has the commit, and nobody else need be bothered. The first that has it will do, and the rest are asked no further. When none has it, one
// that did not answer stands over the word of those that have not, because it may have the commit.
func (r *Resolver) askRemotes(ctx context.Context, p *git.Program, src source) found {
	ctx, enough := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait() // they end their processes, and remove what is temporary
	defer enough()
	slots := make(chan struct{}, remotesAtOnce)
	answers := make([]found, len(src.urls))
	said := make(chan int, len(src.urls))
	asked := 0
	ask := func() {
		i := asked
		asked++
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i] = r.locateRemote(ctx, p, src.commit, src.urls[i])
			said <- i
		})
	}
	if len(src.urls) > 0 {
		ask()
	}
	alone := time.NewTimer(r.opts.firstAlone)
	defer alone.Stop()
	for heard := 0; heard < len(src.urls); {
		select {
		case i := <-said:
			if answers[i].how != "" {
				return answers[i]
			}
			heard++
		case <-alone.C:
		}
		for asked < len(src.urls) {
			ask()
		}
	}
	result := found{err: fmt.Errorf("commit %s is in no repository that the record names", src.commit.Short())}
	for _, f := range answers {
		if !result.net {
			result = f
		}
	}
	return result
}

// lookInBundle proves that the bundle is whole, by unpacking it, and that the commits it builds on can be had. An error is about the bundle itself.
func (r *Resolver) lookInBundle(ctx context.Context, p *git.Program, src source, blobs schema.BlobSource) (found, error) {
	cannot := func(err error) error { return fmt.Errorf("the bundle of its commits cannot be read: %w", err) }
	prerequisites, err := readBundle(ctx, blobs, *src.bundle, nil)
	if err != nil {
		return found{}, cannot(err)
	}
	for _, id := range prerequisites {
		f := r.locate(ctx, p, source{commit: id, clone: src.clone, urls: src.urls}, nil)
		if f.how == "" {
			f.err = fmt.Errorf("the kept commits build on %s: %w", id.Short(), f.err)
			return f, nil
		}
	}
	s, err := p.NewStore(git.IDSize(src.commit), nil)
	if err != nil {
		return found{err: err, net: true}, nil
	}
	defer s.Close()
	if _, err := readBundle(ctx, blobs, *src.bundle, func(pack io.Reader) error { return s.IndexPack(ctx, pack) }); err != nil {
		return found{}, cannot(err)
	}
	if len(prerequisites) == 0 && !s.Complete(ctx, src.commit) {
		return found{}, fmt.Errorf("the bundle does not hold all of commit %s", src.commit.Short())
	}
	r.asked.trees.keepTrees(ctx, s, src.commit)
	return found{how: "bundle", trees: true}, nil
}

func (r *Resolver) locateRemote(ctx context.Context, p *git.Program, commit schema.ObjectID, url string) found {
	remote := r.advertised(ctx, p, url)
	if ctx.Err() != nil {
		return found{err: ctx.Err(), net: true}
	}
	if remote.err != nil {
		return found{err: fmt.Errorf("remote %s: %w", git.CleanURL(url), remote.err), net: !isAbsent(remote.err)}
	}
	if remote.ids[commit] {
		return found{how: "ls-remote"}
	}
	s, err := p.NewStore(git.IDSize(commit), nil)
	if err != nil {
		return found{err: err, net: true}
	}
	defer s.Close()
	err = r.asked.atHost(ctx, url, func() error {
		if r.opts.Remember && r.asked.silent(url) {
			return fmt.Errorf("it left %d questions in a row without an answer, and is not asked again", maxFailed)
		}
		limited, cancel := context.WithTimeout(ctx, r.opts.NetworkTime)
		defer cancel()
		err := s.FetchCommit(limited, url, commit, "blob:none")
		if ctx.Err() == nil { // else it was not let finish
			r.asked.answered(url, err == nil || isAbsent(err) || isDenied(err))
		}
		return err
	})
	switch {
	case err == nil:
	case isAbsent(err):
		return found{err: fmt.Errorf("remote %s no longer has commit %s", git.CleanURL(url), commit.Short())}
	default:
		return found{err: fmt.Errorf("remote %s did not say whether it has commit %s: %w", git.CleanURL(url), commit.Short(), err), net: true}
	}
	r.asked.trees.keepTrees(ctx, s, commit)
	return found{how: "fetched", trees: true}
}

// advertised lists what a remote has, once for all commits that are looked for there.
func (r *Resolver) advertised(ctx context.Context, p *git.Program, url string) advertised {
	return r.asked.refs.get(ctx, r.opts.Remember, url, func() (a advertised) {
		a.err = r.asked.atHost(ctx, url, func() error {
			ctx, cancel := context.WithTimeout(ctx, r.opts.NetworkTime)
			defer cancel()
			refs, err := p.LsRemote(ctx, "", url)
			a.ids = make(map[schema.ObjectID]bool, len(refs))
			for _, ref := range refs {
				a.ids[ref.ID] = true
			}
			return err
		})
		return a
	})
}

// readBundle reads a bundle's header, and hands its pack to take unless that is nil.
func readBundle(ctx context.Context, blobs schema.BlobSource, ref schema.BlobRef, take func(io.Reader) error) ([]schema.ObjectID, error) {
	if blobs == nil {
		return nil, errors.New("there is no store to read it from")
	}
	rc, err := blobs.OpenBlob(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	br := bufio.NewReader(rc)
	_, prerequisites, err := readBundleHeader(br)
	if err != nil || take == nil {
		return prerequisites, err
	}
	return prerequisites, take(br)
}

// obtain puts the commit and its files into store, from the first source that has them.
func (r *Resolver) obtain(ctx context.Context, p *git.Program, src source, blobs schema.BlobSource, store *git.Scratch) error {
	idSize := git.IDSize(src.commit)
	if copied, err := copyCommit(ctx, cloneObjects(src.clone, idSize), src.commit, store); copied || ctx.Err() != nil {
		return err
	}
	var failures []error
	if src.bundle != nil {
		err := r.unbundle(ctx, p, src, blobs, store)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failures = append(failures, err)
	}
	for _, url := range src.urls {
		err := r.whileItComes(ctx, store, func(ctx context.Context) error { return store.FetchCommit(ctx, url, src.commit, "") })
		if err == nil && !store.Complete(ctx, src.commit) {
			err = fmt.Errorf("commit %s came incomplete", src.commit.Short())
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		failures = append(failures, fmt.Errorf("remote %s: %w", git.CleanURL(url), err))
	}
	kind := schema.Gone
	for _, err := range failures {
		if !isAbsent(err) && !schema.IsKind(err, schema.Gone) {
			kind = schema.Unavailable
		}
	}
	return &schema.Error{Op: "code.restore", Kind: kind, Subject: "commit " + string(src.commit), Err: errors.Join(append(failures, errors.New("it cannot be had"))...),
		Hint: "a clone that still has it can be given back to its old place, or the commit pushed to a remote of the record"}
}

// unbundle puts the bundle's objects into store, after the commits that it builds on.
func (r *Resolver) unbundle(ctx context.Context, p *git.Program, src source, blobs schema.BlobSource, store *git.Scratch) error {
	prerequisites, err := readBundle(ctx, blobs, *src.bundle, nil)
	if err != nil {
		return fmt.Errorf("the bundle of its commits cannot be read: %w", err)
	}
	for _, id := range prerequisites {
		if err := r.obtain(ctx, p, source{commit: id, clone: src.clone, urls: src.urls}, blobs, store); err != nil {
			return err
		}
	}
	if _, err := readBundle(ctx, blobs, *src.bundle, func(pack io.Reader) error { return store.IndexPack(ctx, pack) }); err != nil {
		return fmt.Errorf("the bundle of its commits cannot be read: %w", err)
	}
	if !store.Complete(ctx, src.commit) {
		return fmt.Errorf("the bundle does not hold all of commit %s", src.commit.Short())
	}
	return nil
}

// copyCommit copies a commit with its files, not its history, out of a clone. The clone is read through its object directories alone. What it gives is
// not checked for being whole, nor for being what its ids say: the checkout and the proof of its tree do both.
func copyCommit(ctx context.Context, objectDirs []string, commit schema.ObjectID, store *git.Scratch) (copied bool, err error) {
	if len(objectDirs) == 0 {
		return false, nil
	}
	if err := store.PackFrom(ctx, objectDirs, commit); err != nil {
		return false, err
	}
	return true, nil
}
