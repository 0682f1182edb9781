package rerun

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// begun makes what a rerun that was killed while it restored leaves: a marker, and half of something.
func begun(t *testing.T, r *Rerunner, dir string, of schema.RunID, change func(*marker)) {
	t.Helper()
	w, err := claimed(r, Request{Run: schema.Run{ID: of}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer w.root.Close()
	if change != nil {
		change(&w.marker)
		if err := w.put(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "code", "half"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryOfARerun(t *testing.T) {
	run := original()
	other := schema.NewRunID(time.Now())
	for name, c := range map[string]struct {
		prepare func(t *testing.T, r *Rerunner, dir string)
		says    string // "" where the rerun may have it
	}{
		"absent":      {func(*testing.T, *Rerunner, string) {}, ""},
		"empty":       {func(_ *testing.T, _ *Rerunner, dir string) { _ = os.Mkdir(dir, 0o755) }, ""},
		"a log":       {func(_ *testing.T, _ *Rerunner, dir string) { plant(dir, LogName, "begun\n") }, ""},
		"the user's":  {func(_ *testing.T, _ *Rerunner, dir string) { plant(dir, "thesis.tex", "") }, "not empty"},
		"a file":      {func(_ *testing.T, _ *Rerunner, dir string) { plant(filepath.Dir(dir), filepath.Base(dir), "") }, "not a directory"},
		"interrupted": {func(t *testing.T, r *Rerunner, dir string) { begun(t, r, dir, run.ID, nil) }, ""},
		"another's":   {func(t *testing.T, r *Rerunner, dir string) { begun(t, r, dir, other, nil) }, "rerun of another run"},
		"run in": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, func(m *marker) { m.State, m.Run = restored, other })
		}, "was restored, and run as " + other.Short()},
		"restored alone": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, func(m *marker) { m.State = restored })
		}, ""},
		"in use": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, func(m *marker) { m.Process.PID = 7 })
		}, "process 7, is restoring"},
		"on another host": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, func(m *marker) { m.Process.PID, m.Process.Host = 8, "far" })
		}, "on far may still"},
		"damaged marker": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, nil)
			plant(dir, markerName, `{"schema":`)
		}, "not empty"},
		"a hostile marker": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, nil)
			plant(dir, markerName, `{"schema":"runpin.dev/rerun-dir/v1","rerun_of":"../../etc","state":"restored"}`)
		}, "not empty"},
		"a marker that is a link": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, nil)
			_ = os.Rename(filepath.Join(dir, markerName), dir+".elsewhere")
			_ = os.Symlink(dir+".elsewhere", filepath.Join(dir, markerName))
		}, "not empty"},
		"killed while it took over": {func(t *testing.T, r *Rerunner, dir string) {
			begun(t, r, dir, run.ID, nil)
			_ = os.Rename(filepath.Join(dir, markerName), filepath.Join(dir, markerName+".old-1-1"))
		}, ""},
		"killed before its marker was whole": {func(_ *testing.T, _ *Rerunner, dir string) { plant(dir, markerName+".new-1-1", "{") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newWorld()
			r.Alive = func(l schema.Lease) (alive, known bool) { return l.PID == 7, l.PID != 8 }
			dir := filepath.Join(t.TempDir(), "again")
			c.prepare(t, r, dir)
			_, err := r.Execute(t.Context(), Request{Run: run, Dir: dir})
			if c.says == "" {
				if err != nil || w.prepared == nil {
					t.Fatal(err)
				}
				if _, err := os.Lstat(filepath.Join(dir, "code", "half")); err == nil {
					t.Error("what was half restored is still there")
				}
				if m := readMarker(filepath.Join(dir, markerName)); m == nil || m.State != restored || m.Of != run.ID {
					t.Errorf("marker %+v", m)
				}
				return
			}
			if schema.KindOf(err) != schema.Conflict || !strings.Contains(err.Error(), c.says) || w.prepared != nil {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func plant(dir, name, content string) {
	_ = os.MkdirAll(dir, 0o755)
	_ = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
}

// Of two reruns that want one directory one gets it.
func TestTwoWantOneDirectory(t *testing.T) {
	run := original()
	for _, interrupted := range []bool{false, true} {
		_, r := newWorld()
		r.Process = func() schema.Lease { return schema.Lease{PID: 9} }
		r.Alive = func(l schema.Lease) (alive, known bool) { return l.PID == 7, true }
		dir := filepath.Join(t.TempDir(), "again")
		if interrupted {
			begun(t, r, dir, run.ID, nil)
		}
		r.Process = func() schema.Lease { return schema.Lease{PID: 7} }
		results := make(chan error, 8)
		for range cap(results) {
			go func() {
				w, err := claimed(r, Request{Run: run, Dir: dir})
				if err == nil {
					defer w.root.Close()
				}
				results <- err
			}()
		}
		won := 0
		for range cap(results) {
			if err := <-results; err == nil {
				won++
			} else if schema.KindOf(err) != schema.Conflict {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("interrupted %v: %d got it", interrupted, won)
		}
	}
}

func TestPruneTakesOnlyWhatNobodyNeeds(t *testing.T) {
	_, r := newWorld()
	r.Alive = func(l schema.Lease) (alive, known bool) { return l.PID == 7, l.PID != 8 }
	base := t.TempDir()
	of := original().ID
	at := func(name string) string { return filepath.Join(base, name) }
	begun(t, r, at("interrupted"), of, nil)
	begun(t, r, at("run"), of, func(m *marker) { m.State, m.Run = restored, of })
	begun(t, r, at("in-use"), of, func(m *marker) { m.Process.PID = 7 })
	begun(t, r, at("far"), of, func(m *marker) { m.Process.PID = 8 })
	plant(at("users"), "x", "x")
	_ = os.Mkdir(at("empty"), 0o755)
	outside := t.TempDir()
	plant(outside, "x", "x")
	_ = os.Symlink(outside, at("link"))
	if n := r.Prune(base, time.Hour); n != 0 {
		t.Errorf("%d were removed that are young", n)
	}
	r.Now = func() schema.Time { return schema.At(time.Now().Add(2 * time.Hour)) }
	if n := r.Prune(base, time.Hour); n != 2 {
		t.Errorf("%d were removed", n)
	}
	entries, _ := os.ReadDir(base)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"far", "in-use", "link", "run", "users"}; !slices.Equal(names, want) {
		t.Errorf("left: %q, want %q", names, want)
	}
	if _, err := os.Stat(filepath.Join(outside, "x")); err != nil {
		t.Error(err)
	}
}

// What was copied whole stays when the rerun is cut short, and serves again when it is proved; a changed copy is replaced.
func TestCopiedDataIsKept(t *testing.T) {
	run := original()
	run.DeclaredOutputs[0].Path.Rel, run.DeclaredOutputs[0].Path.Typed = "data/m.pt", "data/m.pt"
	run.CommandTemplate = schema.Texts([]string{"python", "t.py"})
	for name, c := range map[string]struct {
		state schema.State
		again bool // it is placed again
	}{"whole": {schema.StateAvailable, false}, "changed since": {schema.StateChanged, true}} {
		w, r := newWorld()
		dir := filepath.Join(t.TempDir(), "again")
		begun(t, r, dir, run.ID, func(m *marker) { m.Copied = []string{"train", "../x"} })
		plant(filepath.Join(dir, "code", "data"), "a.csv", "copied before")
		plant(filepath.Join(dir, "code"), "junk", "")
		asked := 0
		r.Datasets = answering{w, func() schema.Availability {
			if asked++; asked == 1 { // the preflight asks about the original
				return schema.Availability{State: schema.StateAvailable}
			}
			return schema.Availability{State: c.state}
		}}
		if _, err := r.Execute(t.Context(), Request{Run: run, Dir: dir}); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(filepath.Join(dir, "code", "data", "a.csv"))
		if placed := w.placed["train"] != ""; placed != c.again || (err != nil) != c.again {
			t.Errorf("%s: placed again %v, the copy: %v", name, placed, err)
		}
		for _, gone := range []string{"code/junk", keptName} {
			if _, err := os.Lstat(filepath.Join(dir, gone)); err == nil {
				t.Errorf("%s: %s is still there", name, gone)
			}
		}
	}
}

type answering struct {
	*world
	answer func() schema.Availability
}

func (a answering) CheckDataset(_ context.Context, _ schema.DatasetPin, _ string, _ bool) schema.Availability {
	return a.answer()
}

func TestCopyThatCannotFit(t *testing.T) {
	run := original()
	run.DeclaredOutputs[0].Path.Rel, run.DeclaredOutputs[0].Path.Typed = "data/m.pt", "data/m.pt"
	run.CommandTemplate = schema.Texts([]string{"python", "t.py"})
	run.Datasets[0].Bytes = 1 << 60
	w, r := newWorld()
	dir := filepath.Join(t.TempDir(), "again")
	if _, known := freeSpace(t.TempDir()); !known {
		t.Skip("this system is not asked how much space is left")
	}
	_, err := r.Execute(t.Context(), Request{Run: run, Dir: dir})
	if schema.KindOf(err) != schema.Unavailable || !strings.Contains(err.Error(), "1152921504606846976 bytes") || w.prepared != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("the directory is still there")
	}
	if _, err := r.Foresee(t.Context(), Request{Run: run, Dir: dir}); schema.KindOf(err) != schema.Unavailable {
		t.Errorf("a dry run says %v", err)
	}
}

func claimed(r *Rerunner, req Request) (*workspace, error) {
	p := preparedOf(req.Run)
	return r.claim(req, &p)
}

// What nobody's rerun made is not removed when an interrupted one is gone on with.
func TestStrangersAreNotRemoved(t *testing.T) {
	_, r := newWorld()
	dir := filepath.Join(t.TempDir(), "again")
	w, err := claimed(r, Request{Run: original(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w.root.Close()
	for _, name := range []string{"code", "code-lib", "outputs", LogName} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := original()
	run.ID = w.marker.Of
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = r.Execute(t.Context(), Request{Run: run, Dir: dir})
	if schema.KindOf(err) != schema.Conflict || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "notes.txt")); string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(filepath.Join(dir, "notes.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err = r.Execute(t.Context(), Request{Run: run, Dir: dir}); err != nil {
		t.Error(err)
	}
}
