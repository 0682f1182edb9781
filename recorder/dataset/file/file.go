package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// Backend pins files and directories.
type Backend struct {
	opts   dataset.Options
	fault  func(stage, path string) // for tests: called before a file is opened ("open") and after it was read ("read")
	mu     sync.Mutex
	memory map[string][]byte // stat caches, when there is no folder for them
}

var (
	_ dataset.Backend       = (*Backend)(nil)
	_ dataset.Placer        = (*Backend)(nil)
	_ recorder.OutputHasher = (*Backend)(nil)
)

// New makes the backend.
func New(opts dataset.Options) *Backend { return &Backend{opts: opts, memory: map[string][]byte{}} }

// Scheme is that of plain paths.
func (b *Backend) Scheme() string { return dataset.SchemeFile }

// Resolve reads the file or directory and pins its content.
func (b *Backend) Resolve(ctx context.Context, req dataset.Request) (schema.DatasetPin, error) {
	typed := req.Location.Path
	path := dataset.DescribePath(typed, req.WorkDir, req.CodeRoot)
	if err := throughLink(typed, req.WorkDir, string(path.Located)); err != nil {
		return schema.DatasetPin{}, err
	}
	t, err := b.read(ctx, look{path: string(path.Located), include: req.Include, exclude: req.Exclude, what: "hashing " + req.Name, progress: req.Progress})
	if err != nil {
		return schema.DatasetPin{}, hintTilde(err, typed)
	}
	if t.files == 0 && t.sidecar == "" && len(req.Include)+len(req.Exclude) > 0 {
		return schema.DatasetPin{}, &schema.Error{Op: "dataset.resolve", Kind: schema.Unpinnable, Subject: shown(typed), Err: errNoFiles,
			Hint: `patterns are matched against the whole path below it: "**/*.csv"`}
	}
	pin := schema.DatasetPin{Name: req.Name, Role: req.Role, URI: schema.Text(req.Location.Recorded), Scheme: dataset.SchemeFile, Path: &path,
		VersionKind: "content", VersionID: string(t.digest), ContentDigest: t.digest, DigestKind: t.digestKind(), SidecarDigest: t.sidecar,
		Directory: !t.single, Bytes: t.bytes, Files: t.files, Include: schema.Texts(req.Include), Exclude: schema.Texts(req.Exclude),
		Strength: schema.StrengthContent, Use: schema.Observed,
		Origin: schema.Origin{Kind: schema.FromContent, By: b.opts.Host, At: schema.At(b.opts.Clock()())}}
	if t.single {
		pin.FileDigest = t.fileDigest()
	}
	if t.files == 0 {
		pin.Reasons = append(pin.Reasons, schema.Reason{Code: "empty", Subject: schema.Text("dataset:" + req.Name), Text: "there is no file in it"})
	}
	if pin.Manifest, pin.Sidecar, err = t.put(ctx, req.Sink, true); err != nil {
		return schema.DatasetPin{}, err
	}
	b.save(t)
	return pin, nil
}

// HashOutput gives digests, size and manifest of what a run wrote at path.
func (b *Backend) HashOutput(ctx context.Context, path string, sink schema.BlobSink) (schema.Output, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return schema.Output{}, err
	}
	t, err := b.read(ctx, look{path: path})
	if err != nil {
		return schema.Output{}, err
	}
	out := schema.Output{ContentDigest: t.digest, DigestKind: t.digestKind(), SidecarDigest: t.sidecar, Directory: !t.single, Bytes: t.bytes, Files: t.files}
	if t.single {
		out.FileDigest = t.fileDigest()
	} else if out.Manifest, _, err = t.put(ctx, sink, false); err != nil {
		return schema.Output{}, err
	}
	b.save(t)
	return out, nil
}

func (t *tree) fileDigest() schema.Digest { return schema.SHA256Sum(t.root.entries[0].sum) }

// look says what to read and how.
type look struct {
	path             string // absolute
	name             string // under which a single file stands in the manifest; "" for its own
	include, exclude []string
	deep             bool   // read every byte, whatever the stat cache says
	copyTo           string // a place for a copy of what is read, at which nothing is yet
	what             string // for progress
	progress         schema.Progress
}

// read walks a file or a directory.
func (b *Backend) read(ctx context.Context, l look) (*tree, error) {
	if err := ctx.Err(); err != nil {
		return nil, interrupted(shown(l.path), err)
	}
	sel, err := dataset.NewSelection(l.include, l.exclude)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(l.path)
	if err != nil {
		return nil, rootError(l.path, err)
	}
	t := &tree{root: &node{selected: len(l.include) == 0}, single: !info.IsDir()}
	opened, base := l.path, l.path
	if t.single {
		switch {
		case !info.Mode().IsRegular():
			return nil, rootError(l.path, errSpecial)
		case !sel.All():
			return nil, &schema.Error{Op: "dataset.file", Kind: schema.Invalid, Subject: shown(l.path), Err: errBothTypes, Hint: "drop the patterns"}
		}
		opened, base = filepath.Dir(l.path), filepath.Dir(l.path)
		t.root.entries = []entry{{name: filepath.Base(l.path), kind: kindLink}}
		if lstat, err := os.Lstat(l.path); err == nil && lstat.Mode().IsRegular() {
			t.root.entries[0].kind = kindFile
		}
	}
	root, err := openFolder(opened)
	if err != nil {
		return nil, rootError(l.path, err)
	}
	defer root.release()
	t.key = snapshotKey(realPath(l.path, t.single), l.include, l.exclude)
	t.before = b.load(t.key)
	w := &walk{ctx: ctx, base: base, root: root, fault: b.fault, sel: sel, copyTo: l.copyTo, progress: meter{to: l.progress, what: l.what}}
	if !l.deep && l.copyTo == "" {
		w.before = t.before
	}
	if err := w.run(t.root, workersFor(b.opts.Workers, root.remote)); err != nil {
		return nil, err
	}
	t.read = w.read
	if t.single && l.name != "" {
		t.root.entries[0].name = l.name
	}
	return t, t.finish()
}

// realPath names the data set in the stat cache, by whatever links it was reached. A single file keeps its own name.
func realPath(path string, single bool) string {
	dir, base := path, ""
	if single {
		dir, base = filepath.Split(path)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return filepath.Join(dir, base)
}

// rootError is for the data set itself.
func rootError(path string, err error) error {
	kind, hint := classify(err)
	if errors.Is(err, fs.ErrNotExist) {
		hint = "check the path"
	}
	return &schema.Error{Op: "dataset.file", Kind: kind, Subject: shown(path), Err: plain(err), Hint: hint}
}

// plain takes the path out of an error whose subject it is already.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// throughLink refuses a path like link/../data, which the system reads as beside the link's target and everyone else as beside the link: the
// command would read another directory than the one that is recorded.
func throughLink(typed, workDir, located string) error {
	if !strings.Contains(filepath.ToSlash(typed)+"/", "../") {
		return nil
	}
	raw := typed
	if !filepath.IsAbs(raw) {
		raw = workDir + string(filepath.Separator) + typed
	}
	a, errA := os.Stat(raw)
	b, errB := os.Stat(located)
	if errA == nil && (errB != nil || !os.SameFile(a, b)) {
		return &schema.Error{Op: "dataset.resolve", Kind: schema.Invalid, Subject: shown(typed), Err: errDotDot, Hint: "write the path without .."}
	}
	return nil
}

// hintTilde explains the commonest mistake: NAME=~/data reaches us as it stands.
func hintTilde(err error, typed string) error {
	var e *schema.Error
	if strings.HasPrefix(typed, "~") && errors.Is(err, fs.ErrNotExist) && errors.As(err, &e) {
		named := *e
		named.Hint = fmt.Sprintf("the shell replaces ~ only at the start of a word: write NAME=\"$HOME%s\"", shown(strings.TrimPrefix(typed, "~")))
		return &named
	}
	return err
}
