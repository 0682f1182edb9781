package image_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/image/imagetest"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

func wantState(t *testing.T, a schema.Availability, state schema.State, says ...string) {
	t.Helper()
	if a.State != state {
		t.Errorf("state %s: %+v; want %s", a.State, a, state)
	}
	for _, s := range says {
		if !strings.Contains(a.Reason+"\n"+a.Remedy, s) {
			t.Errorf("%+v does not say %q", a, s)
		}
	}
	if (a.State == schema.StateAvailable) != (a.Reason == "") {
		t.Errorf("reason %q of state %s", a.Reason, a.State)
	}
}

func layers(_ *registry.Options, o *image.Options) { o.Layers = true }

func TestCheckRegistryImage(t *testing.T) {
	w := newWorld(t, withCache(t.TempDir()))
	pushed, err := w.PushIndex("a/b", "1", nil, threePlatforms...)
	ok(t, err)
	pin, err := w.resolve(t, w.Ref("a/b", "1"))
	ok(t, err)
	check := func() schema.Availability { return w.images.CheckImage(t.Context(), pin) }

	w.Forget()
	a := check()
	wantState(t, a, schema.StateAvailable)
	if a.Pin != "image:image" || a.Ref != pin.Ref || a.Value != schema.Text(pushed.Digest) || a.How != "head-manifest" || w.Count("HEAD", "") != 2 || w.Count("GET", "") != 0 {
		t.Errorf("%+v %q", a, w.Requests())
	}
	moved, err := w.PushRandom("a/b", "1")
	ok(t, err)
	wantState(t, check(), schema.StateAvailable) // the digest is there: where the tag went does not matter

	for name, c := range map[string]struct {
		do    imagetest.Do
		state schema.State
		says  string
	}{
		"401":     {imagetest.Answer(401, "UNAUTHORIZED"), schema.StateUnknown, "docker login"},
		"403":     {imagetest.Answer(403, "DENIED"), schema.StateUnknown, "denies access"},
		"429":     {imagetest.TooMany("3600"), schema.StateUnknown, "try again in 1h"},
		"500":     {imagetest.Answer(500, ""), schema.StateUnknown, "500"},
		"reset":   {imagetest.Reset(), schema.StateUnknown, ""},
		"other":   {imagetest.WithHeader("Docker-Content-Digest", string(moved.Digest)), schema.StateChanged, "not the sha256"},
		"no name": {imagetest.Answer(404, "NAME_UNKNOWN"), schema.StateGone, "no such repository"},
		"404":     {imagetest.Answer(404, ""), schema.StateGone, "404"},
	} {
		remove := w.Inject(imagetest.Fault{Path: "/manifests/", Do: c.do})
		a := check()
		if t.Run(name, func(t *testing.T) { wantState(t, a, c.state, c.says) }); a.Value == "" {
			t.Errorf("%s: no value", name)
		}
		remove()
		ok(t, w.clock.Wait(t.Context(), time.Hour)) // what asked to be left alone for an hour is
	}

	ok(t, w.Delete("a/b", pushed.Children["linux/amd64"].Digest))
	a = check()
	wantState(t, a, schema.StateGone, "the index is there, its image for linux/amd64", "is not", "push the image again", "the tag 1 names another image now")
	if a.Found != schema.Text(moved.Digest) {
		t.Errorf("found %s", a.Found)
	}
	ok(t, w.Delete("a/b", pushed.Digest))
	wantState(t, check(), schema.StateGone, "MANIFEST_UNKNOWN")
	w.Close()
	wantState(t, check(), schema.StateUnknown, "refused")
}

func TestCheckLayers(t *testing.T) {
	w := newWorld(t, layers)
	pushed, err := w.PushImage("a/b", "1", imagetest.Image{Files: map[string]string{"a": "1"}})
	ok(t, err)
	pin, err := w.resolve(t, w.Ref("a/b", "1"))
	ok(t, err)
	a := w.images.CheckImage(t.Context(), pin)
	wantState(t, a, schema.StateAvailable)
	if a.How != "head-layers" || w.Count("HEAD", "/blobs/") != 2 {
		t.Errorf("%s %q", a.How, w.Requests())
	}
	w.Inject(imagetest.Fault{Method: "HEAD", Path: "/blobs/" + string(pushed.Config), Do: imagetest.Answer(404, "BLOB_UNKNOWN")})
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateGone, "its part "+string(pushed.Config)+" is not")
	w.Heal()
	w.Inject(imagetest.Fault{Path: "/blobs/", Do: imagetest.Answer(403, "DENIED")})
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateUnknown, "denies access")
	w.Heal()
	w.Inject(imagetest.Fault{Path: "/blobs/", Do: imagetest.Answer(404, "BLOB_UNKNOWN")})
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateGone, "its parts "+string(pushed.Config)+", sha256:", "are not")
	// What is known to be missing stands before what could not be found out.
	w.Inject(imagetest.Fault{Path: "/blobs/" + string(pushed.Config), Do: imagetest.Answer(403, "DENIED")})
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateGone, "its part sha256:")
}

// Not every registry answers HEAD of a blob, and storage behind a redirect often has a URL that is signed for GET.
func TestCheckLayersWithoutHead(t *testing.T) {
	for name, c := range map[string]struct {
		head, get imagetest.Do
		state     schema.State
	}{
		"405":                   {imagetest.Answer(405, "UNSUPPORTED"), nil, schema.StateAvailable},
		"signed for GET":        {imagetest.Answer(403, "SignatureDoesNotMatch"), nil, schema.StateAvailable},
		"405, and it is gone":   {imagetest.Answer(405, "UNSUPPORTED"), imagetest.Answer(404, "BLOB_UNKNOWN"), schema.StateGone},
		"storage has lost them": {imagetest.Answer(403, "SignatureDoesNotMatch"), imagetest.Answer(404, "NoSuchKey"), schema.StateGone},
		"storage is down":       {imagetest.Answer(500, ""), imagetest.Answer(500, ""), schema.StateUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			w, store := newWorld(t, layers), newWorld(t)
			pushed, err := w.PushImage("a/b", "1", imagetest.Image{Files: map[string]string{"a": "1"}})
			ok(t, err)
			ok(t, drop(store.PushImage("a/b", "1", imagetest.Image{Files: map[string]string{"a": "1"}})))
			pin, err := w.resolve(t, w.Ref("a/b", "1"))
			ok(t, err)
			w.Inject(imagetest.Fault{Path: "/blobs/", Do: func(rw http.ResponseWriter, req *http.Request, _ http.Handler) {
				http.Redirect(rw, req, "http://"+store.Host+req.URL.Path+"?signature=hunter2", http.StatusTemporaryRedirect)
			}})
			store.Inject(imagetest.Fault{Method: "HEAD", Path: "/blobs/", Do: c.head})
			if c.get != nil {
				store.Inject(imagetest.Fault{Method: "GET", Path: "/blobs/", Do: c.get})
			}
			a := w.images.CheckImage(t.Context(), pin)
			says := ""
			if c.state == schema.StateGone {
				says = string(pushed.Config)
			}
			if wantState(t, a, c.state, says); strings.Contains(a.Reason+a.Remedy, "hunter2") {
				t.Errorf("a signature is shown: %+v", a)
			}
		})
	}
}

func TestCheckLayersThatLieElsewhere(t *testing.T) {
	w := newWorld(t, layers)
	pushed, err := w.PushImage("a/b", "1", imagetest.Image{Files: map[string]string{"a": "1"}})
	ok(t, err)
	elsewhere := map[string]any{"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": schema.SHA256([]byte("x")), "size": 1, "urls": []string{"https://example.com/x"}}
	d, err := w.PushManifest("a/b", "2", "application/vnd.oci.image.manifest.v1+json", map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": pushed.Config, "size": 1}, "layers": []any{elsewhere}})
	ok(t, err)
	w.Forget()
	wantState(t, w.images.CheckImage(t.Context(), schema.ImagePin{Repository: w.Host + "/a/b", PlatformDigest: d, ConfigDigest: pushed.Config}), schema.StateAvailable)
	if w.Count("", string(schema.SHA256([]byte("x")))) != 0 {
		t.Errorf("%q", w.Requests())
	}
}

// Everything is asked for at once: no answer waits for another, but the parts for the manifest that names them.
func TestCheckAsksAtOnce(t *testing.T) {
	w := newWorld(t, layers, withCache(t.TempDir()))
	pushed, err := w.PushIndex("a/b", "1", nil, threePlatforms...)
	ok(t, err)
	pin, err := w.resolve(t, w.Ref("a/b", "1"))
	ok(t, err)
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateAvailable) // the manifest is in the cache now
	w.Forget()
	var together sync.WaitGroup
	together.Add(4) // the index, the child, its configuration and its layer
	for _, path := range []string{"/manifests/" + string(pushed.Digest), "/manifests/" + string(pin.PlatformDigest), "/blobs/"} {
		w.Inject(imagetest.Fault{Method: "HEAD", Path: path, Do: func(rw http.ResponseWriter, req *http.Request, next http.Handler) {
			together.Done()
			together.Wait()
			next.ServeHTTP(rw, req)
		}})
	}
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateAvailable)
	if w.Count("HEAD", "") != 4 || w.Count("GET", "") != 0 {
		t.Errorf("%q", w.Requests())
	}
}

// A registry that asks to be left alone is left alone by every question, not just by the one that it told so.
func TestCheckManyWhileBusy(t *testing.T) {
	w := newWorld(t)
	var pins []schema.ImagePin
	for i := range 20 {
		ok(t, drop(w.PushRandom("a/b", fmt.Sprint(i))))
		pin, err := w.resolve(t, w.Ref("a/b", fmt.Sprint(i)))
		ok(t, err)
		pins = append(pins, pin)
	}
	all := func() (found []schema.Availability) {
		for _, pin := range pins {
			found = append(found, w.images.CheckImage(t.Context(), pin))
		}
		return found
	}
	w.Forget()
	w.Inject(imagetest.Fault{Path: "/manifests/", Times: 1, Do: imagetest.TooMany("3600")})
	for _, a := range all() {
		wantState(t, a, schema.StateUnknown, "429", "try again in 1h")
	}
	if n := len(w.Requests()); n != 1 {
		t.Errorf("%d requests to a registry that asked to be left alone for an hour: %q", n, w.Requests())
	}
	ok(t, w.clock.Wait(t.Context(), time.Hour))
	w.Forget()
	w.Inject(imagetest.Fault{Path: "/manifests/", Times: 3, Do: imagetest.TooMany("10")})
	for _, a := range all() {
		wantState(t, a, schema.StateAvailable)
	}
	if n := w.Count("HEAD", ""); n != 23 {
		t.Errorf("%d requests: %q", n, w.Requests())
	}
}

// Requests that wait for their turn when the registry asks to be left alone are not sent either.
func TestCheckManyAtOnceWhileBusy(t *testing.T) {
	w := newWorld(t, func(o *registry.Options, _ *image.Options) { o.PerHost = 2 })
	var pins []schema.ImagePin
	for i := range 40 {
		ok(t, drop(w.PushRandom("a/b", fmt.Sprint(i))))
		pin, err := w.resolve(t, w.Ref("a/b", fmt.Sprint(i)))
		ok(t, err)
		pins = append(pins, pin)
	}
	w.Forget()
	w.Inject(imagetest.Fault{Path: "/manifests/", Do: imagetest.TooMany("3600")})
	var wg sync.WaitGroup
	for _, pin := range pins {
		wg.Go(func() {
			if a := w.images.CheckImage(t.Context(), pin); a.State != schema.StateUnknown || !strings.Contains(a.Reason, "429") {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if n := len(w.Requests()); n > 2 {
		t.Errorf("%d requests: %q", n, w.Requests())
	}
}

// A record may come from anywhere: nothing in it may make a check fail in other ways than by saying so.
func TestCheckHostilePins(t *testing.T) {
	w := newWorld(t, layers)
	d := schema.SHA256([]byte("x"))
	for name, pin := range map[string]schema.ImagePin{
		"empty":       {},
		"no registry": {PlatformDigest: d},
		"bad name":    {Repository: "../../etc", PlatformDigest: d},
		"template":    {Repository: "${X}", PlatformDigest: d},
		"bad digest":  {Repository: w.Host + "/a/b", PlatformDigest: "sha256:../../x"},
		"flag":        {Local: true, Engine: "--help", ConfigDigest: d},
		"local, none": {Local: true},
		"local, bad":  {Local: true, ConfigDigest: "--version"},
		"bad file":    {Ref: schema.Text(os.DevNull), FileDigest: d},
		"directory":   {Ref: "/", FileDigest: d},
	} {
		a := w.images.CheckImage(t.Context(), pin)
		if a.State != schema.StateUnknown || a.Reason == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%q", w.Requests())
	}
}

func TestImageFiles(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "trainer.sqsh")
	ok(t, os.WriteFile(path, []byte("hsqs"), 0o600))
	pin, err := w.resolve(t, path)
	ok(t, err)
	if pin.FileDigest != schema.SHA256([]byte("hsqs")) || pin.Origin.Kind != schema.FromContent || pin.PlatformDigest != "" || !hasReason(pin, image.ReasonFileOnly) {
		t.Errorf("%+v", pin)
	}
	check := func() schema.Availability { return w.images.CheckImage(t.Context(), pin) }
	wantState(t, check(), schema.StateAvailable)
	ok(t, os.WriteFile(path, []byte("other"), 0o600))
	if a := check(); a.Found != schema.Text(schema.SHA256([]byte("other"))) {
		t.Errorf("%+v", a)
	}
	wantState(t, check(), schema.StateChanged, "other bytes")
	ok(t, os.Remove(path))
	wantState(t, check(), schema.StateGone, "no such file")

	_, err = w.resolve(t, path)
	wantError(t, err, schema.Unpinnable, "trainer.sqsh", "no such file")
	_, err = w.resolve(t, "nowhere.sif")
	wantError(t, err, schema.Unpinnable, "nowhere.sif", "no such file")
	ok(t, os.Mkdir(filepath.Join(dir, "d.sif"), 0o700))
	_, err = w.resolve(t, filepath.Join(dir, "d.sif"))
	wantError(t, err, schema.Unpinnable, "not a regular file")

	pin.Ref = "relative.sqsh"
	wantState(t, check(), schema.StateUnknown, "the path is relative")
	t.Chdir(dir)
	ok(t, os.WriteFile("relative.sqsh", []byte("hsqs"), 0o600))
	wantState(t, check(), schema.StateAvailable)

	// A repository can be named like a file.
	ok(t, drop(w.PushRandom("a/b.sif", "latest")))
	if pin, err := w.resolve(t, w.Host+"/a/b.sif"); err != nil || pin.PlatformDigest == "" {
		t.Errorf("%v %+v", err, pin)
	}
	if len(must(w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: "relative.sqsh"})).Reasons) != 1 {
		t.Error("reasons")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A registry that wants a login is asked with it for every part; the storage that it sends on to never sees it.
func TestCheckLayersBehindALogin(t *testing.T) {
	for _, bearer := range []bool{false, true} {
		w, store := newWorld(t), newWorld(t)
		ok(t, drop(w.PushImage("a/b", "1", imagetest.Image{Files: map[string]string{"a": "1"}})))
		ok(t, drop(store.PushImage("a/b", "1", imagetest.Image{Files: map[string]string{"a": "1"}})))
		pin, err := w.resolve(t, w.Ref("a/b", "1"))
		ok(t, err)
		if bearer {
			w.RequireBearer("user", "hunter2")
		} else {
			w.RequireBasic("user", "hunter2")
		}
		var told sync.Map
		sendOn := func() {
			w.Inject(imagetest.Fault{Path: "/blobs/", Do: func(rw http.ResponseWriter, req *http.Request, next http.Handler) {
				if req.Header.Get("Authorization") == "" {
					next.ServeHTTP(rw, req)
					return
				}
				http.Redirect(rw, req, "http://"+store.Host+req.URL.Path, http.StatusTemporaryRedirect)
			}})
			store.Inject(imagetest.Fault{Path: "/blobs/", Do: func(rw http.ResponseWriter, req *http.Request, next http.Handler) {
				told.Store(req.Header.Get("Authorization"), true)
				next.ServeHTTP(rw, req)
			}})
		}
		check := func() schema.Availability {
			r := image.New(image.Options{Registry: registry.New(registry.Options{}), Engines: []image.Engine{}, Layers: true})
			return r.CheckImage(t.Context(), pin)
		}
		wantState(t, check(), schema.StateUnknown, "denies access", "docker login")
		t.Setenv("RUNPIN_REGISTRY_HOSTNAME_0", w.Host)
		t.Setenv("RUNPIN_REGISTRY_USERNAME_0", "user")
		t.Setenv("RUNPIN_REGISTRY_PASSWORD_0", "hunter2")
		wantState(t, check(), schema.StateAvailable)
		sendOn()
		wantState(t, check(), schema.StateAvailable)
		if _, asked := told.Load(""); !asked {
			t.Errorf("bearer %v: the storage was not asked", bearer)
		}
		told.Range(func(key, _ any) bool {
			if key != "" {
				t.Errorf("bearer %v: the storage was told %v", bearer, key)
			}
			return true
		})
		t.Setenv("RUNPIN_REGISTRY_HOSTNAME_0", "localhost")
	}
}
