package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// contents lists everything below dir with kind, mode, time, text and content, to see that nothing changes.
func contents(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	for _, rel := range paths(t, dir) {
		path := filepath.Join(dir, rel)
		info, err := os.Lstat(path)
		must(t, err)
		text, _ := os.Readlink(path)
		content := []byte(nil)
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
			must(t, err)
		}
		all = append(all, fmt.Sprintf("%q %v %v %q %q", rel, info.Mode(), info.ModTime(), text, content))
	}
	return all
}

func checkAt(t testing.TB, b *Backend, pin schema.DatasetPin, at string) schema.Availability {
	t.Helper()
	return b.Check(t.Context(), dataset.CheckRequest{Pin: pin, At: dataset.Location{Scheme: "file", Path: at}, Given: true})
}

var farmed = map[string]string{"a/x": "1", "a/b/y": "2", "run*": "#!", "e/": "", "a/e/": "", "f": "-> a/x", "n\xff\n": "odd", "in": "-> a/b", "a/b/up": "-> ..",
	"a/b/far": "-> ../../e/../in/up/", "sp ace": "s", "zero": ""}

// TestPlaceFarm: directories are real, files are links to the originals, and it is the same data set.
func TestPlaceFarm(t *testing.T) {
	root := plant(t, farmed)
	plantIn(t, root, map[string]string{"abs": "-> " + filepath.Dir(root)})
	source, err := filepath.EvalSymlinks(root)
	must(t, err)
	before := contents(t, root)
	b, dir := New(dataset.Options{}), realTemp(t)
	pin := mustPin(t, b, root)
	dest := filepath.Join(dir, "checkout", "data")
	must(t, place(t, t.Context(), b, pin, "", dest, false))
	for _, rel := range []string{"", "a", "a/b", "e", "a/e"} {
		info, err := os.Lstat(filepath.Join(dest, rel))
		parent, _ := os.Stat(filepath.Join(dir, "checkout"))
		if err != nil || info.Mode() != parent.Mode() {
			t.Errorf("%q: %v, %v", rel, info, err)
		}
	}
	for rel, want := range map[string]string{"a/x": filepath.Join(source, "a/x"), "f": filepath.Join(source, "f"), "n\xff\n": filepath.Join(source, "n\xff\n"),
		"in": "a/b", "a/b/up": "..", "a/b/far": "../../e/../in/up/", "abs": filepath.Dir(root)} {
		if got, err := os.Readlink(filepath.Join(dest, rel)); err != nil || got != want {
			t.Errorf("%q leads to %q, %v; want %q", rel, got, err, want)
		}
	}
	if !slices.Equal(paths(t, dest), paths(t, root)) {
		t.Errorf("%q, want %q", paths(t, dest), paths(t, root))
	}
	if a := checkAt(t, b, pin, dest); a.State != schema.StateAvailable {
		t.Errorf("%+v", a)
	}
	if again := mustPin(t, b, dest); identity(again) != identity(pin) {
		t.Errorf("%+v, want %+v", again, pin)
	}
	wantKind(t, place(t, t.Context(), b, pin, "", dest, false), schema.Conflict)
	if got := leftovers(t, filepath.Dir(dest)); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}

	// What a command does in the directories stays there, also by way of a link between them.
	plantIn(t, dest, map[string]string{"new": "1", "a/b/new": "2", "e/new/new": "3", "in/through": "4"})
	must(t, os.Remove(filepath.Join(dest, "a/x")))
	must(t, os.Rename(filepath.Join(dest, "run"), filepath.Join(dest, "a/x")))
	must(t, os.Chmod(filepath.Join(dest, "e"), 0o700))
	must(t, os.RemoveAll(filepath.Join(dest, "a/b")))
	must(t, os.RemoveAll(dest))
	if after := contents(t, root); !slices.Equal(after, before) {
		t.Errorf("the source is now %q, and was %q", after, before)
	}
	if a := check(t, b, pin, true); a.State != schema.StateAvailable {
		t.Errorf("the source: %+v", a)
	}
}

// TestPlaceFarmLinkOut: a relative link that leads out of the data set, or to what the patterns leave out, leads to the same directory.
func TestPlaceFarmLinkOut(t *testing.T) {
	root := plant(t, map[string]string{"a": "1", "left/out": "2", "sub/up": "-> ../..", "sub/out": "-> ../left", "sub/back": "-> ../../data/sub", "loop": "-> sub/up/data/sub"})
	req := request(root)
	req.Exclude = []string{"left"}
	b := New(dataset.Options{})
	pin, err := b.Resolve(t.Context(), req)
	must(t, err)
	dest := filepath.Join(realTemp(t), "x", "y", "data")
	must(t, place(t, t.Context(), b, pin, "", dest, false))
	for _, rel := range []string{"sub/up", "sub/out", "sub/back", "loop"} {
		got, err := os.Readlink(filepath.Join(dest, rel))
		want, _ := filepath.EvalSymlinks(filepath.Join(root, rel))
		if err != nil || got != want {
			t.Errorf("%s leads to %q, %v; want %q", rel, got, err, want)
		}
	}
	if a := check(t, b, pin, true); a.State != schema.StateAvailable {
		t.Errorf("the source: %+v", a)
	}
	if a := checkAt(t, b, pin, dest); a.State != schema.StateChanged || a.Found == a.Value {
		t.Errorf("links with another text: %+v", a)
	}
}

// TestPlaceFarmNested: a second data set takes the place of a directory of the first.
func TestPlaceFarmNested(t *testing.T) {
	first, second := plant(t, map[string]string{"a": "1", "labels/l": "old", "labels/m": "old"}), plant(t, map[string]string{"l": "new"})
	before := contents(t, first)
	b, dir := New(dataset.Options{}), realTemp(t)
	outer, inner := mustPin(t, b, first), mustPin(t, b, second)
	dest := filepath.Join(dir, "data")
	must(t, place(t, t.Context(), b, outer, "", dest, false))
	for _, below := range []string{"labels", "more/labels"} {
		at := filepath.Join(dest, below)
		must(t, os.RemoveAll(at))
		must(t, place(t, t.Context(), b, inner, "", at, false))
		if a := checkAt(t, b, inner, at); a.State != schema.StateAvailable {
			t.Errorf("%s: %+v", below, a)
		}
	}
	if after := contents(t, first); !slices.Equal(after, before) {
		t.Errorf("the first data set is now %q, and was %q", after, before)
	}
}

// linkSteps counts what progress says, and may do something at the first link.
type linkSteps struct {
	links atomic.Int64
	total atomic.Int64
	first func()
}

func (s *linkSteps) Step(what string, done, total int64, unit string) {
	if what == "linking d" && unit == "files" {
		if s.links.Swap(done) == 0 && s.first != nil {
			s.first()
		}
		s.total.Store(total)
	}
}

// TestPlaceFarmMany: with many files in a directory, progress is told, and an interruption or a failure leaves nothing behind.
func TestPlaceFarmMany(t *testing.T) {
	const many = 2000
	root := plant(t, nil)
	for i := range many {
		must(t, os.WriteFile(filepath.Join(root, fmt.Sprint(i)), nil, 0o666))
	}
	b, dir := New(dataset.Options{Workers: 3}), realTemp(t)
	pin := mustPin(t, b, root)
	dest := filepath.Join(dir, "new", "data")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, c := range []struct {
		first func()
		kind  schema.Kind
	}{
		{cancel, schema.Interrupted},
		{func() { must(t, os.MkdirAll(dest, 0o777)) }, schema.Conflict},
		{nil, ""},
	} {
		at := ctx
		if c.kind != schema.Interrupted {
			at = t.Context()
		}
		s := &linkSteps{first: c.first}
		err := b.Place(at, dataset.PlaceRequest{Pin: pin, At: dataset.Location{Path: root}, Given: true, Dest: dest, Progress: s})
		if schema.KindOf(err) != c.kind && (c.kind != "" || err != nil) {
			t.Fatalf("got %v, want kind %q", err, c.kind)
		}
		switch c.kind {
		case schema.Conflict: // of another's directory nothing is touched
			if got := leftovers(t, filepath.Dir(dest)); len(got) != 1 || len(leftovers(t, dest)) != 0 {
				t.Errorf("left behind: %q", got)
			}
			must(t, os.RemoveAll(filepath.Dir(dest)))
		case "":
			if s.links.Load() != many || s.total.Load() != many || len(leftovers(t, dest)) != many {
				t.Errorf("%d of %d told, %d made", s.links.Load(), s.total.Load(), len(leftovers(t, dest)))
			}
		default:
			if _, err := os.Lstat(filepath.Dir(dest)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("left behind: %v", err)
			}
		}
	}
}
