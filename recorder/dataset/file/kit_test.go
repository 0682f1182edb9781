package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// sink keeps blobs in memory.
type sink struct {
	mu    sync.Mutex
	blobs map[schema.BlobKind][]byte
}

func (s *sink) PutBlob(_ context.Context, kind schema.BlobKind, r io.Reader) (schema.BlobRef, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return schema.BlobRef{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[schema.BlobKind][]byte{}
	}
	s.blobs[kind] = b
	return schema.BlobRef{Kind: kind, Digest: schema.SHA256(b), Bytes: int64(len(b))}, nil
}

func request(path string) dataset.Request {
	return dataset.Request{DatasetRequest: recorder.DatasetRequest{Name: "d", Role: schema.RoleData, URI: path, WorkDir: filepath.Dir(path)},
		Location: dataset.Location{Scheme: "file", Recorded: path, Path: path}}
}

func mustPin(t testing.TB, b *Backend, path string) schema.DatasetPin {
	t.Helper()
	pin, err := b.Resolve(t.Context(), request(path))
	if err != nil {
		t.Fatalf("resolving %s: %v", path, err)
	}
	return pin
}

func check(t testing.TB, b *Backend, pin schema.DatasetPin, deep bool) schema.Availability {
	t.Helper()
	return b.Check(t.Context(), dataset.CheckRequest{Pin: pin, At: dataset.Location{Scheme: "file", Path: string(pin.Path.Located)}, Deep: deep})
}

// identity is what two reads of the same data set must agree on.
func identity(pin schema.DatasetPin) [5]string {
	return [5]string{string(pin.ContentDigest), pin.DigestKind, string(pin.SidecarDigest), string(pin.FileDigest), pin.VersionID}
}

// plant makes files below a new directory: "name" with content, "name/" an empty directory, "name" with "-> target" a link, "name*" an
// executable file.
func plant(t testing.TB, files map[string]string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "data")
	must(t, os.Mkdir(root, 0o777))
	plantIn(t, root, files)
	return root
}

func plantIn(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o777))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o777))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			must(t, os.Symlink(target, path))
			continue
		}
		mode := fs.FileMode(0o644)
		if exec, ok := strings.CutSuffix(path, "*"); ok {
			path, mode = exec, 0o755
		}
		must(t, os.WriteFile(path, []byte(content), mode))
		must(t, os.Chmod(path, mode))
	}
}

// age waits until nothing below is racy any more.
func age(t testing.TB) {
	t.Helper()
	time.Sleep(racyLocal + 50*time.Millisecond)
}

// writeBack changes a file in place and gives it its old size and time back.
func writeBack(t testing.TB, path, content string) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() != int64(len(content)) {
		t.Fatalf("%s has %d bytes, %q has %d", path, info.Size(), content, len(content))
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(content)
	must(t, err)
	must(t, f.Close())
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

func manifestPaths(t testing.TB, s *sink, kind string) []string {
	t.Helper()
	var paths []string
	for line, err := range dataset.ReadManifest(bytes.NewReader(s.blobs[schema.BlobManifest]), kind) {
		must(t, err)
		paths = append(paths, line.Path)
	}
	return paths
}

// requirePart skips the test when a program or a right is missing, unless RUNPIN_TEST_REQUIRE asks for it.
func requirePart(t testing.TB, part string, missing bool) {
	t.Helper()
	wanted := strings.Split(os.Getenv("RUNPIN_TEST_REQUIRE"), ",")
	if !missing {
		return
	}
	if slices.Contains(wanted, "all") || slices.Contains(wanted, part) {
		t.Fatalf("%s is missing, and RUNPIN_TEST_REQUIRE asks for it", part)
	}
	t.Skipf("%s is missing", part)
}

func wantKind(t testing.TB, err error, kind schema.Kind, parts ...string) {
	t.Helper()
	if schema.KindOf(err) != kind {
		t.Errorf("got %v (%s), want an error of kind %s", err, schema.KindOf(err), kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error()+" "+schema.HintOf(err), part) {
			t.Errorf("%v (hint %q) does not say %q", err, schema.HintOf(err), part)
		}
	}
}

var errNone = errors.New("no error")
