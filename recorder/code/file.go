package code

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"
	"syscall"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// sizedPath is a file that would be captured, for the refusal that names the largest.
type sizedPath struct {
	path  string
	bytes int64
}

// standing is one touched path as it stands in the checkout.
type standing struct {
	git.Touched
	gone    bool
	mode    uint32
	content []byte // of a regular file, or the target of a link
	raw     schema.ObjectID
	digest  schema.Digest
	id      schema.ObjectID // what the tree will hold
}

// captureFiles reads the touched paths, gives each its id, and keeps what differs from the commit.
func (w *work) captureFiles(ctx context.Context, paths []git.Touched) error {
	if err := w.checkSizes(paths); err != nil {
		return err
	}
	var files []*standing
	for i, t := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := w.stand(t)
		if err != nil {
			return err
		}
		files = append(files, f)
		if w.req.Progress != nil && len(paths) > 100 {
			w.req.Progress.Step("changes", int64(i+1), int64(len(paths)), "files")
		}
	}
	if err := w.identify(ctx, files); err != nil {
		return err
	}
	for _, f := range files {
		if err := w.keep(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// checkSizes refuses before anything is read: the largest files are named, with what to do about them.
func (w *work) checkSizes(paths []git.Touched) error {
	var total int64
	for _, t := range paths {
		info, err := os.Lstat(w.abs(t.Path))
		if err != nil || !info.Mode().IsRegular() || w.linkOnTheWay(t.Path) {
			continue
		}
		total += info.Size()
		w.sizes = append(w.sizes, sizedPath{w.prefix + t.Path, info.Size()})
	}
	if w.budget -= total; w.budget >= 0 {
		return nil
	}
	return w.tooLarge()
}

func (w *work) tooLarge() error {
	sort.Slice(w.sizes, func(i, j int) bool { return w.sizes[i].bytes > w.sizes[j].bytes })
	var sum int64
	for _, f := range w.sizes {
		sum += f.bytes
	}
	var largest, lines []string
	for _, f := range w.sizes[:min(5, len(w.sizes))] {
		largest = append(largest, fmt.Sprintf("%q (%s)", f.path, humanBytes(f.bytes)))
	}
	for _, f := range w.sizes[:min(3, len(w.sizes))] {
		lines = append(lines, "/"+f.path)
	}
	return unpinnable(w.repo.Root, fmt.Errorf("its changed and untracked files hold %s, more than the %s that a record keeps; the largest: %s",
		humanBytes(sum), humanBytes(w.r.opts.MaxBytes), strings.Join(largest, ", ")),
		fmt.Sprintf("declare data with --dataset NAME=%s (or --output if the run writes it), or add to .gitignore: %s", w.sizes[0].path, strings.Join(lines, " ")))
}

func humanBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// stand reads one path.
func (w *work) stand(t git.Touched) (*standing, error) {
	f := &standing{Touched: t}
	p := w.abs(t.Path)
	if t.Dropped || w.linkOnTheWay(t.Path) {
		f.gone = true
		return f, nil
	}
	info, err := os.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		f.gone = true
		return f, nil
	case err != nil:
		return nil, w.unreadable(t.Path, err)
	case info.IsDir():
		f.gone = true // what lies in it is listed by itself
		return f, nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(p)
		if err != nil {
			return nil, w.unreadable(t.Path, err)
		}
		f.mode, f.content = git.ModeLink, []byte(target)
	case info.Mode().IsRegular():
		if f.content, info, err = readStable(p); err != nil {
			return nil, w.unreadable(t.Path, err)
		}
		f.mode = w.fileMode(info, t)
		sum := sha256.Sum256(f.content)
		f.digest = schema.SHA256Sum(sum)
	default:
		return nil, unpinnable(w.prefix+t.Path, fmt.Errorf("neither a file nor a link (%s)", info.Mode().Type()), "remove it, or add it to .gitignore")
	}
	f.raw = git.HashObject("blob", f.content, w.idSize)
	f.id = f.raw
	return f, nil
}

// fileMode gives the mode that git would give. Where the file system's executable bits mean nothing (core.fileMode), what the commit has counts.
func (w *work) fileMode(info fs.FileInfo, t git.Touched) uint32 {
	if v, ok := w.repo.Config.Get("core.filemode"); ok && !isTrue(v) {
		if t.HeadMode == git.ModeExec {
			return git.ModeExec
		}
		return git.ModeFile
	}
	if info.Mode()&0o100 != 0 {
		return git.ModeExec
	}
	return git.ModeFile
}

func isTrue(v string) bool {
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1", "\x00":
		return true
	}
	return false
}

func (w *work) unreadable(p string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return unpinnable(w.prefix+p, fmt.Errorf("cannot be read: %w", err), "make it readable, or add it to .gitignore if it is no code")
}

var errMoving = errors.New("it changes while it is being read")

// readStable reads a file whole, and again if it changed meanwhile.
func readStable(p string) ([]byte, fs.FileInfo, error) {
	for range 3 {
		content, info, err := readOnce(p)
		if !errors.Is(err, errMoving) {
			return content, info, err
		}
	}
	return nil, nil, errMoving
}

func readOnce(p string) ([]byte, fs.FileInfo, error) {
	f, err := openNoFollow(p)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, errMoving
	}
	content := make([]byte, 0, before.Size()+1)
	buf := bytes.NewBuffer(content)
	n, err := io.Copy(buf, io.LimitReader(f, before.Size()+1))
	if err != nil {
		return nil, nil, err
	}
	after, err := os.Lstat(p)
	if err != nil || n != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) || after.Mode() != before.Mode() {
		return nil, nil, errMoving
	}
	return buf.Bytes(), after, nil
}

// keep adds a path to the changes when it differs from the commit.
func (w *work) keep(ctx context.Context, f *standing) error {
	path := schema.Text(w.prefix + f.Path)
	if f.gone {
		if f.HeadMode != 0 {
			w.edits = append(w.edits, git.Edit{Path: f.Path, Mode: f.HeadMode})
			w.st.changes = append(w.st.changes, schema.Change{Path: schema.Text(f.Path), Deleted: true})
			w.st.summary.Deleted++
		}
		return nil
	}
	if f.mode == f.HeadMode && f.id == f.HeadID && !w.forced[f.Path] {
		return nil
	}
	if f.mode != git.ModeLink {
		if same, err := w.sameNotebook(ctx, f); err != nil {
			return err
		} else if same {
			w.st.excluded = append(w.st.excluded, schema.Exclusion{Path: path, Why: "notebook-output"})
			return nil
		}
		if finding, found := redact.Content(f.content); found {
			return w.withhold(f, finding)
		}
	}
	if err := git.CheckPath(f.Path); err != nil {
		return unpinnable(string(path), err, "rename it, or add it to .gitignore")
	}
	c := schema.Change{Path: schema.Text(f.Path), Mode: modeText(f.mode), Object: f.id}
	if f.mode == git.ModeLink {
		c.Target = schema.Text(f.content)
	} else {
		c.Digest, c.Bytes = f.digest, int64(len(f.content))
		if w.req.Sink != nil {
			ref, err := w.req.Sink.PutBlob(ctx, schema.BlobFile, bytes.NewReader(f.content))
			if err != nil {
				return err
			}
			if ref.Digest != f.digest {
				return &schema.Error{Op: "code.capture", Kind: schema.Internal, Subject: string(path), Err: fmt.Errorf("the store gave %s for content %s", ref.Digest, f.digest)}
			}
		}
	}
	w.edits = append(w.edits, git.Edit{Path: f.Path, Mode: f.mode, ID: f.id})
	w.st.changes = append(w.st.changes, c)
	if f.HeadMode == 0 {
		w.st.summary.Added++
	} else {
		w.st.summary.Modified++
	}
	return nil
}

// excludedSecret is the [schema.Exclusion.Why] of a file that holds a secret.
const excludedSecret = "secret"

// withhold leaves an untracked file that holds a secret out of the record. An edited tracked one cannot be left out without recording
// something that did not run.
func (w *work) withhold(f *standing, finding string) error {
	path := w.prefix + f.Path
	if f.HeadMode != 0 {
		return unpinnable(path, fmt.Errorf("the edited file holds a secret (%s), which a record does not keep", finding), "move the secret to a variable or to an ignored file")
	}
	w.st.excluded = append(w.st.excluded, schema.Exclusion{Path: schema.Text(path), Why: excludedSecret})
	w.reason("withheld", schema.Text(path), fmt.Sprintf("%q holds a secret (%s) and is not part of the record; a restored checkout lacks it", path, finding))
	w.st.lfs = slices.DeleteFunc(w.st.lfs, func(o schema.LFSObject) bool { return string(o.Path) == path }) // its digest would tell of the secret
	return nil
}

func modeText(mode uint32) string { return fmt.Sprintf("%06o", mode) }

// putChanges stores the list of changes.
func (s *session) putChanges(ctx context.Context, st *state) (*schema.BlobRef, error) {
	files := st.changes
	if files == nil {
		files = []schema.Change{}
	}
	b, err := schema.Canonical(schema.Changes{Schema: schema.ChangesV1, Commit: st.head.Commit, Tree: st.tree, Files: files})
	if err != nil {
		return nil, err
	}
	ref := schema.BlobRef{Kind: schema.BlobChanges, Digest: schema.SHA256(b), Bytes: int64(len(b))}
	if s.req.Sink == nil {
		return &ref, nil
	}
	ref, err = s.req.Sink.PutBlob(ctx, schema.BlobChanges, bytes.NewReader(b))
	return &ref, err
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
