package image_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/image/imagetest"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// What digests name is asked for once ever, what tags name each time.
func TestWarmCacheCostsOneHead(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, withCache(dir))
	pushed, err := w.PushIndex("a/b", "1", nil, threePlatforms...)
	ok(t, err)
	first, err := w.resolve(t, w.Ref("a/b", "1"))
	ok(t, err)
	if n := len(w.Requests()); n != 5 { // ping, HEAD, index, manifest, configuration
		t.Errorf("cold: %q", w.Requests())
	}
	w.Forget()
	again := image.New(image.Options{Registry: registry.New(registry.Options{CacheDir: dir}), Engines: []image.Engine{}, Now: w.clock.Now})
	second, err := again.ResolveImage(t.Context(), recorder.ImageRequest{Name: "image", Ref: w.Ref("a/b", "1"), Platform: "linux/amd64"})
	ok(t, err)
	if d := cmp.Diff([]string{"GET /v2/", "HEAD /v2/a/b/manifests/1"}, w.Requests()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(first, second, cmp.Comparer(func(a, b schema.Time) bool { return a == b })); d != "" {
		t.Error(d)
	}
	w.Forget()
	ok(t, w.MoveTag("a/b", "1", pushed.Children["linux/amd64"].Digest))
	moved, err := again.ResolveImage(t.Context(), recorder.ImageRequest{Name: "image", Ref: w.Ref("a/b", "1"), Platform: "linux/amd64"})
	if err != nil || moved.PlatformDigest != pushed.Children["linux/amd64"].Digest || moved.IndexDigest != "" {
		t.Errorf("%v %+v", err, moved)
	}
	if n := len(w.Requests()); n != 1 {
		t.Errorf("%q", w.Requests())
	}
	// A digest that the cache knows and the registry has lost is no pin.
	ok(t, w.Delete("a/b", pushed.Digest))
	_, err = again.ResolveImage(t.Context(), recorder.ImageRequest{Name: "image", Ref: w.Ref("a/b", string(pushed.Digest))})
	wantError(t, err, schema.Unpinnable, "MANIFEST_UNKNOWN")
}

func TestDamagedCacheIsAMiss(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, withCache(dir))
	pushed, err := w.PushImage("a/b", "1", imagetest.Image{})
	ok(t, err)
	ok(t, drop(w.resolve(t, w.Ref("a/b", "1"))))
	damage := map[string]func(path string) error{
		"other bytes": func(p string) error { return os.WriteFile(p, []byte("{}"), 0o600) },
		"empty":       func(p string) error { return os.Truncate(p, 0) },
		"a directory": func(p string) error { os.Remove(p); return os.Mkdir(p, 0o700) },
		"a link":      func(p string) error { os.RemoveAll(p); return os.Symlink("/dev/zero", p) },
		"gone":        func(p string) error { return os.RemoveAll(dir) },
	}
	for _, name := range []string{"other bytes", "empty", "a directory", "a link", "gone"} {
		path := filepath.Join(dir, "sha256", pushed.Digest.Hex()[:2], pushed.Digest.Hex())
		if err := damage[name](path); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pin, err := w.resolve(t, w.Ref("a/b", "1"))
		if err != nil || pin.ConfigDigest != pushed.Config {
			t.Errorf("%s: %v %+v", name, err, pin)
		}
	}
	leftovers, _ := filepath.Glob(filepath.Join(dir, "sha256", "*", ".new-*"))
	if len(leftovers) != 0 {
		t.Errorf("left over: %v", leftovers)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, withCache(dir))
	const n = 100
	want := make([]schema.Digest, n)
	for i := range n {
		pushed, err := w.PushImage(fmt.Sprintf("team/r%d", i%10), fmt.Sprint("t", i), imagetest.Image{Files: map[string]string{"i": fmt.Sprint(i)}})
		ok(t, err)
		want[i] = pushed.Digest
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			pin, err := w.resolve(t, w.Ref(fmt.Sprintf("team/r%d", i%10), fmt.Sprint("t", i)))
			if err != nil || pin.PlatformDigest != want[i] {
				t.Errorf("%d: %v %s", i, err, pin.PlatformDigest)
			}
		})
	}
	wg.Wait()
	if pings, heads, gets := count(w, "GET /v2/"), w.Count("HEAD", ""), w.Count("GET", "/manifests/"); pings != 1 || heads != n || gets != n {
		t.Errorf("%d pings, %d HEAD, %d GET", pings, heads, gets)
	}
}

func TestRequestsPerHostAreLimited(t *testing.T) {
	w := newWorld(t, func(o *registry.Options, _ *image.Options) { o.PerHost = 3 })
	for i := range 20 {
		ok(t, drop(w.PushRandom("a/b", fmt.Sprint(i))))
	}
	var now, most atomic.Int64
	w.Inject(imagetest.Fault{Do: func(rw httpWriter, req *httpRequest, next httpHandler) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		next.ServeHTTP(rw, req)
		now.Add(-1)
	}})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := w.resolve(t, w.Ref("a/b", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d at once", most.Load())
	}
}

func count(w *world, line string) (n int) {
	for _, r := range w.Requests() {
		if r == line {
			n++
		}
	}
	return n
}

// A caller that gives up neither waits for others nor takes them down with it.
func TestCancelOneOfTwo(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushRandom("a/b", "1")))
	release := make(chan struct{})
	asked := make(chan struct{}, 10)
	w.Inject(imagetest.Fault{Path: "/v2/", Times: 1, Do: func(rw httpWriter, req *httpRequest, next httpHandler) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-req.Context().Done():
		}
		next.ServeHTTP(rw, req)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := w.images.ResolveImage(ctx, recorder.ImageRequest{Ref: w.Ref("a/b", "1"), Platform: "linux/amd64"})
		first <- err
	}()
	<-asked
	second := make(chan error, 1)
	go func() { second <- drop(w.resolve(t, w.Ref("a/b", "1"))) }()
	cancel()
	wantError(t, <-first, schema.Interrupted)
	if err := <-second; err != nil {
		t.Error(err)
	}
	close(release)
}

func TestUserAgent(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushRandom("a/b", "1")))
	agents := make(chan string, 20)
	w.Inject(imagetest.Fault{Do: func(rw httpWriter, req *httpRequest, next httpHandler) {
		agents <- req.UserAgent()
		next.ServeHTTP(rw, req)
	}})
	ok(t, drop(w.resolve(t, w.Ref("a/b", "1"))))
	close(agents)
	for a := range agents {
		if !strings.HasPrefix(a, "runpin/test ") {
			t.Errorf("%q", a)
		}
	}
}
