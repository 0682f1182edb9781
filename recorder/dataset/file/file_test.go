package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
	"golang.org/x/mod/sumdb/dirhash"
)

// TestDigestIsDirHash holds content digest and manifest to the reference implementation.
func TestDigestIsDirHash(t *testing.T) {
	root := plant(t, map[string]string{"a": "1", "a-b/c": "2", "a.txt": "3", "ab/c/d": "4", "ab/c.d": "5", "Z": "", "ü/é": "6", `back\slash`: "7", " ": "8", "a b": "9"})
	names, err := dirhash.DirFiles(root, "")
	must(t, err)
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], "/")
	}
	want, err := dirhash.Hash1(names, func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(root, name)) })
	must(t, err)
	s := &sink{}
	req := request(root)
	req.Sink = s
	pin, err := New(dataset.Options{Host: "node7"}).Resolve(t.Context(), req)
	must(t, err)
	raw, err := hex.DecodeString(pin.ContentDigest.Hex())
	must(t, err)
	if got := "h1:" + base64.StdEncoding.EncodeToString(raw); got != want {
		t.Errorf("content digest %s, dirhash says %s", got, want)
	}
	if pin.Manifest == nil || pin.Manifest.Digest != pin.ContentDigest || pin.Sidecar != nil || pin.SidecarDigest != "" || pin.DigestKind != schema.DirHash {
		t.Errorf("pin %+v", pin)
	}
	if pin.Files != 10 || pin.Bytes != 9 || !pin.Directory || pin.FileDigest != "" || pin.VersionKind != "content" || pin.VersionID != string(pin.ContentDigest) ||
		pin.Strength != schema.StrengthContent || pin.Use != schema.Observed || pin.Origin.Kind != schema.FromContent || pin.Origin.By != "node7" || pin.Origin.At.IsZero() {
		t.Errorf("pin %+v", pin)
	}
	slices.Sort(names)
	if got := manifestPaths(t, s, pin.DigestKind); !slices.Equal(got, names) {
		t.Errorf("the manifest lists %q, want %q", got, names)
	}
}

func TestSingleFile(t *testing.T) {
	root := plant(t, map[string]string{"w.bin": "weights", "run.sh*": "#!", "link": "-> w.bin"})
	b := New(dataset.Options{})
	pin := mustPin(t, b, filepath.Join(root, "w.bin"))
	sum := sha256.Sum256([]byte("weights"))
	if want := schema.SHA256(fmt.Appendf(nil, "%x  w.bin\n", sum)); pin.ContentDigest != want || pin.FileDigest != schema.SHA256Sum(sum) || pin.Directory || pin.Files != 1 || pin.Bytes != 7 {
		t.Errorf("pin %+v, want digest %s", pin, want)
	}
	if link := mustPin(t, b, filepath.Join(root, "link")); link.FileDigest != pin.FileDigest || link.ContentDigest == pin.ContentDigest {
		t.Errorf("through a link: %+v", link)
	}
	if script := mustPin(t, b, filepath.Join(root, "run.sh")); script.SidecarDigest != schema.SHA256([]byte(dataset.SidecarHeader+"x\trun.sh\n")) {
		t.Errorf("executable: %+v", script)
	}
	req := request(filepath.Join(root, "w.bin"))
	req.Include = []string{"*"}
	_, err := b.Resolve(t.Context(), req)
	wantKind(t, err, schema.Invalid, "patterns")
}

func TestOddNames(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems refuse such names")
	}
	root := plant(t, map[string]string{"a\nb": "1", `a\nb`: "2", "c\r": "3", "\xff\xfe/\xfd": "4", "a": "5", "a\n/x": "6"})
	s := &sink{}
	req := request(root)
	req.Sink = s
	pin, err := New(dataset.Options{}).Resolve(t.Context(), req)
	must(t, err)
	if pin.DigestKind != schema.DirHashEscaped {
		t.Errorf("kind %s", pin.DigestKind)
	}
	var want []string
	content := map[string]string{}
	for _, name := range manifestPaths(t, s, pin.DigestKind) {
		want = append(want, dataset.EscapePath(name))
		content[dataset.EscapePath(name)] = name
	}
	if len(want) != 6 {
		t.Errorf("manifest %q", want)
	}
	hash, err := dirhash.Hash1(want, func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(root, content[name])) })
	must(t, err)
	raw, err := hex.DecodeString(pin.ContentDigest.Hex())
	must(t, err)
	if got := "h1:" + base64.StdEncoding.EncodeToString(raw); got != hash {
		t.Errorf("digest %s, dirhash of the escaped names says %s", got, hash)
	}
	// A newline in a directory that holds no file is the sidecar's matter.
	root = plant(t, map[string]string{"a": "1", "b\nc/": ""})
	if pin := mustPin(t, New(dataset.Options{}), root); pin.DigestKind != schema.DirHash || pin.SidecarDigest != schema.SHA256([]byte(dataset.SidecarHeader+"d\tb\\nc\n")) {
		t.Errorf("pin %+v", pin)
	}
}

func TestSidecarOfTree(t *testing.T) {
	root := plant(t, map[string]string{"a/x": "1", "a-b*": "2", "a2/": "", "z/y/": "", "to-dir": "-> a", "to-file": "-> a/x", "deep/up": "-> ../..", "d/run*": "3"})
	s := &sink{}
	req := request(root)
	req.Sink = s
	pin, err := New(dataset.Options{}).Resolve(t.Context(), req)
	must(t, err)
	want := dataset.SidecarHeader + "x\ta-b\nd\ta2\nx\td/run\nl\tdeep/up\t../..\nl\tto-dir\ta\nd\tz/y\n"
	if got := string(s.blobs[schema.BlobSidecar]); got != want {
		t.Errorf("sidecar %q, want %q", got, want)
	}
	if entries, err := dataset.ParseSidecar([]byte(want)); err != nil || len(entries) != 6 {
		t.Errorf("%v, %v", entries, err)
	}
	if pin.SidecarDigest != schema.SHA256([]byte(want)) || pin.Sidecar.Digest != pin.SidecarDigest {
		t.Errorf("digest %s", pin.SidecarDigest)
	}
	if got := manifestPaths(t, s, pin.DigestKind); !slices.Equal(got, []string{"a-b", "a/x", "d/run", "to-file"}) {
		t.Errorf("manifest %q", got)
	}
}

// TestIdentityIsSensitive changes one thing at a time.
func TestIdentityIsSensitive(t *testing.T) {
	base := map[string]string{"a/x": "one", "b": "two", "tool*": "three", "e/": "", "l": "-> a", "f": "-> b"}
	seen := map[[5]string]string{identity(mustPin(t, New(dataset.Options{}), plant(t, base))): "base"}
	for name, edit := range map[string]func(root string){
		"byte": func(root string) { plantIn(t, root, map[string]string{"a/x": "onE"}) },
		"name": func(root string) {
			must(t, os.Rename(filepath.Join(root, "b"), filepath.Join(root, "B")))
			must(t, os.Remove(filepath.Join(root, "f")))
		},
		"file more":         func(root string) { plantIn(t, root, map[string]string{"c": ""}) },
		"file less":         func(root string) { must(t, os.Remove(filepath.Join(root, "a/x"))) },
		"executable more":   func(root string) { must(t, os.Chmod(filepath.Join(root, "b"), 0o744)) },
		"executable less":   func(root string) { must(t, os.Chmod(filepath.Join(root, "tool"), 0o644)) },
		"empty directory":   func(root string) { plantIn(t, root, map[string]string{"g/": ""}) },
		"no such directory": func(root string) { must(t, os.Remove(filepath.Join(root, "e"))) },
		"link elsewhere": func(root string) {
			must(t, os.Remove(filepath.Join(root, "l")))
			plantIn(t, root, map[string]string{"l": "-> e"})
		},
		"link's spelling": func(root string) {
			must(t, os.Remove(filepath.Join(root, "l")))
			plantIn(t, root, map[string]string{"l": "-> ./a"})
		},
		"what a link means": func(root string) {
			must(t, os.Remove(filepath.Join(root, "f")))
			plantIn(t, root, map[string]string{"f": "-> a/x"})
		},
	} {
		root := plant(t, base)
		edit(root)
		id := identity(mustPin(t, New(dataset.Options{}), root))
		if other, twice := seen[id]; twice {
			t.Errorf("%q and %q have the same identity", name, other)
		}
		seen[id] = name
	}
	// A link to a file and the file itself are the same data.
	root := plant(t, base)
	must(t, os.Remove(filepath.Join(root, "f")))
	plantIn(t, root, map[string]string{"f": "two"})
	if seen[identity(mustPin(t, New(dataset.Options{}), root))] != "base" {
		t.Error("a link to a file has another identity than its content")
	}
}

// TestOrderDoesNotMatter reads random trees with one worker and with many, against a digest computed the plain way.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 2))
		root := filepath.Join(t.TempDir(), "data")
		must(t, os.Mkdir(root, 0o777))
		dirs := []string{""}
		sums := map[string]string{}
		for range 20 {
			dir := filepath.Join(dirs[rng.IntN(len(dirs))], fmt.Sprintf("%c%d", "az-.Z"[rng.IntN(5)], rng.IntN(30)))
			if os.Mkdir(filepath.Join(root, dir), 0o777) == nil {
				dirs = append(dirs, dir)
			}
		}
		for range 700 {
			name := filepath.Join(dirs[rng.IntN(len(dirs))], fmt.Sprintf("f%c%d", "az-.Z"[rng.IntN(5)], rng.IntN(10000)))
			size := rng.IntN(50)
			if rng.IntN(150) == 0 {
				size = []int{readBuffer - 1, readBuffer, readBuffer + 1, largeFile - 1, largeFile, largeFile + 1, 3*largeFile + 7}[rng.IntN(7)]
			}
			content := bytes.Repeat([]byte{byte(rng.IntN(256))}, size)
			must(t, os.WriteFile(filepath.Join(root, name), content, 0o644))
			sums[filepath.ToSlash(name)] = fmt.Sprintf("%x", sha256.Sum256(content))
		}
		var names []string
		for name := range sums {
			names = append(names, name)
		}
		slices.Sort(names)
		var manifest []byte
		for _, name := range names {
			manifest = fmt.Appendf(manifest, "%s  %s\n", sums[name], name)
		}
		want := schema.SHA256(manifest)
		first := [5]string{}
		for _, workers := range []int{1, 2, 3, 40} {
			b := New(dataset.Options{Workers: workers})
			for range 2 { // the second time from the stat cache, as far as it is trusted
				pin := mustPin(t, b, root)
				if pin.ContentDigest != want || pin.Files != int64(len(names)) {
					t.Fatalf("seed %d, %d workers: %s, want %s", seed, workers, pin.ContentDigest, want)
				}
				if id := identity(pin); first[0] == "" {
					first = id
				} else if id != first {
					t.Errorf("seed %d, %d workers: %v, want %v", seed, workers, id, first)
				}
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	root := plant(t, map[string]string{"a/1.csv": "1", "a/2.txt": "2", "b/c/3.csv": "3", "tmp/x.csv": "4", "e/": "", "only/no.txt": "5", "run.csv*": "6"})
	pinOf := func(include, exclude []string) (schema.DatasetPin, *sink, error) {
		s := &sink{}
		req := request(root)
		req.Include, req.Exclude, req.Sink = include, exclude, s
		pin, err := New(dataset.Options{}).Resolve(t.Context(), req)
		return pin, s, err
	}
	pin, s, err := pinOf([]string{"**/*.csv"}, []string{"tmp/"})
	must(t, err)
	if got := manifestPaths(t, s, pin.DigestKind); !slices.Equal(got, []string{"a/1.csv", "b/c/3.csv", "run.csv"}) {
		t.Errorf("manifest %q", got)
	}
	if got := string(s.blobs[schema.BlobSidecar]); got != dataset.SidecarHeader+"x\trun.csv\n" {
		t.Errorf("sidecar %q", got)
	}
	if !slices.Equal(pin.Include, []schema.Text{"**/*.csv"}) || !slices.Equal(pin.Exclude, []schema.Text{"tmp/"}) {
		t.Errorf("patterns %q %q", pin.Include, pin.Exclude)
	}
	// What is left out may change, come and go.
	plantIn(t, root, map[string]string{"a/2.txt": "other", "tmp/y": "new", "only/more.txt": ""})
	if again, _, err := pinOf([]string{"**/*.csv"}, []string{"tmp/"}); err != nil || identity(again) != identity(pin) {
		t.Errorf("%+v, %v", again, err)
	}
	// A directory of which exclusion leaves nothing is empty.
	_, s, err = pinOf(nil, []string{"**/*.txt", "**/*.csv"})
	must(t, err)
	if got := string(s.blobs[schema.BlobSidecar]); got != dataset.SidecarHeader+"d\ta\nd\tb/c\nd\te\nd\tonly\n" {
		t.Errorf("sidecar %q", got)
	}
	// A pattern that matches a directory stands for all of it, empty directories included.
	pin, s, err = pinOf([]string{"e", "b"}, nil)
	must(t, err)
	if got := manifestPaths(t, s, pin.DigestKind); !slices.Equal(got, []string{"b/c/3.csv"}) || string(s.blobs[schema.BlobSidecar]) != dataset.SidecarHeader+"d\te\n" {
		t.Errorf("manifest %q, sidecar %q", got, s.blobs[schema.BlobSidecar])
	}
	_, _, err = pinOf([]string{"**/*.parquet"}, nil)
	wantKind(t, err, schema.Unpinnable, "select nothing")
	_, _, err = pinOf([]string{"["}, nil)
	wantKind(t, err, schema.Invalid, "pattern")
}

func TestEmpty(t *testing.T) {
	pin := mustPin(t, New(dataset.Options{}), plant(t, nil))
	if pin.ContentDigest != schema.SHA256(nil) || pin.Files != 0 || len(pin.Reasons) != 1 || pin.Reasons[0].Code != "empty" {
		t.Errorf("pin %+v", pin)
	}
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	plantIn(t, dir, map[string]string{"file": "x", "dangling": "-> nowhere", "loop": "-> loop"})
	b := New(dataset.Options{})
	for _, name := range []string{"none", "none/at/all", "dangling"} {
		_, err := b.Resolve(t.Context(), request(filepath.Join(dir, name)))
		wantKind(t, err, schema.Unpinnable, name)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v is not fs.ErrNotExist", name, err)
		}
		if _, err := b.HashOutput(t.Context(), filepath.Join(dir, name), nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("output %s: %v is not fs.ErrNotExist", name, err)
		}
	}
	for _, name := range []string{"file/below", "loop"} {
		_, err := b.Resolve(t.Context(), request(filepath.Join(dir, name)))
		wantKind(t, err, schema.Unpinnable, name)
	}
	req := request(dir)
	req.Location.Path = "~/data"
	_, err := b.Resolve(t.Context(), req)
	wantKind(t, err, schema.Unpinnable, "~/data", "$HOME/data")
}

func TestDotDotThroughALink(t *testing.T) {
	dir := t.TempDir()
	plantIn(t, dir, map[string]string{"far/away/": "", "link": "-> far/away", "far/data/x": "the target's", "data/x": "the link's", "here/": ""})
	req := request(dir)
	req.WorkDir = dir
	req.Location.Path = "link/../data"
	_, err := New(dataset.Options{}).Resolve(t.Context(), req)
	wantKind(t, err, schema.Invalid, "..")
	req.Location.Path = "here/../data"
	if _, err := New(dataset.Options{}).Resolve(t.Context(), req); err != nil {
		t.Error(err)
	}
}

type steps struct {
	calls atomic.Int64
	last  atomic.Int64
}

func (s *steps) Step(what string, done, total int64, unit string) {
	s.calls.Add(1)
	s.last.Store(done)
}

func TestProgress(t *testing.T) {
	root := plant(t, map[string]string{"a": "1", "b": "22"})
	s := &steps{}
	req := request(root)
	req.Progress = s
	_, err := New(dataset.Options{}).Resolve(t.Context(), req)
	must(t, err)
	if n := s.calls.Load(); n == 0 || n > 3 || s.last.Load() != 3 {
		t.Errorf("%d calls, the last with %d", n, s.last.Load())
	}
}

func TestHashOutput(t *testing.T) {
	root := plant(t, map[string]string{"m.pt": "model", "dir/a": "1", "dir/e/": ""})
	b, s := New(dataset.Options{}), &sink{}
	out, err := b.HashOutput(t.Context(), filepath.Join(root, "m.pt"), s)
	must(t, err)
	if out.Identity() != schema.SHA256([]byte("model")) || out.Directory || out.Bytes != 5 || out.Files != 1 || out.Manifest != nil {
		t.Errorf("file: %+v", out)
	}
	out, err = b.HashOutput(t.Context(), filepath.Join(root, "dir"), s)
	must(t, err)
	pin := mustPin(t, b, filepath.Join(root, "dir"))
	if out.Identity() != pin.ContentDigest || out.SidecarDigest != pin.SidecarDigest || out.SidecarDigest == "" || out.DigestKind != pin.DigestKind || !out.Directory ||
		out.Manifest == nil || out.Manifest.Digest != out.ContentDigest {
		t.Errorf("directory: %+v", out)
	}
}

// brokenSink fails in the middle.
type brokenSink struct{}

func (brokenSink) PutBlob(_ context.Context, _ schema.BlobKind, r io.Reader) (schema.BlobRef, error) {
	_, _ = r.Read(make([]byte, 1))
	return schema.BlobRef{}, errNone
}

func TestBrokenSink(t *testing.T) {
	req := request(plant(t, map[string]string{"a": "1"}))
	req.Sink = brokenSink{}
	if _, err := New(dataset.Options{}).Resolve(t.Context(), req); !errors.Is(err, errNone) {
		t.Errorf("got %v", err)
	}
}
