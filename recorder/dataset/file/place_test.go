package file

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

func place(t testing.TB, ctx context.Context, b *Backend, pin schema.DatasetPin, at, dest string, copied bool) error {
	t.Helper()
	req := dataset.PlaceRequest{Pin: pin, At: dataset.Location{Scheme: "file", Path: string(pin.Path.Located)}, Dest: dest, Copy: copied}
	if at != "" {
		req.At.Path, req.Given = at, true
	}
	return b.Place(ctx, req)
}

// leftovers lists what stands in a directory.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// paths lists everything below dir, and dir.
func paths(t testing.TB, dir string) []string {
	t.Helper()
	var got []string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		got = append(got, filepath.ToSlash(rel))
		return err
	}))
	return got
}

func realTemp(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	return dir
}

func TestPlaceLinkToFile(t *testing.T) {
	root := plant(t, map[string]string{"w": "2"})
	b, dir := New(dataset.Options{}), realTemp(t)
	pin := mustPin(t, b, filepath.Join(root, "w"))
	dest := filepath.Join(dir, "checkout", "data", "w")
	must(t, place(t, t.Context(), b, pin, "", dest, false))
	if target, err := os.Readlink(dest); err != nil || !filepath.IsAbs(target) {
		t.Errorf("%q, %v", target, err)
	}
	if again := mustPin(t, b, dest); identity(again) != identity(pin) {
		t.Errorf("%+v", again)
	}
	wantKind(t, place(t, t.Context(), b, pin, "", dest, false), schema.Conflict)
}

func TestPlaceCopy(t *testing.T) {
	root := plant(t, map[string]string{"set/a/x": "1", "set/run*": "#!", "set/e/": "", "set/up": "-> ../../..", "set/f": "-> a/x", "set/n\xff\n": "odd", "w*": "2",
		"set/big": strings.Repeat("b", 5<<20), "set/zero": ""})
	must(t, os.Chtimes(filepath.Join(root, "set/run"), time.Unix(1e9, 5000), time.Unix(1e9, 5000)))
	b, dir := New(dataset.Options{}), realTemp(t)
	for _, name := range []string{"set", "w"} {
		pin := mustPin(t, b, filepath.Join(root, name))
		dest := filepath.Join(dir, "data", name)
		must(t, place(t, t.Context(), b, pin, "", dest, true))
		if again := mustPin(t, b, dest); identity(again) != identity(pin) {
			t.Errorf("%+v, want %+v", again, pin)
		}
		if before := mustPin(t, b, filepath.Join(root, name)); identity(before) != identity(pin) {
			t.Errorf("the original was changed: %+v", before)
		}
		wantKind(t, place(t, t.Context(), b, pin, "", dest, true), schema.Conflict)
	}
	if got := leftovers(t, filepath.Join(dir, "data")); len(got) != 2 {
		t.Errorf("left behind: %q", got)
	}
	set := filepath.Join(dir, "data/set")
	if info, err := os.Lstat(filepath.Join(set, "f")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the copy of a link to a file: %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(set, "run")); err != nil || info.ModTime().Unix() != 1e9 {
		t.Errorf("time: %v, %v", info.ModTime(), err)
	}
	if target, err := os.Readlink(filepath.Join(set, "up")); err != nil || target != "../../.." {
		t.Errorf("link: %q, %v", target, err)
	}
}

// TestPlaceSelection: what is placed holds what the pin names, and nothing else.
func TestPlaceSelection(t *testing.T) {
	root := plant(t, map[string]string{"a/1.csv": "1", "a/2.txt": "2", "b/c/2.txt": "3", "x/e/": "", "tmp/y.csv": "4"})
	req := request(root)
	req.Include, req.Exclude = []string{"**/*.csv", "x"}, []string{"tmp"}
	b, dir := New(dataset.Options{}), realTemp(t)
	pin, err := b.Resolve(t.Context(), req)
	must(t, err)
	for _, copied := range []bool{false, true} {
		dest := filepath.Join(dir, fmt.Sprint("copy ", copied))
		must(t, place(t, t.Context(), b, pin, "", dest, copied))
		if got := strings.Join(paths(t, dest), " "); got != ". a a/1.csv x x/e" {
			t.Errorf("copy %v holds %q", copied, got)
		}
	}
}

func TestPlaceRefuses(t *testing.T) {
	root := plant(t, map[string]string{"a": "1", "b": "2"})
	b, dir := New(dataset.Options{}), realTemp(t)
	pin := mustPin(t, b, root)
	must(t, os.Symlink(t.TempDir(), filepath.Join(dir, "link")))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
	for _, copied := range []bool{false, true} {
		wantKind(t, place(t, t.Context(), b, pin, "", filepath.Join(dir, "link", "x", "data"), copied), schema.Invalid, "through a link")
		wantKind(t, place(t, t.Context(), b, pin, "", filepath.Join(dir, "file", "data"), copied), schema.Unavailable, "not a directory")
		wantKind(t, place(t, t.Context(), b, pin, filepath.Join(root, "none"), filepath.Join(dir, "new", "data"), copied), schema.Gone, "--at d=")
		plantIn(t, root, map[string]string{"c": "3"})
		wantKind(t, place(t, t.Context(), b, pin, "", filepath.Join(dir, "new", "data"), copied), schema.Drift, "dataset:d", "added c")
		must(t, os.Remove(filepath.Join(root, "c")))
		wantKind(t, place(t, t.Context(), b, pin, "", filepath.Join(root, "new", "data"), copied), schema.Invalid, "own directory")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantKind(t, place(t, ctx, b, pin, "", filepath.Join(dir, "new", "data"), copied), schema.Interrupted)
	}
	if got := leftovers(t, dir); len(got) != 2 {
		t.Errorf("left behind: %q", got)
	}
	if got := leftovers(t, root); len(got) != 2 {
		t.Errorf("made in the source: %q", got)
	}
}

// TestPlaceCopyOfChangingSource: a file that changes under the copier is copied again, or the copy is refused.
func TestPlaceCopyOfChangingSource(t *testing.T) {
	root := plant(t, map[string]string{"a": "11", "b": "22"})
	b, dir := New(dataset.Options{}), realTemp(t)
	pin := mustPin(t, b, root)
	b.fault = func(stage, path string) {
		if stage == "read" && path == "a" {
			time.Sleep(5 * time.Millisecond)
			_ = os.WriteFile(filepath.Join(root, "a"), []byte("1x"), 0o644)
		}
	}
	if err := place(t, t.Context(), b, pin, "", filepath.Join(dir, "data"), true); err == nil {
		t.Error("placed")
	}
	if got := leftovers(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}
