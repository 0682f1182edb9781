package code

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// libraryJudge looks at a checkout without the git program. Objects are read by go-git; every file is hashed, because go-git's own status
// trusts times that it reads differently from git and knows neither core.excludesFile nor conversions (go-git #436).
type libraryJudge struct {
	repo *git.Repo
	head git.Head
	lib  *git.Library
}

func newLibraryJudge(repo *git.Repo, head git.Head) (judge, error) {
	if repo.Sparse() {
		return nil, errors.New("a sparse checkout can be captured with the git program only; install git")
	}
	lib, err := git.OpenLibrary(repo)
	if err != nil {
		return nil, err
	}
	return &libraryJudge{repo: repo, head: head, lib: lib}, nil
}

func (j *libraryJudge) name() string { return "go-git " + libraryVersion() }

func (j *libraryJudge) index(ctx context.Context) (*git.Index, error) {
	idx, err := j.repo.ReadIndex()
	if err == nil && (idx.Split || idx.Sparse) {
		return nil, errors.New("a split or sparse index can be read with the git program only; install git")
	}
	return idx, err
}

func (j *libraryJudge) objects(context.Context) (git.ObjectReader, error) { return j.lib, nil }

func (j *libraryJudge) commitTree(_ context.Context, commit schema.ObjectID) (schema.ObjectID, error) {
	tree, _, err := git.CommitTree(j.lib, commit)
	return tree, err
}

func (j *libraryJudge) close() { j.lib.Close() }

// refuseConversions: what go-git judges by bytes alone would be wrong where filters or line endings come between.
func (j *libraryJudge) refuseConversions(w *work) error {
	return unpinnable(j.repo.Root, errors.New("its files are converted between commit and checkout (.gitattributes, core.autocrlf): that takes the git program"), "install git")
}

// maxPaths bounds what is flattened in memory.
const maxPaths = 5_000_000

func (j *libraryJudge) touched(ctx context.Context) ([]git.Touched, error) {
	idx, err := j.index(ctx)
	if err != nil {
		return nil, err
	}
	committed := map[string]git.TreeEntry{}
	if j.head.Commit != "" {
		tree, err := j.commitTree(ctx, j.head.Commit)
		if err != nil {
			return nil, err
		}
		entries, err := git.FlattenTree(j.lib, tree, maxPaths)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			committed[e.Name] = e
		}
	}
	tracked, modules := map[string]bool{}, map[string]bool{}
	var look []git.Touched
	for _, e := range idx.Entries {
		if tracked[e.Path] {
			continue
		}
		tracked[e.Path] = true
		c := committed[e.Path]
		t := git.Touched{Path: e.Path, HeadMode: c.Mode, HeadID: c.ID}
		if e.Mode == git.ModeSubmodule {
			modules[e.Path] = true
			if sub, err := git.Open(filepath.Join(j.repo.Root, filepath.FromSlash(e.Path))); err == nil {
				if h, err := sub.Head(); err == nil && h.Commit == c.ID {
					continue
				}
			} else if e.ID == c.ID {
				continue
			}
		}
		look = append(look, t)
	}
	var list []git.Touched
	for p, c := range committed {
		if !tracked[p] {
			list = append(list, git.Touched{Path: p, HeadMode: c.Mode, HeadID: c.ID, Dropped: true})
		}
	}
	// A path behind a directory that became a link is no path of the checkout, whatever the link leads to.
	links := &work{repo: j.repo, links: map[string]bool{}}
	same := make([]bool, len(look))
	behind := make([]bool, len(look))
	for i, t := range look {
		behind[i] = links.linkOnTheWay(t.Path)
	}
	parallel(len(look), func(i int) { same[i] = ctx.Err() == nil && !behind[i] && j.unchanged(look[i]) })
	for i, t := range look {
		if !same[i] {
			list = append(list, t)
		}
	}
	untracked, err := j.untracked(ctx, tracked, modules)
	return append(list, untracked...), errors.Join(err, ctx.Err())
}

// unchanged reports whether the file is what the commit has. Anything odd is left to the closer look.
func (j *libraryJudge) unchanged(t git.Touched) bool {
	p := filepath.Join(j.repo.Root, filepath.FromSlash(t.Path))
	info, err := os.Lstat(p)
	switch {
	case err != nil || t.HeadMode == git.ModeSubmodule:
		return false
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(p)
		return err == nil && t.HeadMode == git.ModeLink && git.HashObject("blob", []byte(target), 20) == t.HeadID
	case !info.Mode().IsRegular() || t.HeadMode != git.ModeFile && t.HeadMode != git.ModeExec:
		return false
	}
	if fileMode, ok := j.repo.Config.Get("core.filemode"); !ok || isTrue(fileMode) {
		if (info.Mode()&0o100 != 0) != (t.HeadMode == git.ModeExec) {
			return false
		}
	}
	f, err := openNoFollow(p)
	if err != nil {
		return false
	}
	defer f.Close()
	h := git.Hasher("blob", info.Size(), 20)
	n, err := io.Copy(h, f)
	return err == nil && n == info.Size() && hex.EncodeToString(h.Sum(nil)) == string(t.HeadID)
}

// untracked walks the checkout as git does: an ignored directory is not entered, and a repository of its own is named and not entered.
func (j *libraryJudge) untracked(ctx context.Context, tracked, modules map[string]bool) ([]git.Touched, error) {
	var outside []git.IgnorePattern
	file, ok := j.repo.Config.Get("core.excludesfile")
	if !ok {
		file = defaultExcludes()
	}
	if strings.HasPrefix(file, "~/") {
		home, _ := os.UserHomeDir()
		file = home + file[1:]
	}
	if b, err := os.ReadFile(file); err == nil {
		outside = append(outside, git.ParseIgnore(b, "")...)
	}
	if b, err := os.ReadFile(filepath.Join(j.repo.Common, "info", "exclude")); err == nil {
		outside = append(outside, git.ParseIgnore(b, "")...)
	}
	dirs := map[string]bool{} // directories with tracked files
	for p := range tracked {
		for i := strings.LastIndexByte(p, '/'); i > 0; i = strings.LastIndexByte(p[:i], '/') {
			if dirs[p[:i]] {
				break
			}
			dirs[p[:i]] = true
		}
	}
	var list []git.Touched
	var walk func(dir string, patterns []git.IgnorePattern) error
	walk = func(dir string, patterns []git.IgnorePattern) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := filepath.Join(j.repo.Root, filepath.FromSlash(dir))
		if b, err := readRegular(filepath.Join(at, ".gitignore")); err == nil {
			patterns = append(patterns[:len(patterns):len(patterns)], git.ParseIgnore(b, dir)...)
		}
		entries, err := os.ReadDir(at)
		if err != nil {
			return err
		}
		for _, e := range entries {
			p := e.Name()
			if p == ".git" {
				continue
			}
			if dir != "" {
				p = dir + "/" + p
			}
			if tracked[p] && !e.IsDir() || modules[p] {
				continue
			}
			ignored, _ := git.Ignored(patterns, p, e.IsDir())
			switch {
			case e.IsDir() && dirs[p]:
				// Tracked files lie below: what else lies there counts only if the directory is not ignored.
				if ignored {
					continue
				}
				if err := walk(p, patterns); err != nil {
					return err
				}
			case ignored:
			case e.IsDir():
				if _, err := os.Lstat(filepath.Join(at, e.Name(), ".git")); err == nil {
					list = append(list, git.Touched{Path: p, Untracked: true, Directory: true})
				} else if err := walk(p, patterns); err != nil {
					return err
				}
			case e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0:
				list = append(list, git.Touched{Path: p, Untracked: true})
			}
		}
		return nil
	}
	return list, walk("", outside)
}

func readRegular(p string) ([]byte, error) {
	info, err := os.Lstat(p)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxAttributes {
		return nil, fs.ErrInvalid
	}
	return os.ReadFile(p)
}

func defaultExcludes() string {
	xdg := os.Getenv("XDG_CONFIG_HOME")
	if xdg == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		xdg = filepath.Join(home, ".config")
	}
	return filepath.Join(xdg, "git", "ignore")
}

// ancestors calls visit for commit and what it reaches until visit says no.
func ancestors(objects git.ObjectReader, commits []schema.ObjectID, stop func(schema.ObjectID) bool) (map[schema.ObjectID]bool, error) {
	seen := map[schema.ObjectID]bool{}
	queue := append([]schema.ObjectID{}, commits...)
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if seen[id] || stop != nil && stop(id) {
			continue
		}
		_, parents, err := git.CommitTree(objects, id)
		if errors.Is(err, git.ErrMissing) {
			continue // the end of a shallow clone
		}
		if err != nil {
			return nil, err
		}
		seen[id] = true
		queue = append(queue, parents...)
	}
	return seen, nil
}

func (j *libraryJudge) reachable(_ context.Context, commit schema.ObjectID, tips []schema.ObjectID) ([]schema.ObjectID, error) {
	for _, t := range tips {
		reached, err := ancestors(j.lib, []schema.ObjectID{t}, nil)
		if err != nil {
			return nil, err
		}
		if reached[commit] {
			return []schema.ObjectID{t}, nil
		}
	}
	return nil, nil
}

func (j *libraryJudge) pack(_ context.Context, w io.Writer, commit schema.ObjectID, tips []schema.ObjectID, alone bool) ([]schema.ObjectID, error) {
	builtOn, list, err := j.packedObjects(commit, tips, alone)
	if err != nil {
		return nil, err
	}
	hashes := make([]plumbing.Hash, len(list))
	for i, o := range list {
		hashes[i] = plumbing.NewHash(string(o.id))
	}
	_, err = packfile.NewEncoder(w, j.lib.Storage, false).Encode(hashes, 10)
	return builtOn, err
}

// packedObjects lists what commit reaches and tips do not, and the commits that it builds on.
func (j *libraryJudge) packedObjects(commit schema.ObjectID, tips []schema.ObjectID, alone bool) (builtOn []schema.ObjectID, list []packed, err error) {
	remote, err := ancestors(j.lib, tips, nil)
	if err != nil {
		return nil, nil, err
	}
	own := map[schema.ObjectID]bool{commit: true}
	if !alone {
		if own, err = ancestors(j.lib, []schema.ObjectID{commit}, func(id schema.ObjectID) bool { return remote[id] }); err != nil {
			return nil, nil, err
		}
	}
	have := map[schema.ObjectID]bool{}
	for id := range own {
		_, parents, err := git.CommitTree(j.lib, id)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range parents {
			if remote[p] && !have[p] && !alone {
				have[p] = true
				builtOn = append(builtOn, p)
				if _, err := j.treeObjects(p, have); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	for _, id := range sortedKeys(own) {
		list = append(list, packed{id: id, kind: "commit"})
		added, err := j.treeObjects(id, have)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, added...)
	}
	return builtOn, list, nil
}

// treeObjects adds the trees and files of a commit to have, and lists the ones that were not there. A tree that is there has all its own.
func (j *libraryJudge) treeObjects(commit schema.ObjectID, have map[schema.ObjectID]bool) (added []packed, err error) {
	tree, _, err := git.CommitTree(j.lib, commit)
	if err != nil {
		return nil, err
	}
	var walk func(id schema.ObjectID, path string) error
	walk = func(id schema.ObjectID, path string) error {
		if have[id] {
			return nil
		}
		have[id] = true
		added = append(added, packed{id: id, kind: "tree", path: path})
		entries, err := git.ReadTree(j.lib, id)
		for _, e := range entries {
			switch {
			case e.Mode == git.ModeTree:
				if err := walk(e.ID, path+e.Name+"/"); err != nil {
					return err
				}
			case e.Mode != git.ModeSubmodule && !have[e.ID]:
				have[e.ID] = true
				added = append(added, packed{id: e.ID, kind: "blob", path: path + e.Name})
			}
		}
		return err
	}
	err = walk(tree, "")
	return added, err
}

// listWithLibrary lists a remote's refs without the git program.
func listWithLibrary(ctx context.Context, url string) ([]git.NamedRef, error) {
	if err := git.CheckURL(url); err != nil {
		return nil, err
	}
	remote := gogit.NewRemote(memory.NewStorage(), &config.RemoteConfig{Name: "origin", URLs: []string{url}})
	refs, err := remote.ListContext(ctx, &gogit.ListOptions{PeelingOption: gogit.AppendPeeled})
	if err != nil {
		return nil, err
	}
	var list []git.NamedRef
	for _, ref := range refs {
		if ref.Type() == plumbing.HashReference {
			list = append(list, git.NamedRef{Name: strings.TrimSuffix(ref.Name().String(), "^{}"), ID: schema.ObjectID(ref.Hash().String())})
		}
	}
	return list, nil
}
