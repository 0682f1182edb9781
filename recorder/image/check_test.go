package image_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	w.Inject(imagetest.Fault{Method: "HEAD", Path: "/blobs/", Do: imagetest.Answer(403, "DENIED")})
	wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateUnknown, "denies access")
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
