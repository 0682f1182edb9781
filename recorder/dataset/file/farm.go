package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/runpin/runpin/schema"
)

// farm shows a data set of another directory without its bytes: real directories, in which each file is a link to the original. A command
// that makes, renames or removes files below it works in these directories and not in the original. What it opens for writing through a
// link is the original: only a copy guards against that, and [Backend.Check] finds it afterwards.
type farm struct {
	ctx    context.Context
	tree   *tree
	source string // the directory that was proved, absolute and without links
	dest   string // where the root is made; nothing is there yet
	meter  meter
	dirs   map[*node]map[string]*entry // directories and links to them, by name, where a link was followed
}

// patch is some entries of one directory.
type patch struct {
	n      *node
	lo, hi int
}

// newFarm is for a tree that compare has just read, so that nothing is read again.
func newFarm(ctx context.Context, t *tree, source, dest, what string, progress schema.Progress) *farm {
	return &farm{ctx: ctx, tree: t, source: source, dest: dest, meter: meter{to: progress, what: what, count: t.files}, dirs: map[*node]map[string]*entry{}}
}

// build makes everything. On failure it leaves what it made, all of it at dest.
func (f *farm) build(workers int) error {
	var patches []patch
	if err := f.directories(f.tree.root, &patches); err != nil {
		return err
	}
	if err := f.files(patches, workers); err != nil {
		return err
	}
	return f.directoryLinks([]*node{f.tree.root})
}

// directories makes n and the directories below it, and gathers what is to be linked in them.
func (f *farm) directories(n *node, patches *[]patch) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if err := os.Mkdir(below(f.dest, n.path), 0o777); err != nil {
		return err
	}
	for lo := 0; lo < len(n.entries); lo += chunkFiles {
		*patches = append(*patches, patch{n, lo, min(lo+chunkFiles, len(n.entries))})
	}
	for i := range n.entries {
		if e := &n.entries[i]; e.isDirectory() {
			if err := f.directories(e.sub, patches); err != nil {
				return err
			}
		}
	}
	return nil
}

// files links the files, with several workers. The first failure ends it.
func (f *farm) files(patches []patch, workers int) error {
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		group.Go(func() {
			s := &scratch{}
			for {
				i := next.Add(1) - 1
				if i >= int64(len(patches)) {
					return
				}
				if err := f.patch(patches[i], s); err != nil {
					next.Store(int64(len(patches)))
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	f.meter.end()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (f *farm) patch(p patch, s *scratch) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	from, to := below(f.source, p.n.path), below(f.dest, p.n.path)
	for i := p.lo; i < p.hi; i++ {
		if e := &p.n.entries[i]; e.kind == kindFile {
			if err := os.Symlink(below(from, e.name), below(to, e.name)); err != nil {
				return err
			}
			s.files++
		}
	}
	f.meter.add(s, false)
	return nil
}

// directoryLinks makes the links to directories, whose text is part of the data set. The text is kept where it means the same here: where it
// is absolute, and where it leads to a directory of the data set, which is then the one below dest. A relative link that leads out of the
// data set becomes a link to the directory it leads to: its text, and so the sidecar digest, is another than that of the original. What a
// command writes through a link that leads out arrives there, as it did in the run that was recorded.
func (f *farm) directoryLinks(at []*node) error {
	n := at[len(at)-1]
	for i := range n.entries {
		e := &n.entries[i]
		var err error
		switch {
		case e.isDirectory():
			err = f.directoryLinks(append(at, e.sub))
		case e.kind == kindDirLink:
			err = f.directoryLink(at, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *farm) directoryLink(at []*node, e *entry) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	text := filepath.FromSlash(e.target)
	if !filepath.IsAbs(text) {
		links := maxLinks
		if _, inside := f.follow(at, e.target, &links); !inside {
			resolved, err := filepath.EvalSymlinks(below(f.source, at[len(at)-1].below(e.name)))
			if err != nil {
				return err
			}
			text = resolved
		}
	}
	return os.Symlink(text, below(f.dest, at[len(at)-1].below(e.name)))
}

// maxLinks is how many links the system follows in one path (path_resolution(7)).
const maxLinks = 40

// follow walks a relative link text through the data set as the system would: from the directory at the end of at, which lists it and all
// above it. It reports false where the text leaves the data set.
func (f *farm) follow(at []*node, text string, links *int) ([]*node, bool) {
	if *links--; *links < 0 || filepath.IsAbs(filepath.FromSlash(text)) {
		return nil, false
	}
	at = at[:len(at):len(at)]
	for part := range strings.SplitSeq(text, "/") {
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 1 {
				return nil, false
			}
			at = at[: len(at)-1 : len(at)-1]
			continue
		}
		e := f.lookup(at[len(at)-1], part)
		switch {
		case e == nil:
			return nil, false
		case e.kind == kindDirLink:
			var inside bool
			if at, inside = f.follow(at, e.target, links); !inside {
				return nil, false
			}
		default:
			at = append(at, e.sub)
		}
	}
	return at, true
}

func (f *farm) lookup(n *node, name string) *entry {
	names, known := f.dirs[n]
	if !known {
		names = map[string]*entry{}
		for i := range n.entries {
			if e := &n.entries[i]; e.isDirectory() || e.kind == kindDirLink {
				names[e.name] = e
			}
		}
		f.dirs[n] = names
	}
	return names[name]
}

func (e *entry) isDirectory() bool { return e.kind == kindDir || e.kind == kindEmptyDir }

// below joins a path of the system and one of a data set. Names are bytes: nothing is cleaned.
func below(root, rel string) string {
	if rel == "" {
		return root
	}
	if os.IsPathSeparator(root[len(root)-1]) {
		return root + filepath.FromSlash(rel)
	}
	return root + string(filepath.Separator) + filepath.FromSlash(rel)
}

var errInSource = errors.New("it lies in the data set's own directory, in which nothing is made")

// outside refuses a place in the source, by whatever links it is reached.
func outside(source, dest string) error {
	own, err := os.Stat(source)
	if err != nil || !own.IsDir() {
		return nil // what is wrong with the source is said when it is read
	}
	dir := filepath.Dir(dest)
	for { // down to what exists
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
			break
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
	for {
		if info, err := os.Stat(dir); err == nil && os.SameFile(info, own) {
			return errInSource
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}
