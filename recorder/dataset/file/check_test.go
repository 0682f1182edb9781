package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

func TestCheckNamesWhatChanged(t *testing.T) {
	files := map[string]string{"a/x": "1", "a/y": "2", "b": "3", "gone": "4", "tool*": "5", "e/": "", "l": "-> a"}
	edit := func(t *testing.T, root string) {
		plantIn(t, root, map[string]string{"a/y": "two", "new": "6"})
		must(t, os.Remove(filepath.Join(root, "gone")))
		must(t, os.Chmod(filepath.Join(root, "tool"), 0o644))
	}
	for name, cache := range map[string]string{"in memory": "", "on disk": t.TempDir()} {
		root := plant(t, files)
		b := New(dataset.Options{CacheDir: cache})
		pin := mustPin(t, b, root)
		if a := check(t, b, pin, false); a.State != schema.StateAvailable || a.Reason != "" || a.Found != "" || a.Pin != "dataset:d" || string(a.Value) != pin.VersionID {
			t.Errorf("%s, before: %+v", name, a)
		}
		edit(t, root)
		for range 2 { // asking does not make it forget
			a := check(t, b, pin, false)
			want := "it differs from what was recorded in 4 paths: changed a/y, removed gone, added new, mode changed tool"
			if a.State != schema.StateChanged || a.Reason != want || a.Found == "" || a.Found == a.Value || !strings.Contains(a.Remedy, "--at d=PATH") {
				t.Errorf("%s: %+v", name, a)
			}
		}
	}
	// Without the manifest at hand it says what it can.
	root := plant(t, files)
	pin := mustPin(t, New(dataset.Options{}), root)
	edit(t, root)
	if a := check(t, New(dataset.Options{}), pin, false); a.State != schema.StateChanged || !strings.Contains(a.Reason, "bytes where") {
		t.Errorf("%+v", a)
	}
	must(t, os.Remove(filepath.Join(root, "new")))
	if a := check(t, New(dataset.Options{}), pin, false); a.State != schema.StateChanged || !strings.Contains(a.Reason, "files where 5 were recorded") {
		t.Errorf("%+v", a)
	}
}

func TestCheckManyChanges(t *testing.T) {
	root := plant(t, map[string]string{"keep": "1", "d/1": "", "d/2": "", "d/3": "", "d/4": "", "d/5": "", "d/6": "", "d/e/": "", "n\xff": "1"})
	b := New(dataset.Options{})
	pin := mustPin(t, b, root)
	must(t, os.RemoveAll(filepath.Join(root, "d")))
	a := check(t, b, pin, false)
	if want := "it differs from what was recorded in 7 paths: removed d/1, removed d/2, removed d/3, removed d/4, removed d/5, and 2 more"; a.Reason != want {
		t.Errorf("got %q, want %q", a.Reason, want)
	}
	plantIn(t, root, map[string]string{"n\xff": "2"})
	if a := check(t, b, pin, false); !strings.Contains(a.Reason, "and 3 more") {
		t.Errorf("got %q", a.Reason)
	}
	if _, err := schema.Canonical(check(t, b, pin, false)); err != nil {
		t.Errorf("a finding cannot be written: %v", err)
	}
}

func TestCheckSidecarOnly(t *testing.T) {
	root := plant(t, map[string]string{"a": "1"})
	pin := mustPin(t, New(dataset.Options{}), root)
	must(t, os.Chmod(filepath.Join(root, "a"), 0o755))
	a := check(t, New(dataset.Options{}), pin, false)
	if a.State != schema.StateChanged || !strings.Contains(a.Reason, "executable bits") || a.Value != "no sidecar" || !strings.HasPrefix(string(a.Found), "sidecar sha256:") {
		t.Errorf("%+v", a)
	}
}

func TestCheckStates(t *testing.T) {
	root := plant(t, map[string]string{"set/a": "1", "set/b": "2", "copy/a": "1", "copy/b": "2", "w": "weights", "sub/other-name": "weights", "wrong": "not weights"})
	b := New(dataset.Options{})
	set, w := mustPin(t, b, filepath.Join(root, "set")), mustPin(t, b, filepath.Join(root, "w"))
	at := func(pin schema.DatasetPin, path string) schema.Availability {
		return b.Check(t.Context(), dataset.CheckRequest{Pin: pin, At: dataset.Location{Scheme: "file", Path: filepath.Join(root, path)}, Given: true})
	}
	for _, c := range []struct {
		pin  schema.DatasetPin
		at   string
		want schema.State
		say  string
	}{
		{set, "copy", schema.StateAvailable, ""},
		{set, "none", schema.StateGone, "does not exist"},
		{set, "w", schema.StateChanged, "it is a file, and a directory was recorded"},
		{set, ".", schema.StateChanged, "files where 2 were recorded"},
		{w, "sub/other-name", schema.StateAvailable, ""},
		{w, "wrong", schema.StateChanged, "bytes"},
		{w, "set", schema.StateChanged, "it is a directory, and a file was recorded"},
		{schema.DatasetPin{Name: "d"}, "set", schema.StateUnknown, "no content digest"},
	} {
		if a := at(c.pin, c.at); a.State != c.want || !strings.Contains(a.Reason, c.say) {
			t.Errorf("%s at %s: %+v", c.pin.Path, c.at, a)
		}
	}
	moved := w // as after a rerun that read it from another place
	moved.Path = &schema.Path{Typed: w.Path.Typed, Located: schema.Text(filepath.Join(root, "sub/other-name"))}
	if a := check(t, b, moved, false); a.State != schema.StateAvailable {
		t.Errorf("moved: %+v", a)
	}
	hostile := set
	hostile.Include = []schema.Text{"["}
	if a := at(hostile, "set"); a.State != schema.StateUnknown {
		t.Errorf("bad pattern: %+v", a)
	}
	hostile = set
	hostile.Path = &schema.Path{Located: "relative"}
	if a := check(t, b, hostile, false); a.State != schema.StateUnknown {
		t.Errorf("relative place: %+v", a)
	}
}
