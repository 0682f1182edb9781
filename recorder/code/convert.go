package code

import (
	"bytes"
	"context"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// conversion says which conversions between commit and checkout a repository, or the user's settings, can cause. Where none can, the
// bytes of a file that git calls unmodified are the commit's.
type conversion struct {
	filters  bool // a filter= attribute
	lfs      bool // filter=lfs
	converts bool // text, eol, ident or working-tree-encoding, or core.autocrlf, core.eol, info/attributes, a global attributes file
	smudges  bool // eol=crlf, ident or working-tree-encoding: a checkout itself changes bytes
	unclear  bool // an attributes file is not in the checkout and cannot be scanned
}

func (c conversion) any() bool { return c.filters || c.converts || c.unclear }

// findConversions scans the attribute files that git would read. A word is enough to look closer: nothing is decided here.
func findConversions(repo *git.Repo, idx *git.Index) (conversion, error) {
	var c conversion
	for _, e := range idx.Entries {
		if e.Path != ".gitattributes" && !strings.HasSuffix(e.Path, "/.gitattributes") {
			continue
		}
		if err := c.scan(filepath.Join(repo.Root, filepath.FromSlash(e.Path))); err != nil {
			return c, err
		}
	}
	if v, ok := repo.Config.Get("core.autocrlf"); ok && v != "false" && v != "no" && v != "off" && v != "0" {
		c.converts = true
	}
	if v, ok := repo.Config.Get("core.eol"); ok && strings.ToLower(v) != "lf" {
		c.converts = true
	}
	if _, ok := repo.Config.Get("core.attributesfile"); ok {
		c.converts = true
	}
	if info, err := os.Stat(filepath.Join(repo.Common, "info", "attributes")); err == nil && info.Size() > 0 {
		c.converts = true
	}
	return c, nil
}

const maxAttributes = 1 << 20

func (c *conversion) scan(file string) error {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() {
		c.unclear = true
		return nil
	}
	if info.Size() > maxAttributes {
		c.unclear = true
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return unpinnable(file, err, "make it readable")
	}
	has := func(word string) bool { return bytes.Contains(b, []byte(word)) }
	if has("filter") {
		c.filters = true
		c.lfs = c.lfs || has("lfs")
	}
	if has("text") || has("crlf") || has("eol") || has("ident") || has("encoding") {
		c.converts = true
	}
	if has("eol=crlf") || has("ident") || has("encoding") {
		c.smudges = true
	}
	return nil
}

// findConverted adds to the touched paths what git calls unmodified though a checkout of the commit would give other bytes: files that a
// clean filter, line-ending conversion or keyword expansion makes equal. Their sizes tell them apart. It also lists the LFS objects.
func (w *work) findConverted(ctx context.Context, sv *survey) error {
	for p := range w.touched {
		if path.Base(p) == ".gitattributes" {
			if err := w.conversion.scan(w.abs(p)); err != nil {
				return err
			}
		}
	}
	if !w.conversion.any() {
		return nil
	}
	j, ok := w.judge.(*programJudge)
	if !ok {
		return w.judge.(*libraryJudge).refuseConversions(w)
	}
	var entries []git.IndexEntry
	var ids []schema.ObjectID
	for _, e := range sv.index.Entries {
		if _, known := w.touched[e.Path]; known || e.Stage != 0 || e.Mode != git.ModeFile && e.Mode != git.ModeExec {
			continue
		}
		if _, out := excludedBy(w.excludes, e.Path); out {
			continue
		}
		entries = append(entries, e)
		ids = append(ids, e.ID)
	}
	var sizes []int64
	disk := make([]int64, len(entries))
	done := make(chan error, 1)
	go func() {
		var err error
		sizes, err = j.scratch.Sizes(ctx, ids)
		done <- err
	}()
	parallel(len(entries), func(i int) {
		disk[i] = -1
		if info, err := os.Lstat(w.abs(entries[i].Path)); err == nil && info.Mode().IsRegular() {
			disk[i] = info.Size()
		}
	})
	if err := <-done; err != nil {
		return unpinnable(w.repo.Root, err, "")
	}
	suspects := map[string]git.IndexEntry{}
	sameSize := map[string]git.IndexEntry{}
	for i, e := range entries {
		switch {
		case disk[i] < 0: // outside of a sparse checkout
		case disk[i] != sizes[i]:
			suspects[e.Path] = e
		default:
			sameSize[e.Path] = e
		}
	}
	if w.conversion.smudges || w.conversion.unclear {
		// The words of TrackedWith are git's own matching; what it lists may have the commit's size and still not be what a checkout gives.
		for _, spec := range []string{"eol=crlf", "ident", "working-tree-encoding"} {
			paths, err := j.scratch.TrackedWith(ctx, spec)
			if err != nil {
				return unpinnable(w.repo.Root, err, "")
			}
			for _, p := range paths {
				if e, ok := sameSize[p]; ok {
					suspects[p] = e
				}
			}
		}
	}
	if err := w.findLFS(ctx, j, suspects, sameSize); err != nil {
		return err
	}
	return w.judgeSuspects(ctx, j, suspects)
}

// judgeSuspects compares each suspect with what a checkout of its object would give.
func (w *work) judgeSuspects(ctx context.Context, j *programJudge, suspects map[string]git.IndexEntry) error {
	if len(suspects) == 0 {
		return nil
	}
	paths := sortedKeys(suspects)
	attributes, err := j.scratch.Attributes(ctx, paths)
	if err != nil {
		return unpinnable(w.repo.Root, err, "")
	}
	for _, p := range paths {
		e := suspects[p]
		a := attributes[p]
		if a.Converts && a.Filter == "" {
			restored, err := j.scratch.Smudged(ctx, e.ID, p)
			if err != nil {
				return unpinnable(w.prefix+p, err, "")
			}
			content, _, err := readStable(w.abs(p))
			if err != nil {
				return w.unreadable(p, err)
			}
			if bytes.Equal(restored, content) {
				continue
			}
			w.forced[p] = true
		}
		w.touched[p] = git.Touched{Path: p, HeadMode: e.Mode, HeadID: e.ID}
	}
	return nil
}

// identify gives each file the id that the tree will hold: git's own, if a checkout of that object gives these bytes back, else that of
// the bytes themselves.
func (w *work) identify(ctx context.Context, files []*standing) error {
	if !w.conversion.any() {
		return nil
	}
	j, ok := w.judge.(*programJudge)
	if !ok {
		return nil // refused before, unless nothing is touched by conversions
	}
	byPath := map[string]*standing{}
	for _, f := range files {
		if !f.gone && f.mode != git.ModeLink {
			byPath[f.Path] = f
		}
	}
	attributes, err := j.scratch.Attributes(ctx, sortedKeys(byPath))
	if err != nil {
		return unpinnable(w.repo.Root, err, "")
	}
	var convert []string
	for _, p := range sortedKeys(byPath) {
		f, a := byPath[p], attributes[p]
		switch {
		case a.Filter == "lfs":
			w.identifyLFS(f)
		case f.raw == f.HeadID:
		case strings.Contains(a.Filter, "crypt"):
			return unpinnable(w.prefix+p, errEncrypted, "lock or exclude it, for instance with --dataset; its decrypted bytes are not put into a record")
		case a.Filter != "":
			w.reason("filter-not-run", schema.Text(w.prefix+p), "the filter "+a.Filter+" is not run; the file is recorded as it stands in the checkout")
		case a.Converts:
			convert = append(convert, p)
		}
	}
	if len(convert) == 0 {
		return nil
	}
	cleaned, err := j.scratch.Cleaned(ctx, convert)
	if err != nil {
		return unpinnable(w.repo.Root, err, "")
	}
	for _, p := range convert {
		if f, c := byPath[p], cleaned[p]; bytes.Equal(c.Restored, f.content) {
			f.id = c.ID
		}
	}
	return nil
}

// parallel calls f for 0 … n-1 from several goroutines.
func parallel(n int, f func(i int)) {
	workers := runtime.GOMAXPROCS(0)
	if n < 512 {
		workers = 1
	}
	const chunk = 256
	var wg sync.WaitGroup
	next := make(chan int)
	for range workers {
		wg.Go(func() {
			for from := range next {
				for i := from; i < min(from+chunk, n); i++ {
					f(i)
				}
			}
		})
	}
	for from := 0; from < n; from += chunk {
		next <- from
	}
	close(next)
	wg.Wait()
}
