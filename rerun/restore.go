package rerun

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// restore puts code and data into a fresh directory and proves that they are what was recorded. Where it fails, the directory is removed again.
//
// Below req.Dir, code/ is the checkout; a data set that stood in the checkout, or beside it, is put at the same relative place; outputs that were written to an
// absolute path go to outputs/NAME.
func (r *Rerunner) restore(ctx context.Context, req Request, p *Prepared) (err error) {
	_, missing := os.Lstat(req.Dir)
	if err := emptyDir(req.Dir); err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(req.Dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			clearDir(dir, missing != nil)
		}
	}()
	p.Root = filepath.Join(dir, "code")
	if err := r.restoreCode(ctx, p); err != nil {
		return err
	}
	if err := p.writeSecretFiles(dir); err != nil {
		return err
	}
	if err := mkdirInside(p.commandDir(), dir); err != nil {
		return err
	}
	slices.SortStableFunc(p.Datasets, func(a, b schema.DatasetPin) int { return len(p.placed(a, dir)) - len(p.placed(b, dir)) }) // one may lie in another
	for i := range p.Datasets {
		if err := r.placeDataset(ctx, req, p, &p.Datasets[i], dir); err != nil {
			return err
		}
	}
	for i := range p.Outputs {
		if err := p.placeOutput(&p.Outputs[i], dir); err != nil {
			return err
		}
	}
	if err := p.placeMetrics(dir); err != nil {
		return err
	}
	p.linkInterpreter(dir)
	p.moveEnvironment(r.ReplaceRoot)
	return nil
}

// clearDir takes back what was restored; a directory that the user made stays.
func clearDir(dir string, whole bool) {
	if whole {
		_ = os.RemoveAll(dir)
		return
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}

func (p *Prepared) placed(pin schema.DatasetPin, dir string) string {
	if pin.Path == nil {
		return ""
	}
	return p.place(*pin.Path, dir)
}

func (r *Rerunner) restoreCode(ctx context.Context, p *Prepared) error {
	if len(p.Code) == 0 {
		return os.MkdirAll(p.Root, 0o755)
	}
	for i := range p.Code {
		at := p.Root
		if i > 0 {
			at = filepath.Join(filepath.Dir(p.Root), "code-"+p.Code[i].Name)
		}
		if err := r.Code.RestoreCode(ctx, p.Code[i], r.Blobs, at); err != nil {
			return err
		}
		p.Code[i].Use = schema.Enforced
		p.Code[i].Origin = schema.Origin{Kind: schema.FromContent, By: "restored and its tree compared", At: r.Now()}
	}
	return nil
}

// commandDir is where the command starts.
func (p *Prepared) commandDir() string {
	if p.WorkDir == nil || p.WorkDir.Base != schema.BaseCheckout {
		return p.Root
	}
	return filepath.Join(p.Root, filepath.FromSlash(string(p.WorkDir.Rel)))
}

// place gives where a recorded path belongs in the rerun, or "" when it lay elsewhere (an absolute path, or one that leaves dir).
func (p *Prepared) place(pt schema.Path, dir string) string {
	var at string
	switch {
	case pt.Base == schema.BaseCheckout:
		at = filepath.Join(p.Root, filepath.FromSlash(string(pt.Rel)))
	case pt.Base == schema.BaseWorkDir:
		at = filepath.Join(p.commandDir(), filepath.FromSlash(string(pt.Rel)))
	default:
		return ""
	}
	if at == dir || at == p.Root || !strings.HasPrefix(at, dir+string(filepath.Separator)) {
		return ""
	}
	return at
}

func (r *Rerunner) placeDataset(ctx context.Context, req Request, p *Prepared, pin *schema.DatasetPin, dir string) error {
	if pin.Path == nil {
		return &schema.Error{Op: "rerun.restore", Kind: schema.Unpinnable, Subject: "dataset:" + pin.Name, Err: fmt.Errorf("scheme %q cannot be restored by this version", pin.Scheme)}
	}
	source := string(pin.Path.Located)
	if at := req.At[pin.Name]; at != "" {
		abs, err := filepath.Abs(strings.TrimPrefix(strings.TrimPrefix(at, "file:"), "//"))
		if err != nil {
			return err
		}
		source = abs
	}
	if at := req.At[pin.Name]; at != "" && !p.relocated["dataset:"+pin.Name] {
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: "dataset-elsewhere", Subject: schema.Text("dataset:" + pin.Name), Text: "read from another place; its digest was proved equal"})
	}
	pin.Use, pin.Origin = schema.Enforced, schema.Origin{Kind: schema.FromContent, By: r.Host, At: r.Now()}
	recorded := *pin.Path
	moved := recorded
	moved.Located = schema.Text(source)
	pin.Path = &moved
	p.Sources[pin.Name] = source
	typed := string(recorded.Typed)
	dest := p.place(recorded, dir)
	if p.InContainer() {
		return r.proveInPlace(ctx, req, *pin) // mounted read-only from where it is
	}
	if dest == "" {
		p.Paths[pin.Name] = source
		return r.proveInPlace(ctx, req, *pin)
	}
	p.Paths[pin.Name] = typed
	if filepath.IsAbs(typed) {
		p.Paths[pin.Name] = dest
	}
	if err := makeRoom(dest, dir); err != nil {
		return err
	}
	// Outputs that lie inside a data set must not be written into the original: then the bytes are copied.
	// So are they when the command starts a container itself: links would lead to paths that it does not mount.
	asCopy := p.startsContainerItself() || slices.ContainsFunc(p.Outputs, func(o schema.Output) bool {
		return o.Path != nil && strings.HasPrefix(p.place(*o.Path, dir)+string(filepath.Separator), dest+string(filepath.Separator))
	})
	return r.Datasets.PlaceDataset(ctx, *pin, req.At[pin.Name], dest, asCopy, r.Progress)
}

func (r *Rerunner) proveInPlace(ctx context.Context, req Request, pin schema.DatasetPin) error {
	found := r.Datasets.CheckDataset(ctx, pin, req.At[pin.Name], req.Deep)
	found.Pin = "dataset:" + pin.Name
	return Blocking([]schema.Availability{found}, nil)
}

// makeRoom removes what the restored checkout holds at dest (tracked files of a declared data set) and makes its parent, refusing to pass through a link
// that leads out of dir: a hostile checkout could point anywhere.
func makeRoom(dest, dir string) error {
	parent := filepath.Dir(dest)
	if err := mkdirInside(parent, dir); err != nil {
		return err
	}
	return os.RemoveAll(dest)
}

// mkdirInside makes path and its parents below dir, where no part may be a link.
func mkdirInside(path, dir string) error {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return &schema.Error{Op: "rerun.restore", Kind: schema.Invalid, Subject: path, Err: fmt.Errorf("it lies outside the directory of the rerun")}
	}
	at := dir
	for _, part := range strings.Split(rel, string(filepath.Separator)) {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		switch {
		case os.IsNotExist(err):
			if err := os.Mkdir(at, 0o755); err != nil {
				return err
			}
		case err != nil:
			return err
		case !info.IsDir():
			return &schema.Error{Op: "rerun.restore", Kind: schema.Conflict, Subject: at, Err: fmt.Errorf("the restored code has a file or a link where the run had a directory")}
		}
	}
	return nil
}

// placeOutput moves an output's place into the rerun's directory.
func (p *Prepared) placeOutput(o *schema.Output, dir string) error {
	if o.Path == nil {
		return nil
	}
	if p.chosen[o.Name] {
		p.Paths[o.Name] = string(o.Path.Typed)
		return nil
	}
	recorded := *o.Path
	moved := recorded
	typed := string(recorded.Typed)
	at := p.place(recorded, dir)
	if at == "" {
		at = filepath.Join(dir, "outputs", o.Name, filepath.Base(typed))
		p.Paths[o.Name] = at
	} else {
		p.Paths[o.Name] = typed
		if filepath.IsAbs(typed) {
			p.Paths[o.Name] = at
		}
	}
	moved.Located = schema.Text(at)
	o.Path = &moved
	if err := mkdirInside(filepath.Dir(at), dir); err != nil {
		return err
	}
	return dropLink(at)
}

// dropLink removes a link that the restored code has where the run is to write: it could lead to the original's output.
func dropLink(at string) error {
	if info, err := os.Lstat(at); err == nil && info.Mode()&os.ModeSymlink != 0 {
		return os.Remove(at)
	}
	return nil
}

func (p *Prepared) placeMetrics(dir string) error {
	if p.Metrics == nil {
		return nil
	}
	if p.chosen[metricsName] {
		p.Paths[metricsName] = string(p.Metrics.Typed)
		return nil
	}
	moved := *p.Metrics
	at := p.place(*p.Metrics, dir)
	p.Paths["metrics"] = string(moved.Typed)
	if at == "" {
		at = filepath.Join(dir, "outputs", "metrics", filepath.Base(string(moved.Typed)))
		p.Paths["metrics"] = at
	} else if filepath.IsAbs(string(moved.Typed)) {
		p.Paths["metrics"] = at
	}
	moved.Located = schema.Text(at)
	p.Metrics = &moved
	if err := mkdirInside(filepath.Dir(at), dir); err != nil {
		return err
	}
	return dropLink(at)
}
