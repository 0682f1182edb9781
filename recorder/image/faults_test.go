package image_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/image/imagetest"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// Each row breaks the registry in one way and says what a user is told.
func TestFaults(t *testing.T) {
	type row struct {
		name   string
		faults func(w *world) []imagetest.Fault
		ref    string // "" for team/trainer:1
		kind   schema.Kind
		says   []string
		is     error
	}
	one := func(f imagetest.Fault) func(*world) []imagetest.Fault {
		return func(*world) []imagetest.Fault { return []imagetest.Fault{f} }
	}
	for _, c := range []row{
		{name: "no such tag", ref: "team/trainer:nope", kind: schema.Unpinnable, says: []string{"team/trainer:nope", "no such tag or digest", "MANIFEST_UNKNOWN"}, is: registry.ErrManifestUnknown},
		{name: "no such repository", ref: "team/nope:1", kind: schema.Unpinnable, says: []string{"team/nope:1", "no such repository", "NAME_UNKNOWN", "spelling"}, is: registry.ErrNameUnknown},
		{name: "404 that says nothing", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Answer(404, "")}), kind: schema.Unpinnable, says: []string{"404 Not Found"}, is: registry.ErrNotFound},
		{name: "403", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Answer(403, "DENIED")}), kind: schema.Unpinnable,
			says: []string{"denies access", "DENIED", "no credentials were sent", "neither a Docker configuration nor a Podman auth.json", "docker login 127.0.0.1"}, is: registry.ErrDenied},
		{name: "401 without a challenge", faults: one(imagetest.Fault{Path: "/v2/", Do: imagetest.Answer(401, "UNAUTHORIZED")}), kind: schema.Unpinnable, says: []string{"denies access", "docker login"}, is: registry.ErrDenied},
		{name: "429 for ever, with Retry-After", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.TooMany("20")}), kind: schema.Unavailable,
			says: []string{"429 Too Many Requests", "times", "time allowed for it is used up", "try again in 20s"}},
		{name: "429 for ever, without Retry-After", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.TooMany("")}), kind: schema.Unavailable, says: []string{"429 Too Many Requests", "times"}},
		{name: "429 that asks for an hour", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.TooMany("3600")}), kind: schema.Unavailable, says: []string{"asks to wait 1h0m0s", "longer than we wait", "try again in 1h0m0s"}},
		{name: "429 on the ping", faults: one(imagetest.Fault{Path: "/v2/", Do: imagetest.TooMany("40")}), kind: schema.Unavailable, says: []string{"429 Too Many Requests"}},
		{name: "503 for ever", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Answer(503, "UNAVAILABLE")}), kind: schema.Unavailable, says: []string{"503 Service Unavailable", "4 times", "try again later"}},
		{name: "500 on a configuration", faults: one(imagetest.Fault{Path: "/blobs/", Do: imagetest.Answer(500, "UNKNOWN")}), kind: schema.Unavailable, says: []string{"500 Internal Server Error (UNKNOWN)", "4 times"}},
		{name: "teapot", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Answer(418, "")}), kind: schema.Unavailable, says: []string{"answered unexpectedly", "418"}},
		{name: "400", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Answer(400, "NAME_INVALID")}), kind: schema.Unpinnable, says: []string{"does not accept the reference", "NAME_INVALID"}},
		{name: "reset for ever", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Reset()}), kind: schema.Unavailable, says: []string{"try again"}},
		{name: "wrong bytes for a manifest", faults: one(imagetest.Fault{Method: "GET", Path: "/manifests/", Do: imagetest.WrongBytes()}), kind: schema.Drift,
			says: []string{"a manifest whose digest is sha256:", "not the sha256:", "damaged or does not tell the truth"}, is: registry.ErrDigestMismatch},
		{name: "wrong bytes for a configuration", faults: one(imagetest.Fault{Method: "GET", Path: "/blobs/", Do: imagetest.WrongBytes()}), kind: schema.Drift,
			says: []string{"an image configuration", "whose digest is"}, is: registry.ErrDigestMismatch},
		{name: "truncated manifest", faults: one(imagetest.Fault{Method: "GET", Path: "/manifests/", Do: imagetest.Truncated()}), kind: schema.Unavailable, says: []string{"the manifest broke off"}},
		{name: "truncated configuration", faults: one(imagetest.Fault{Method: "GET", Path: "/blobs/", Do: imagetest.Truncated()}), kind: schema.Unavailable, says: []string{"the image configuration broke off"}},
		{name: "endless manifest", faults: func(w *world) []imagetest.Fault {
			return []imagetest.Fault{{Method: "GET", Path: "/manifests/", Do: w.Endless()}}
		}, kind: schema.Unpinnable, says: []string{"the manifest has more than the 8 MiB"}, is: registry.ErrTooLarge},
		{name: "endless configuration", faults: func(w *world) []imagetest.Fault {
			return []imagetest.Fault{{Method: "GET", Path: "/blobs/", Do: w.Endless()}}
		}, kind: schema.Unpinnable, says: []string{"the image configuration has more than the 32 MiB"}, is: registry.ErrTooLarge},
		{name: "endless ping", faults: func(w *world) []imagetest.Fault {
			return []imagetest.Fault{{Path: "/v2/", Times: 1, Do: w.Endless()}}
		}},
		{name: "endless error", faults: func(w *world) []imagetest.Fault {
			return []imagetest.Fault{{Path: "/manifests/", Do: imagetest.Answer(404, strings.Repeat("X", 1<<20))}}
		}, kind: schema.Unpinnable, says: []string{"404 Not Found"}},
		{name: "hostile error text", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Answer(404, "MANIFEST\x1b[31m\n_UNKNOWN https://user:hunter2@x/?token=hunter2")}), kind: schema.Unpinnable},
		{name: "a web page", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Body("text/html", "<html>sign in")}), kind: schema.Unpinnable, says: []string{"not a manifest"}},
		{name: "a JSON of something else", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.Body("application/json", `{"ok":true}`)}), kind: schema.Unpinnable, says: []string{"not a manifest"}},
		{name: "tag disappears between two calls", faults: one(imagetest.Fault{Path: "/manifests/", After: 1, Do: imagetest.Answer(404, "MANIFEST_UNKNOWN")}), kind: schema.Unpinnable,
			says: []string{"does not have that", "moved or deleted meanwhile", "try again"}},
		{name: "configuration is missing", faults: one(imagetest.Fault{Path: "/blobs/", Do: imagetest.Answer(404, "BLOB_UNKNOWN")}), kind: schema.Unpinnable, says: []string{"does not have its configuration sha256:", "garbage"}},

		// Those that end well.
		{name: "429 twice", faults: one(imagetest.Fault{Path: "/manifests/", Times: 2, Do: imagetest.TooMany("5")})},
		{name: "429 once, with a date", faults: one(imagetest.Fault{Path: "/manifests/", Times: 1, Do: imagetest.TooMany("Mon, 23 Nov 2026 18:00:30 GMT")})},
		{name: "503 three times", faults: one(imagetest.Fault{Path: "/manifests/", Times: 3, Do: imagetest.Answer(503, "")})},
		{name: "502 on the ping", faults: one(imagetest.Fault{Path: "/v2/", Times: 2, Do: imagetest.Answer(502, "")})},
		{name: "reset twice", faults: one(imagetest.Fault{Path: "/manifests/", Times: 2, Do: imagetest.Reset()})},
		{name: "truncated once", faults: one(imagetest.Fault{Method: "GET", Path: "/manifests/", Times: 1, Do: imagetest.Truncated()})},
		{name: "truncated configuration once", faults: one(imagetest.Fault{Method: "GET", Path: "/blobs/", Times: 1, Do: imagetest.Truncated()})},
		{name: "HEAD without digest", faults: one(imagetest.Fault{Method: "HEAD", Path: "/manifests/", Do: imagetest.NoHeader("Docker-Content-Digest")})},
		{name: "no digest anywhere", faults: one(imagetest.Fault{Path: "/manifests/", Do: imagetest.NoHeader("Docker-Content-Digest")})},
		{name: "HEAD without type and length", faults: one(imagetest.Fault{Method: "HEAD", Path: "/manifests/", Do: imagetest.NoHeader("Content-Type", "Content-Length")})},
		{name: "a digest that is none", faults: one(imagetest.Fault{Method: "HEAD", Path: "/manifests/", Do: imagetest.WithHeader("Docker-Content-Digest", "sha256:x")})},
		{name: "HEAD not allowed", faults: one(imagetest.Fault{Method: "HEAD", Path: "/manifests/", Do: imagetest.Answer(405, "")})},
		{name: "HEAD denied, GET allowed", faults: one(imagetest.Fault{Method: "HEAD", Path: "/manifests/", Do: imagetest.Answer(403, "")})},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			ok(t, drop(w.PushImage("team/trainer", "1", imagetest.Image{Files: map[string]string{"a": "1"}})))
			if c.faults != nil {
				for _, f := range c.faults(w) {
					w.Inject(f)
				}
			}
			ref := c.ref
			if ref == "" {
				ref = "team/trainer:1"
			}
			pin, err := w.resolve(t, w.Host+"/"+ref)
			if c.kind == "" {
				if err != nil || !pin.PlatformDigest.Valid() || !pin.ConfigDigest.Valid() {
					t.Fatalf("%v %+v", err, pin)
				}
				return
			}
			wantError(t, err, c.kind, c.says...)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if !strings.Contains(err.Error(), ref) {
				t.Errorf("the message does not name %s: %v", ref, err)
			}
			if waited := w.clock.total(); waited > 2*time.Minute {
				t.Errorf("waited %v", waited)
			}
			if n := len(w.Requests()); n > 30 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushRandom("a/b", "1")))
	w.Inject(imagetest.Fault{Path: "/manifests/", Times: 2, Do: imagetest.TooMany("17")})
	if _, err := w.resolve(t, w.Ref("a/b", "1")); err != nil {
		t.Fatal(err)
	}
	if len(w.clock.slept) != 2 || w.clock.slept[0] != 17*time.Second || w.clock.slept[1] != 17*time.Second {
		t.Errorf("slept %v", w.clock.slept)
	}
	w.Heal()
	w.clock.slept = nil
	w.Inject(imagetest.Fault{Path: "/manifests/", Times: 1, Do: imagetest.TooMany("61")})
	_, err := w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unavailable, "1m1s")
	if len(w.clock.slept) != 0 {
		t.Errorf("slept %v for a wait that is too long", w.clock.slept)
	}
}

func TestHangsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(w *world) imagetest.Fault
		says  string
	}{
		"no answer": {func(w *world) imagetest.Fault { return imagetest.Fault{Path: "/manifests/", Do: w.Hang()} }, "does not answer in time"},
		"no ping":   {func(w *world) imagetest.Fault { return imagetest.Fault{Path: "/v2/", Do: w.Hang()} }, "does not answer in time"},
		"half an answer": {func(w *world) imagetest.Fault {
			return imagetest.Fault{Method: "GET", Path: "/manifests/", Do: w.HangInBody()}
		}, "did not finish in time"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *registry.Options, _ *image.Options) {
				o.HeaderTimeout, o.Budget = 50*time.Millisecond, 300*time.Millisecond
			})
			ok(t, drop(w.PushRandom("a/b", "1")))
			w.Inject(c.fault(w))
			_, err := w.resolve(t, w.Ref("a/b", "1"))
			wantError(t, err, schema.Unavailable, c.says)
		})
	}
}

// Of many questions to a registry that accepts connections and says nothing, the first few wait; the others are not even asked.
func TestManyQuestionsToAHang(t *testing.T) {
	w := newWorld(t, func(o *registry.Options, _ *image.Options) { o.HeaderTimeout = 50 * time.Millisecond })
	pushed, err := w.PushRandom("a/b", "1")
	ok(t, err)
	remove := w.Inject(imagetest.Fault{Path: "/manifests/", Do: w.Hang()})
	pin := schema.ImagePin{Repository: w.Host + "/a/b", PlatformDigest: pushed.Digest}
	for range 30 {
		wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateUnknown)
	}
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateUnknown, "did not answer 3 requests in a row", "does not answer in time")
	if n := w.Count("", "/manifests/"); n != 3 {
		t.Errorf("%d requests", n)
	}
	remove()
	ok(t, w.clock.Wait(t.Context(), time.Minute)) // after a while it is asked again
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateAvailable)
}

func TestNobodyListens(t *testing.T) {
	w := newWorld(t)
	w.Close()
	_, err := w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unavailable, "connection refused", "can be reached from here")
}

// Registries send readers on to a blob store; what it answers is proved all the same.
func TestRedirectedConfiguration(t *testing.T) {
	w, store := newWorld(t), newWorld(t)
	pushed, err := w.PushImage("a/b", "1", imagetest.Image{})
	ok(t, err)
	ok(t, drop(store.PushImage("a/b", "1", imagetest.Image{})))
	w.Inject(imagetest.Fault{Path: "/blobs/", Do: func(rw http.ResponseWriter, req *http.Request, _ http.Handler) {
		http.Redirect(rw, req, "http://"+store.Host+req.URL.Path+"?signature=hunter2", http.StatusTemporaryRedirect)
	}})
	pin, err := w.resolve(t, w.Ref("a/b", "1"))
	if err != nil || pin.ConfigDigest != pushed.Config {
		t.Errorf("%v %+v", err, pin)
	}
	store.Inject(imagetest.Fault{Path: "/blobs/", Do: imagetest.WrongBytes()})
	_, err = w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Drift, "image configuration whose digest is")
	store.Heal()
	store.Inject(imagetest.Fault{Path: "/blobs/", Do: imagetest.Answer(403, "AccessDenied")})
	_, err = w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unpinnable, "denies access")
	store.Close()
	_, err = w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unavailable, "refused")
}

// Hosts that the library would speak plain http to without being asked are spoken to over https, unless the user listed them.
func TestPlainHTTPOnlyWhereAllowed(t *testing.T) {
	for _, host := range []string{"registry.example:5000", "10.0.0.1:5000", "192.168.1.7", "registry.localhost:5000"} {
		w := newWorld(t)
		ok(t, drop(w.PushRandom("a/b", "1")))
		ref, err := registry.ParseReference(host + "/a/b:1")
		ok(t, err)

		o := registry.Options{Transport: dialTo{host: w.Host}, Now: w.clock.Now, Wait: w.clock.Wait}
		_, err = registry.New(o).Head(t.Context(), ref)
		wantError(t, err, schema.Unavailable, "--insecure-registry "+host)
		if n := len(w.Requests()); n != 0 {
			t.Errorf("%s: asked in the clear: %q", host, w.Requests())
		}

		o.InsecureRegistries = []string{host}
		if _, err = registry.New(o).Head(t.Context(), ref); err != nil {
			t.Errorf("%s, allowed: %v", host, err)
		}

		o.InsecureRegistries = nil
		seen := make(chan string, 20)
		o.Transport = dialTo{host: w.Host, seen: seen}
		if _, err = registry.New(o).Head(t.Context(), ref); err != nil {
			t.Errorf("%s, with TLS: %v", host, err)
		}
		close(seen)
		for scheme := range seen {
			if scheme != "https" {
				t.Errorf("%s: spoke %s", host, scheme)
			}
		}
	}
}

// dialTo sends every request to one address, whatever its URL says. With seen it notes the scheme and takes the TLS off.
type dialTo struct {
	host string
	seen chan string
}

func (d dialTo) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Host = d.host
	if d.seen != nil {
		d.seen <- req.URL.Scheme
		req.URL.Scheme = "http"
	}
	return http.DefaultTransport.RoundTrip(req)
}

func TestBasicAndBearer(t *testing.T) {
	for _, bearer := range []bool{false, true} {
		w := newWorld(t)
		ok(t, drop(w.PushRandom("a/b", "1")))
		if bearer {
			w.RequireBearer("user", "hunter2")
		} else {
			w.RequireBasic("user", "hunter2")
		}
		_, err := w.resolve(t, w.Ref("a/b", "1"))
		wantError(t, err, schema.Unpinnable, "denies access", "no credentials were sent", "docker login "+w.Host)

		t.Setenv("RUNPIN_REGISTRY_HOSTNAME_0", w.Host)
		t.Setenv("RUNPIN_REGISTRY_USERNAME_0", "user")
		t.Setenv("RUNPIN_REGISTRY_PASSWORD_0", "hunter2-wrong")
		w = &world{Registry: w.Registry, clock: w.clock, images: image.New(image.Options{Registry: registry.New(registry.Options{}), Engines: []image.Engine{}})}
		_, err = w.resolve(t, w.Ref("a/b", "1"))
		wantError(t, err, schema.Unpinnable, "denies access", "RUNPIN_REGISTRY_HOSTNAME_… were sent")

		t.Setenv("RUNPIN_REGISTRY_PASSWORD_0", "hunter2")
		w.images = image.New(image.Options{Registry: registry.New(registry.Options{}), Engines: []image.Engine{}})
		if _, err := w.resolve(t, w.Ref("a/b", "1")); err != nil {
			t.Errorf("bearer %v: %v", bearer, err)
		}
		w.images = image.New(image.Options{Registry: registry.New(registry.Options{}), Engines: []image.Engine{}})
		t.Setenv("RUNPIN_REGISTRY_HOSTNAME_0", "localhost")
		_, err = w.resolve(t, w.Ref("a/b", "1"))
		wantError(t, err, schema.Unpinnable, "denies access")
	}
}

func TestDockerConfigIsUsedAndNamed(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushRandom("a/b", "1")))
	w.RequireBasic("user", "hunter2")
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	file := filepath.Join(dir, "config.json")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		w.images = image.New(image.Options{Registry: registry.New(registry.Options{}), Engines: []image.Engine{}})
	}
	write(`{"auths":{"other.example":{"auth":"dXNlcjpodW50ZXIy"}}}`)
	_, err := w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unpinnable, "no credentials were sent", file+" has none for it")
	write(`{"auths":{"` + w.Host + `":{"auth":"dXNlcjpodW50ZXIyYg=="}}}`) // user:hunter2b
	_, err = w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unpinnable, "the credentials of "+file)
	write(`{"auths":{"` + w.Host + `":{"auth":"dXNlcjpodW50ZXIy"}}}`)
	if _, err := w.resolve(t, w.Ref("a/b", "1")); err != nil {
		t.Error(err)
	}
	write(`{"auths": hunter2`)
	_, err = w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unpinnable, "credentials could not be read from "+file)
	write(`{"credHelpers":{"` + w.Host + `":"runpin-no-such-helper"}}`)
	_, err = w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unpinnable, "credentials could not be read from "+file, "runpin-no-such-helper")
}
