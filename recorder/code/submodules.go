package code

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// maxNesting bounds submodules within submodules.
const maxNesting = 10

// findSubmodules captures the initialised submodules and takes them out of the touched paths. In the tree of the checkout a submodule
// stands with the commit it is on; edits within it are its own changes.
func (w *work) findSubmodules(ctx context.Context, idx *git.Index) error {
	tracked := map[string]git.IndexEntry{}
	for _, e := range idx.Entries {
		if e.Mode == git.ModeSubmodule && e.Stage == 0 {
			tracked[e.Path] = e
		}
	}
	for _, p := range sortedKeys(tracked) {
		t, touched := w.touched[p]
		if _, out := excludedBy(w.excludes, p); out {
			delete(w.touched, p)
			continue
		}
		commit, err := w.captureSubmodule(ctx, p)
		if err != nil {
			return err
		}
		if commit == "" {
			// Not initialised: it stands as the index has it, which is the commit's unless it was staged anew.
			commit = tracked[p].ID
		}
		if touched {
			delete(w.touched, p)
			if t.HeadMode != git.ModeSubmodule || t.HeadID != commit {
				w.edits = append(w.edits, git.Edit{Path: p, Mode: git.ModeSubmodule, ID: commit})
				if t.HeadMode != 0 {
					w.st.summary.Modified++
				} else {
					w.st.summary.Added++
				}
			}
		}
	}
	return nil
}

// captureSubmodule records the submodule at p and those within it; "" when it is not initialised.
func (w *work) captureSubmodule(ctx context.Context, p string) (schema.ObjectID, error) {
	dir := w.abs(p)
	path := schema.Text(w.prefix + p)
	if _, err := os.Lstat(filepath.Join(dir, ".git")); errors.Is(err, fs.ErrNotExist) {
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			return "", unpinnable(string(path), fmt.Errorf("files lie where a submodule belongs, and it is not initialised"), "git submodule update --init "+p)
		}
		w.reason("submodule-uninitialised", path, "the submodule is not initialised; a restore leaves it empty too")
		return "", nil
	}
	if w.depth >= maxNesting {
		return "", unpinnable(string(path), fmt.Errorf("submodules are nested more than %d deep", maxNesting), "")
	}
	sub, err := git.Open(dir)
	if err != nil {
		return "", unpinnable(string(path), err, "git submodule update --init "+p)
	}
	if sub.Root != dir {
		return "", unpinnable(string(path), fmt.Errorf("the submodule's repository is damaged"), "git submodule update --init "+p)
	}
	w.depth++
	st, err := w.session.capture(ctx, sub, w.prefix+p+"/")
	w.depth--
	if err != nil {
		return "", err
	}
	if st.head.Commit == "" {
		return "", unpinnable(string(path), fmt.Errorf("the submodule has no commit"), "git submodule update --init "+p)
	}
	entry := schema.Submodule{Path: path, URL: st.remotes.chosenURL(st.on), Commit: st.head.Commit, Tree: st.tree, Bundle: st.bundle}
	if st.dirty {
		if entry.Changes, err = w.putChanges(ctx, st); err != nil {
			return "", err
		}
		w.st.summary.Modified += st.summary.Modified
		w.st.summary.Added += st.summary.Added
		w.st.summary.Deleted += st.summary.Deleted
		w.st.summary.Bytes += st.summary.Bytes
	}
	w.st.submodules = append(append(w.st.submodules, entry), st.submodules...)
	w.st.lfs = append(w.st.lfs, st.lfs...)
	w.st.excluded = append(w.st.excluded, st.excluded...)
	return st.head.Commit, nil
}
