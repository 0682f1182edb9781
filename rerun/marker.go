package rerun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// LogName is the file in a rerun's directory that takes what its command prints, where that is not shown.
const LogName = "rerun.log"

const (
	markerName   = ".runpin-rerun.json" // what a rerun keeps beside it begins with the same name
	markerSchema = "runpin.dev/rerun-dir/v1"
	keptName     = ".runpin-kept" // data sets that an earlier try copied whole wait here
	maxMarker    = 1 << 20

	restoring = "restoring"
	restored  = "restored"
)

// marker stands in the directory of a rerun and says how far it is. It is there before anything else is: what a killed rerun left is never taken for restored.
type marker struct {
	Schema  string       `json:"schema"`
	Of      schema.RunID `json:"rerun_of"`
	State   string       `json:"state"`
	Run     schema.RunID `json:"run,omitempty"` // the new run, from the moment it is written down
	Process schema.Lease `json:"process,omitzero"`
	Copied  []string     `json:"copied,omitempty"` // data sets whose bytes lie here, whole

	file string // its name
}

// begun reports whether the directory belongs to a run that was written down: its command may have been started.
func (m marker) begun() bool { return m.Run != "" }

// look says what dir is: free for a rerun (no marker), or left by an interrupted one. Anything else is refused; so is one in which something lies that no
// rerun of p makes, because what an interrupted rerun left is removed.
func (r *Rerunner) look(dir string, p *Prepared) (*marker, error) {
	of := p.Of.ID
	conflict := func(hint, format string, args ...any) (*marker, error) {
		return nil, &schema.Error{Op: "rerun.restore", Kind: schema.Conflict, Subject: dir, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	const another = "name one that does not exist yet: --workdir DIR"
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
			return conflict(another, "it is not a directory")
		}
		return nil, &schema.Error{Op: "rerun.restore", Kind: schema.Unavailable, Subject: dir, Err: err, Hint: another}
	}
	found, strange := readMarkers(dir, entries)
	if found == nil {
		if strange {
			return conflict(another, "the directory is not empty")
		}
		return nil, nil
	}
	alive, known := r.alive(found.Process)
	switch {
	case found.Of != of:
		return conflict(another, "it is the directory of a rerun of another run, %s", found.Of.Short())
	case found.begun():
		return conflict("runpin show "+found.Run.Short()+" tells of it; for another rerun name another directory", "it was restored, and run as %s", found.Run.Short())
	case alive:
		return conflict(another, "another rerun, process %d, is restoring into it", found.Process.PID)
	case !known:
		return conflict("wait for it, or remove the directory when it is over", "a rerun on %s may still be restoring into it", found.Process.Host)
	}
	ours := p.made(dir)
	for _, e := range entries {
		if name := e.Name(); !ours[name] && !strings.HasPrefix(name, markerName) && !strings.HasPrefix(name, ".runpin-") && !strings.HasPrefix(name, "code-") {
			return conflict("move it away, or name another directory: --workdir DIR", "%q lies in it, which no rerun has made", schema.Shorten(name, 200))
		}
	}
	return found, nil
}

// made gives the names that a rerun makes in its directory.
func (p *Prepared) made(dir string) map[string]bool {
	names := map[string]bool{"code": true, "outputs": true, keptName: true, LogName: true}
	paths := []*schema.Path{p.Metrics}
	for i := range p.Datasets {
		paths = append(paths, p.Datasets[i].Path)
	}
	for i := range p.Outputs {
		paths = append(paths, p.Outputs[i].Path)
	}
	for _, path := range paths {
		if path == nil {
			continue
		}
		if rel, err := filepath.Rel(dir, p.place(*path, dir)); err == nil && filepath.IsLocal(rel) {
			first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
			names[first] = true
		}
	}
	return names
}

// readMarkers finds the marker among the entries of a directory, and says whether something else is there that no rerun left beside it.
func readMarkers(dir string, entries []os.DirEntry) (found *marker, strange bool) {
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), markerName) {
			strange = strange || e.Name() != LogName || !e.Type().IsRegular()
			continue
		}
		if strings.HasPrefix(e.Name(), markerName+".new-") || found != nil && found.file == markerName {
			continue
		}
		if m := readMarker(filepath.Join(dir, e.Name())); m != nil {
			m.file, found = e.Name(), m
		}
	}
	return found, strange
}

func readMarker(path string) *marker {
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxMarker))
	var m marker
	if err != nil || json.Unmarshal(data, &m) != nil || m.Schema != markerSchema {
		return nil
	}
	if _, err := schema.ParseRunID(string(m.Of)); err != nil {
		return nil
	}
	return &m
}

// Before gives the run that an earlier rerun of the run has made in dir, "" where none has.
func Before(dir string, of schema.RunID) schema.RunID {
	if m := readMarker(filepath.Join(dir, markerName)); m != nil && m.Of == of {
		return m.Run
	}
	return ""
}

func (r *Rerunner) alive(process schema.Lease) (alive, known bool) {
	if r.Alive == nil || process.PID == 0 {
		return false, true
	}
	return r.Alive(process)
}

// workspace is the directory of a rerun while it is being made. Nothing below it is reached through a link that leads out.
type workspace struct {
	dir    string // without links
	made   bool   // by us: it goes when nothing comes of it
	root   *os.Root
	marker marker
	again  bool // an interrupted rerun began it
	worth  bool // what was copied takes long to copy again
}

// claim makes the directory this rerun's own: fresh, or taken over from an interrupted rerun of the same run.
func (r *Rerunner) claim(req Request, p *Prepared) (w *workspace, err error) {
	found, err := r.look(req.Dir, p)
	if err != nil {
		return nil, err
	}
	w = &workspace{marker: marker{Schema: markerSchema, Of: req.Run.ID, State: restoring, file: markerName}, again: found != nil}
	if r.Process != nil {
		w.marker.Process = r.Process()
	}
	unavailable := func(err error) error {
		return &schema.Error{Op: "rerun.restore", Kind: schema.Unavailable, Subject: req.Dir, Err: err, Hint: "name another place: --workdir DIR"}
	}
	if _, err := os.Lstat(req.Dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(req.Dir), 0o755); err != nil {
			return nil, unavailable(err)
		}
		err := os.Mkdir(req.Dir, 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, unavailable(err)
		}
		w.made = err == nil
	}
	if w.dir, err = filepath.EvalSymlinks(req.Dir); err != nil {
		return nil, unavailable(err)
	}
	root, err := os.OpenRoot(w.dir)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() {
		if err != nil {
			root.Close()
		}
	}()
	w.root = root
	taken := ""
	if found != nil { // of two that go on at the same time one finds it gone
		w.marker.Copied = found.Copied
		conflict := &schema.Error{Op: "rerun.restore", Kind: schema.Conflict, Subject: req.Dir, Err: errors.New("another rerun has just taken it over"), Hint: "name another directory: --workdir DIR"}
		taken = fmt.Sprintf("%s.old-%d-%d", markerName, os.Getpid(), time.Now().UnixNano())
		if err := w.root.Rename(found.file, taken); err != nil {
			return nil, conflict
		}
		if m := readMarker(filepath.Join(w.dir, taken)); m == nil || m.Process != found.Process { // it is the new one of who was faster
			_ = w.root.Rename(taken, markerName)
			return nil, conflict
		}
	}
	if err := w.put(true); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = &schema.Error{Op: "rerun.restore", Kind: schema.Conflict, Subject: req.Dir, Err: errors.New("another rerun has just begun in it"), Hint: "name another directory: --workdir DIR"}
		}
		return nil, err
	}
	if taken != "" {
		_ = w.root.Remove(taken)
	}
	return w, nil
}

// put writes the marker: whole, or not at all. A new one never replaces another.
func (w *workspace) put(fresh bool) error {
	data, err := json.Marshal(w.marker)
	if err != nil {
		return err
	}
	written := fmt.Sprintf("%s.new-%d-%d", markerName, os.Getpid(), time.Now().UnixNano())
	if err := w.root.WriteFile(written, append(data, '\n'), 0o600); err != nil {
		return &schema.Error{Op: "rerun.restore", Kind: schema.Unavailable, Subject: w.dir, Err: err, Hint: "is there space left?"}
	}
	if !fresh {
		return w.root.Rename(written, markerName)
	}
	err = w.root.Link(written, markerName)
	_ = w.root.Remove(written)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	file, err := w.root.OpenFile(markerName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // a file system without hard links
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// finish marks the directory as restored.
func (w *workspace) finish() error {
	if err := w.root.RemoveAll(keptName); err != nil {
		return err
	}
	w.marker.State = restored
	return w.put(false)
}

// begin says which run the directory belongs to, before its command is started.
func (w *workspace) begin(id schema.RunID) (err error) {
	if w.root, err = os.OpenRoot(w.dir); err != nil {
		return err
	}
	defer w.root.Close()
	w.marker.Run = id
	return w.put(false)
}

// abandon takes back what was restored; a directory that the user made stays. Large data that was copied whole stays, too, when another try may use it: then kept is
// true.
func (w *workspace) abandon(cause error) (kept bool) {
	if w.worth && (schema.IsKind(cause, schema.Interrupted) || schema.IsKind(cause, schema.Unavailable)) {
		w.marker.Process = schema.Lease{}
		return w.put(false) == nil
	}
	Clear(w.dir, w.made)
	return false
}

// Clear takes away what a rerun put into its directory, and the directory itself when whole is true. Links in it are removed, not followed.
func Clear(dir string, whole bool) {
	if whole {
		_ = os.RemoveAll(dir)
		return
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != LogName {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// takingBack looks whether dir is there, and gives what takes back all that a rerun put into it: for one that no record will ever name.
func takingBack(dir string) func() {
	_, missing := os.Lstat(dir)
	return func() { Clear(dir, missing != nil) }
}

// Prune removes, of the directories directly below base, those of reruns that were killed before their run was written down, when nothing happened in them
// for the given time. It gives their number.
func (r *Rerunner) Prune(base string, older time.Duration) (removed int) {
	entries, _ := os.ReadDir(base)
	for _, e := range entries {
		dir := filepath.Join(base, e.Name())
		info, err := e.Info()
		if err != nil || !info.IsDir() || r.Now().Time().Sub(info.ModTime()) < older {
			continue
		}
		inside, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		found, strange := readMarkers(dir, inside)
		if found == nil && !strange || found != nil && !found.begun() && !r.busy(found.Process) {
			if os.RemoveAll(dir) == nil {
				removed++
			}
		}
	}
	return removed
}

func (r *Rerunner) busy(process schema.Lease) bool {
	alive, known := r.alive(process)
	return alive || !known
}
