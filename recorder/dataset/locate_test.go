package dataset_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/all"
	"github.com/runpin/runpin/schema"
)

func TestParseLocation(t *testing.T) {
	for _, c := range []struct{ uri, scheme, path string }{
		{"data", "file", "data"},
		{"./data", "file", "./data"},
		{"/abs/data", "file", "/abs/data"},
		{"../data/", "file", "../data/"},
		{"~/data", "file", "~/data"},
		{"a:b", "file", "a:b"},
		{"data:v2/train", "file", "data:v2/train"},
		{"2024-11-23T18:00:00/x", "file", "2024-11-23T18:00:00/x"},
		{`C:\data`, "file", `C:\data`},
		{"C:/data", "file", "C:/data"},
		{"c://data", "file", "c://data"},
		{`\\server\share`, "file", `\\server\share`},
		{"file:data", "file", "data"},
		{"file:/abs", "file", "/abs"},
		{"file:///abs", "file", "/abs"},
		{"FILE:x", "file", "FILE:x"},
		{"a b", "file", "a b"},
		{"\xff", "file", "\xff"},
		{"x/s3://b", "file", "x/s3://b"},
		{"S3://bucket/key", "s3", ""},
		{"hf+git://org/name", "hf+git", ""},
		{"https://host/x.tar", "https", ""},
	} {
		at, err := dataset.ParseLocation(c.uri)
		if err != nil || at.Scheme != c.scheme || at.Path != c.path {
			t.Errorf("%q: got %+v, %v", c.uri, at, err)
		}
		if at.Recorded != c.uri {
			t.Errorf("%q is recorded as %q", c.uri, at.Recorded)
		}
	}
	for _, uri := range []string{"", "a\x00b", "file:", "file://", "file://host/x", "file://localhost/x", "file:///a%20b", "file:a?b", "file:a#b", "FILE:///a",
		strings.Repeat("a", 1<<20), "me:secret@host:data"} {
		if at, err := dataset.ParseLocation(uri); !schema.IsKind(err, schema.Invalid) {
			t.Errorf("%q: got %+v, %v; want an error of kind invalid", schema.Shorten(uri, 40), at, err)
		}
	}
}

func TestCredentialsAreNotRecorded(t *testing.T) {
	resolver := dataset.New(all.Backends(dataset.Options{}))
	for _, uri := range []string{"https://me:hunter2@host/x", "s3://key:hunter2@bucket/x", "file://me:hunter2@host/x", "https://host/x?X-Amz-Signature=hunter2hunter2",
		"me:hunter2@host:data"} {
		at, err := dataset.ParseLocation(uri)
		if strings.Contains(at.Recorded, "hunter2") {
			t.Errorf("%s is recorded as %s", uri, at.Recorded)
		}
		if err != nil && strings.Contains(err.Error()+schema.HintOf(err), "hunter2") {
			t.Errorf("%s: the error holds the secret: %v", uri, err)
		}
		_, err = resolver.ResolveDataset(context.Background(), recorder.DatasetRequest{Name: "d", URI: uri, WorkDir: t.TempDir()})
		if err == nil || strings.Contains(err.Error()+schema.HintOf(err), "hunter2") {
			t.Errorf("%s: got %v", uri, err)
		}
	}
}

func TestUnknownKindListsTheKnown(t *testing.T) {
	_, err := dataset.New(all.Backends(dataset.Options{})).ResolveDataset(context.Background(), recorder.DatasetRequest{Name: "d", URI: "s3://bucket/x"})
	if !schema.IsKind(err, schema.Invalid) || !strings.Contains(err.Error(), "known: file:") || !strings.Contains(err.Error(), "s3://bucket/x") {
		t.Errorf("got %v", err)
	}
}

func TestHashOutput(t *testing.T) {
	dir := t.TempDir()
	resolver := dataset.New(all.Backends(dataset.Options{}))
	if err := os.WriteFile(filepath.Join(dir, "m"), []byte("model"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := resolver.HashOutput(context.Background(), filepath.Join(dir, "m"), nil); err != nil || out.Identity() != schema.SHA256([]byte("model")) {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := resolver.HashOutput(context.Background(), filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := dataset.New(nil).HashOutput(context.Background(), dir, nil); !schema.IsKind(err, schema.Internal) {
		t.Errorf("no backend: %v", err)
	}
}

func TestTwoBackendsForOneScheme(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New did not panic")
		}
	}()
	dataset.New(append(all.Backends(dataset.Options{}), all.Backends(dataset.Options{})...))
}

func FuzzParseLocation(f *testing.F) {
	for _, s := range []string{"data", "file:///a", "s3://b/k", `C:\x`, "a:b", "~/x", "https://u:p@h/x?sig=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		at, err := dataset.ParseLocation(uri)
		if err != nil {
			if !schema.IsKind(err, schema.Invalid) {
				t.Errorf("%q: %v", uri, err)
			}
			return
		}
		if at.Scheme == "" || (at.Scheme == dataset.SchemeFile) != (at.Path != "") || (at.Path == "") != (at.URI != "") {
			t.Errorf("%q: %+v", uri, at)
		}
		if again, err := dataset.ParseLocation(at.Recorded); err == nil && again.Scheme != at.Scheme {
			t.Errorf("%q is recorded as %q, which is of the kind %s", uri, at.Recorded, again.Scheme)
		}
	})
}

func TestDescribePath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths are those of Unix")
	}
	for _, c := range []struct {
		typed, workdir, code, base, rel, located string
	}{
		{"data", "/repo/sub", "/repo", schema.BaseCheckout, "sub/data", "/repo/sub/data"},
		{"/repo/data", "/repo/sub", "/repo", schema.BaseCheckout, "data", "/repo/data"},
		{".", "/repo", "/repo", schema.BaseCheckout, ".", "/repo"},
		{"../data", "/repo", "/repo", schema.BaseWorkDir, "../data", "/data"},
		{"/repository", "/repo", "/repo", schema.BaseAbsolute, "", "/repository"},
		{"data", "/proj", "", schema.BaseWorkDir, "data", "/proj/data"},
		{"/mnt/data/", "/proj", "", schema.BaseAbsolute, "", "/mnt/data"},
		{"a\xff", "/proj", "", schema.BaseWorkDir, "a\xff", "/proj/a\xff"},
		{"..data", "/repo", "/repo", schema.BaseCheckout, "..data", "/repo/..data"},
	} {
		got := dataset.DescribePath(c.typed, c.workdir, c.code)
		want := schema.Path{Typed: schema.Text(c.typed), Base: c.base, Rel: schema.Text(c.rel), Located: schema.Text(c.located)}
		if got != want {
			t.Errorf("%q in %s: got %+v, want %+v", c.typed, c.workdir, got, want)
		}
	}
	// A checkout that is reached through a link.
	dir := t.TempDir()
	if dir, err := filepath.EvalSymlinks(dir); err != nil || os.MkdirAll(filepath.Join(dir, "repo", "data"), 0o777) != nil || os.Symlink("repo", filepath.Join(dir, "link")) != nil {
		t.Fatal(err)
	} else if got := dataset.DescribePath("data", filepath.Join(dir, "link"), filepath.Join(dir, "repo")); got.Base != schema.BaseCheckout || got.Rel != "data" {
		t.Errorf("through a link: %+v", got)
	}
}

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		include, exclude []string
		path             string
		parent           bool
		selected, gone   bool
	}{
		{nil, nil, "a", true, true, false},
		{[]string{"**/*.csv"}, nil, "a/b.csv", false, true, false},
		{[]string{"**/*.csv"}, nil, "b.csv", false, true, false},
		{[]string{"*.csv"}, nil, "a/b.csv", false, false, false},
		{[]string{"train/"}, nil, "train", false, true, false},
		{[]string{"train"}, nil, "train/x", true, true, false},
		{nil, []string{"**/*.tmp"}, "a/b.tmp", true, false, true},
		{[]string{"a"}, []string{"./a"}, "a", false, false, true},
		{[]string{"[ab].{x,y}"}, nil, "a.y", false, true, false},
	} {
		s, err := dataset.NewSelection(c.include, c.exclude)
		if err != nil {
			t.Fatal(err)
		}
		if selected, gone := s.Selected(c.path, c.parent); selected != c.selected || gone != c.gone {
			t.Errorf("%+v: got %v, %v", c, selected, gone)
		}
	}
	for _, p := range []string{"", "/", "/abs", "../x", "[", "{a", strings.Repeat("a", 5000), strings.Repeat("**/", 100)} {
		if _, err := dataset.NewSelection([]string{p}, nil); !schema.IsKind(err, schema.Invalid) {
			t.Errorf("%q: %v", schema.Shorten(p, 20), err)
		}
	}
	if _, err := dataset.NewSelection(make([]string, 2000), nil); !schema.IsKind(err, schema.Invalid) {
		t.Errorf("too many: %v", err)
	}
}
