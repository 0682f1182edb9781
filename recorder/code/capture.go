package code

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// session is one capture: the checkout and its submodules share the cap and the sink.
type session struct {
	r       *Resolver
	req     recorder.CodeRequest
	judge   string
	budget  int64 // bytes that may still be captured
	sizes   []sizedPath
	depth   int
	reasons []schema.Reason
}

// state is what was captured of one checkout.
type state struct {
	head       git.Head
	commitTree schema.ObjectID
	tree       schema.ObjectID
	changes    []schema.Change
	dirty      bool
	summary    schema.ChangeSummary
	lfs        []schema.LFSObject
	submodules []schema.Submodule
	excluded   []schema.Exclusion
	remotes    remotes
	on         *schema.OnRemote
	bundle     *schema.BlobRef
}

func (r *Resolver) resolveCheckout(ctx context.Context, req recorder.CodeRequest, repo *git.Repo) (schema.CodePin, error) {
	s := &session{r: r, req: req, budget: r.opts.MaxBytes}
	st, err := s.capture(ctx, repo, "")
	if err != nil {
		return schema.CodePin{}, interrupted(ctx, err)
	}
	pin := schema.CodePin{
		Name: req.Name, Kind: schema.CodeGit, Ref: schema.Text(req.Ref), Commit: st.head.Commit, CommitTree: st.commitTree, Tree: st.tree,
		Root:    &schema.Path{Typed: schema.Text(req.Ref), Base: schema.BaseAbsolute, Located: schema.Text(repo.Root)},
		RefName: schema.Text(st.head.Name), Detached: st.head.Name == "", Shallow: repo.Shallow(), Sparse: repo.Sparse(),
		Remote: st.remotes.chosenURL(st.on), Remotes: st.remotes.clean, LFS: st.lfs, Submodules: st.submodules, OnRemote: st.on, Bundle: st.bundle,
		Excluded: st.excluded, Judge: s.judge, Use: schema.Observed, Origin: schema.Origin{Kind: schema.FromGit, By: s.judge, At: r.now()},
	}
	if pin.Shallow {
		s.reason("shallow-clone", "", "the history was cut off when the repository was cloned")
	}
	if pin.Sparse {
		s.reason("sparse-checkout", "", "files outside of the sparse checkout are taken as committed; a restore writes them too")
	}
	if pin.Commit == "" {
		s.reason("no-commit", schema.Text(st.head.Name), "the branch has no commit yet; the whole checkout is recorded as changes")
	}
	pin.Dirty = st.dirty
	if pin.Dirty {
		if pin.Changes, err = s.putChanges(ctx, st); err != nil {
			return schema.CodePin{}, err
		}
		pin.Summary = &st.summary
	}
	pin.Reasons = s.reasons
	return pin, nil
}

func (s *session) reason(code string, subject schema.Text, text string) {
	r := schema.Reason{Code: code, Subject: subject, Text: text}
	if !slices.Contains(s.reasons, r) {
		s.reasons = append(s.reasons, r)
	}
}

// survey is what the quick looks at a checkout give; a clean one needs nothing more.
type survey struct {
	touched    []git.Touched
	index      *git.Index
	conversion conversion
	commitTree schema.ObjectID
	on         *schema.OnRemote
	tips       []schema.ObjectID // what the remotes are known to have
}

// capture takes the state of one checkout. prefix is its path within the outermost one, "" or ending with a slash.
func (s *session) capture(ctx context.Context, repo *git.Repo, prefix string) (*state, error) {
	head, err := repo.Head()
	if err != nil {
		return nil, unpinnable(repo.Root, err, "")
	}
	excludes, whole := exclusionsIn(repo.Root, s.req.Exclude)
	for _, w := range whole {
		s.reason("exclusion-covers-checkout", schema.Text(w.Path), "the "+w.Why+" holds the whole checkout, which is recorded all the same")
	}
	var ignore []string
	for _, e := range excludes {
		ignore = append(ignore, e.path)
	}
	j, err := s.r.judge(ctx, repo, head, ignore)
	if err != nil {
		return nil, unpinnable(repo.Root, err, "")
	}
	defer j.close()
	s.judge = j.name()
	st := &state{head: head, excluded: present(repo.Root, prefix, excludes), remotes: readRemotes(repo, head)}
	sv, err := s.survey(ctx, j, repo, st)
	if err != nil {
		return nil, err
	}
	st.commitTree, st.on = sv.commitTree, sv.on
	w := &work{session: s, repo: repo, judge: j, prefix: prefix, excludes: excludes, st: st, idSize: repo.HashSize(), conversion: sv.conversion}
	if err := w.run(ctx, sv); err != nil {
		return nil, err
	}
	if head.Commit != "" && (st.on == nil || st.on.State != "yes") {
		if st.bundle, err = s.bundle(ctx, j, repo, head.Commit, sv.tips, prefix); err != nil {
			return nil, err
		}
	}
	sort.Slice(st.excluded, func(i, j int) bool { return st.excluded[i].Path < st.excluded[j].Path })
	st.excluded = slices.Compact(st.excluded)
	return st, nil
}

// survey asks the judge, reads the index and finds the commit on the remotes, all at once.
func (s *session) survey(ctx context.Context, j judge, repo *git.Repo, st *state) (*survey, error) {
	sv := &survey{}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		if sv.touched, err = j.touched(ctx); err != nil {
			return unpinnable(repo.Root, err, "")
		}
		return nil
	})
	g.Go(func() (err error) {
		if sv.index, err = j.index(ctx); err != nil {
			return unpinnable(repo.Root, fmt.Errorf("its index cannot be read: %w", err), "git status; a damaged index is made anew by: rm .git/index && git reset")
		}
		sv.conversion, err = findConversions(repo, sv.index)
		return err
	})
	if st.head.Commit != "" {
		g.Go(func() (err error) {
			if sv.commitTree, err = j.commitTree(ctx, st.head.Commit); err != nil {
				return unpinnable(repo.Root, err, "git fsck tells what is missing")
			}
			return nil
		})
		g.Go(func() (err error) {
			sv.on, sv.tips, err = s.onRemote(ctx, j, repo, st)
			return err
		})
	}
	return sv, g.Wait()
}

// work turns a survey into a state.
type work struct {
	*session
	repo       *git.Repo
	judge      judge
	prefix     string
	excludes   []exclusion
	st         *state
	idSize     int
	conversion conversion
	touched    map[string]git.Touched
	forced     map[string]bool // differ in bytes though git sees no difference
	links      map[string]bool // directories on the way to a path: is one a symbolic link?
	edits      []git.Edit
}

func (w *work) run(ctx context.Context, sv *survey) error {
	w.touched, w.forced, w.links = map[string]git.Touched{}, map[string]bool{}, map[string]bool{}
	for _, t := range sv.touched {
		// A path that left the index and still lies there is listed twice: what the commit has of it is what counts.
		if old, ok := w.touched[t.Path]; ok {
			if old.HeadMode == 0 {
				old, t = t, old
			}
			old.Dropped, old.Directory = false, old.Directory || t.Directory
			t = old
		}
		w.touched[t.Path] = t
	}
	for _, e := range sv.index.Entries {
		if e.AssumeValid || e.SkipWorktree {
			w.addHidden(e)
		}
	}
	if err := w.findConverted(ctx, sv); err != nil {
		return err
	}
	if err := w.findSubmodules(ctx, sv.index); err != nil {
		return err
	}
	paths, err := w.selectPaths(ctx)
	if err != nil {
		return err
	}
	if err := w.captureFiles(ctx, paths); err != nil {
		return err
	}
	return w.finish(ctx)
}

// addHidden looks at a file that git was told not to look at. In a sparse checkout an absent one is as it should be.
func (w *work) addHidden(e git.IndexEntry) {
	if e.Mode == git.ModeSubmodule || e.Mode == git.ModeTree || e.Stage != 0 {
		return
	}
	if _, known := w.touched[e.Path]; known {
		return
	}
	if e.SkipWorktree && w.repo.Sparse() {
		if _, err := os.Lstat(w.abs(e.Path)); err != nil {
			return
		}
	}
	w.touched[e.Path] = git.Touched{Path: e.Path, HeadMode: e.Mode, HeadID: e.ID}
}

func (w *work) abs(rel string) string { return filepath.Join(w.repo.Root, filepath.FromSlash(rel)) }

// selectPaths drops what is no code, refuses what cannot be captured, and gives the rest in order.
func (w *work) selectPaths(ctx context.Context) ([]git.Touched, error) {
	var paths []git.Touched
	var nested []string
	debrisSeen := map[string]bool{}
	for _, p := range sortedKeys(w.touched) {
		t := w.touched[p]
		if _, out := excludedBy(w.excludes, p); out {
			continue
		}
		if t.Untracked && t.HeadMode == 0 {
			if d := debris(w.repo.Root, p+strings.Repeat("/", b2i(t.Directory))); d != "" {
				if !debrisSeen[d] {
					debrisSeen[d] = true
					w.st.excluded = append(w.st.excluded, schema.Exclusion{Path: schema.Text(w.prefix + d), Why: "debris"})
				}
				continue
			}
		}
		if t.Directory {
			nested = append(nested, p)
			continue
		}
		if t.Conflict {
			if err := w.lookupHead(ctx, &t); err != nil {
				return nil, err
			}
		}
		paths = append(paths, t)
	}
	if len(nested) > 0 {
		return nil, unpinnable(w.prefix+nested[0]+"/", fmt.Errorf("a git repository inside of the checkout that is no submodule: its state would not be recorded"),
			fmt.Sprintf("add the line /%s/ to .gitignore if it is no code, declare it with --dataset, or make it a submodule: git submodule add", nested[0]))
	}
	return paths, nil
}

func (w *work) lookupHead(ctx context.Context, t *git.Touched) error {
	if w.st.commitTree == "" {
		return nil
	}
	objects, err := w.judge.objects(ctx)
	if err != nil {
		return err
	}
	e, ok, err := git.LookupTree(objects, w.st.commitTree, t.Path)
	if ok && e.Mode != git.ModeTree {
		t.HeadMode, t.HeadID = e.Mode, e.ID
	}
	return err
}

// finish computes the tree and lists the changes.
func (w *work) finish(ctx context.Context) error {
	st := w.st
	base := st.commitTree
	st.tree = base
	if len(w.edits) > 0 || base == "" {
		var objects git.ObjectReader
		if base != "" {
			var err error
			if objects, err = w.judge.objects(ctx); err != nil {
				return err
			}
		}
		tree, err := git.RewriteTree(objects, base, w.edits, w.idSize)
		if err != nil {
			return unpinnable(w.repo.Root, err, "")
		}
		st.tree = tree
	}
	sort.Slice(st.changes, func(i, j int) bool { return st.changes[i].Path < st.changes[j].Path })
	st.dirty = st.tree != base || len(st.changes) > 0
	for _, sub := range st.submodules {
		st.dirty = st.dirty || sub.Changes != nil
	}
	sort.Slice(st.lfs, func(i, j int) bool { return st.lfs[i].Path < st.lfs[j].Path })
	sort.Slice(st.submodules, func(i, j int) bool { return st.submodules[i].Path < st.submodules[j].Path })
	for _, c := range st.changes {
		st.summary.Bytes += c.Bytes
	}
	return nil
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// linkOnTheWay reports whether a directory on the way to path is a symbolic link: then git has no such path.
func (w *work) linkOnTheWay(p string) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		is, known := w.links[dir]
		if !known {
			info, err := os.Lstat(w.abs(dir))
			is = err == nil && info.Mode()&os.ModeSymlink != 0
			w.links[dir] = is
		}
		if is {
			return true
		}
	}
	return false
}
