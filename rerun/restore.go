package rerun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// restore puts code and data into the directory of the rerun and proves that they are what was recorded. Where it fails, all of it is taken back; where it is
// killed, the next rerun into the same directory goes on (see [Rerunner.claim]).
//
// Below the directory, code/ is the checkout; a data set that stood in the checkout, or beside it, is put at the same relative place; outputs that were written
// to an absolute path go to outputs/NAME.
func (r *Rerunner) restore(ctx context.Context, req Request, p *Prepared) (err error) {
	w, err := r.claim(req, p)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() != nil && !schema.IsKind(err, schema.Interrupted) {
			err = errors.Join(interrupted(), err)
		}
		if err != nil && w.abandon(err) {
			r.Warn("what was copied stays: runpin rerun %s --execute --workdir %s goes on from there", req.Run.ID.Short(), w.dir)
		}
		w.root.Close()
	}()
	places, err := p.layOut(req, w.dir, r.Host, r.Now())
	if err != nil {
		return err
	}
	if err := r.checkEnvFiles(p, req.Overwrite); err != nil {
		return err
	}
	if w.again {
		if err := w.takeOver(p); err != nil {
			return err
		}
	}
	if err := p.enoughSpace(places, w); err != nil {
		return err
	}
	if err := r.restoreCode(ctx, p); err != nil {
		return err
	}
	if err := r.moveLinks(p, w); err != nil {
		return err
	}
	if err := p.writeSecretFiles(w.dir); err != nil {
		return err
	}
	if err := mkdirInside(p.commandDir(), w.dir); err != nil {
		return err
	}
	for _, place := range places {
		if err := r.placeDataset(ctx, req, w, place); err != nil {
			return err
		}
	}
	if err := p.makeWay(w.dir); err != nil {
		return err
	}
	if err := r.checkEnvFiles(p, req.Overwrite); err != nil {
		return err
	}
	p.linkInterpreter(w.dir)
	p.moveEnvironment(r.ReplaceRoot)
	if err := w.finish(); err != nil {
		return err
	}
	p.Written = w.begin
	return nil
}

// takeOver sets aside what an interrupted rerun copied whole, and removes the rest: it may be half of something.
func (w *workspace) takeOver(p *Prepared) error {
	if err := w.root.MkdirAll(keptName, 0o700); err != nil {
		return err
	}
	for i := range p.Datasets {
		pin := &p.Datasets[i]
		if _, err := schema.ParseName(pin.Name); err != nil || !slices.Contains(w.marker.Copied, pin.Name) {
			continue
		}
		if rel, err := filepath.Rel(w.dir, p.placed(*pin, w.dir)); err == nil && filepath.IsLocal(rel) {
			_ = w.root.Rename(rel, filepath.Join(keptName, pin.Name)) // fails where it waits there already, or is gone
		}
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != keptName && name != LogName && name != w.marker.file {
			if err := w.root.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// reuse puts back what an interrupted rerun copied, when its whole digest is still that of the pin.
func (r *Rerunner) reuse(ctx context.Context, w *workspace, place placement) bool {
	if !w.again || !place.copy || !slices.Contains(w.marker.Copied, place.pin.Name) {
		return false
	}
	kept := filepath.Join(keptName, place.pin.Name)
	if info, err := w.root.Lstat(kept); err != nil || info.Mode()&os.ModeSymlink != 0 {
		return false
	}
	if found := r.Datasets.CheckDataset(ctx, *place.pin, filepath.Join(w.dir, kept), true); found.Kind() != "" {
		return false
	}
	rel, err := filepath.Rel(w.dir, place.dest)
	return err == nil && w.root.Rename(kept, rel) == nil
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

// placeDataset makes a data set appear in its place, proved by its digest.
func (r *Rerunner) placeDataset(ctx context.Context, req Request, w *workspace, place placement) error {
	if place.dest == "" {
		return r.proveInPlace(ctx, req, *place.pin)
	}
	if err := makeRoom(place.dest, w.dir); err != nil {
		return err
	}
	if r.reuse(ctx, w, place) {
		w.worth = w.worth || !small(*place.pin)
		return nil
	}
	if err := r.Datasets.PlaceDataset(ctx, *place.pin, req.At[place.pin.Name], place.dest, place.copy, r.Progress); err != nil || !place.copy {
		return err
	}
	w.worth = w.worth || !small(*place.pin)
	if !slices.Contains(w.marker.Copied, place.pin.Name) {
		w.marker.Copied = append(w.marker.Copied, place.pin.Name)
	}
	return w.put(false)
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

// makeWay makes the directories of the outputs and of the metrics.
func (p *Prepared) makeWay(dir string) error {
	written := map[string]*schema.Path{metricsName: p.Metrics}
	for _, o := range p.Outputs {
		written[o.Name] = o.Path
	}
	for name, path := range written {
		if path == nil || p.chosen[name] { // what the user put elsewhere is the user's
			continue
		}
		at := string(path.Located)
		if err := mkdirInside(filepath.Dir(at), dir); err != nil {
			return err
		}
		if err := dropLink(at); err != nil {
			return err
		}
	}
	return nil
}

// dropLink removes a link that the restored code has where the run is to write: it could lead to the original's output.
func dropLink(at string) error {
	if info, err := os.Lstat(at); err == nil && info.Mode()&os.ModeSymlink != 0 {
		return os.Remove(at)
	}
	return nil
}
