package image_test

import (
	"encoding/json"
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

// withEngine makes this test binary the engine of that name.
func withEngine(name string) func(*registry.Options, *image.Options) {
	return func(_ *registry.Options, o *image.Options) {
		o.Engines = append(o.Engines, image.Engine{Name: name, Program: os.Args[0]})
	}
}

// engineSays makes the engine print v for every image; a string is a mode of actAsEngine.
func engineSays(t *testing.T, v any) {
	t.Helper()
	if mode, is := v.(string); is {
		t.Setenv(engineVariable, mode)
		return
	}
	b, err := json.Marshal(v)
	ok(t, err)
	file := filepath.Join(t.TempDir(), "inspect.json")
	ok(t, os.WriteFile(file, b, 0o600))
	t.Setenv(engineVariable, file)
}

type inspect = map[string]any

func TestLocalImage(t *testing.T) {
	w := newWorld(t, withEngine("podman"))
	id := schema.SHA256([]byte("config"))
	engineSays(t, []inspect{{"Id": id.Hex(), "Os": "linux", "Architecture": "amd64", "Config": inspect{"Labels": inspect{"a": "b"}},
		"RepoDigests": []string{"localhost/mine@" + string(schema.SHA256(nil)), w.Host + "/mine@" + string(schema.SHA256(nil)), "not a reference", "--flag"}}})
	for _, c := range []struct{ ref, repository, tag string }{
		{"localhost/mine:1", "localhost/mine", "1"},
		{w.Host + "/mine:1", w.Host + "/mine", "1"}, // the registry does not have it
		{string(id), "", ""},
		{"docker://" + string(id), "", ""},
		{id.Hex(), "", ""},
	} {
		pin, err := w.images.ResolveImage(t.Context(), recorder.ImageRequest{Name: "image", Ref: c.ref, Platform: "linux/amd64", Engine: "podman"})
		if err != nil {
			t.Errorf("%s: %v", c.ref, err)
			continue
		}
		if !pin.Local || pin.Engine != "podman" || pin.ConfigDigest != id || pin.Pullable() != "" || pin.Platform != "linux/amd64" || pin.Labels["a"] != "b" ||
			pin.Repository != c.repository || pin.Tag != c.tag || pin.Origin.Kind != schema.FromEngine || pin.Origin.By != "podman" || !hasReason(pin, image.ReasonNotPushed) || pin.Ref != schema.Text(c.ref) {
			t.Errorf("%s: %+v", c.ref, pin)
		}
		wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateAvailable)
		engineWas := os.Getenv(engineVariable)
		t.Setenv(engineVariable, "absent")
		wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateGone, "podman does not have it", "never pushed")
		t.Setenv(engineVariable, "down")
		wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateUnknown, "Cannot connect")
		t.Setenv(engineVariable, engineWas)
	}
	_, err := w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: "localhost/mine:1", Platform: "linux/arm64"})
	wantError(t, err, schema.Unpinnable, "for linux/amd64 only, and linux/arm64 was asked for")
	_, err = w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: "localhost/mine:1", Engine: "containerd"})
	wantError(t, err, schema.Invalid, "containerd", "podman and docker")
}

// An engine's word for a registry's digest counts when the registry has it, with the very same configuration.
func TestEngineNamesARegistrysDigest(t *testing.T) {
	w := newWorld(t, withEngine("docker"))
	pushed, err := w.PushIndex("team/trainer", "1", nil, threePlatforms...)
	ok(t, err)
	child := pushed.Children["linux/amd64"]
	says := inspect{"Id": child.Config, "Os": "linux", "Architecture": "amd64", "RepoDigests": []string{w.Host + "/team/trainer@" + string(pushed.Digest)}}
	engineSays(t, []inspect{says})
	pin, err := w.resolve(t, "localhost/mine:1")
	ok(t, err)
	if pin.Local || pin.IndexDigest != pushed.Digest || pin.PlatformDigest != child.Digest || pin.ConfigDigest != child.Config || pin.Repository != w.Host+"/team/trainer" || pin.Tag != "" ||
		pin.Origin.Kind != schema.FromRegistry || !hasReason(pin, image.ReasonFoundByEngine) || pin.Ref != "localhost/mine:1" {
		t.Errorf("%+v", pin)
	}
	says["Id"] = schema.SHA256([]byte("another configuration"))
	engineSays(t, []inspect{says})
	pin, err = w.resolve(t, "localhost/mine:1")
	if err != nil || !pin.Local || pin.Pullable() != "" {
		t.Errorf("%v %+v", err, pin)
	}
}

// Docker's containerd store gives the digest of a manifest or an index as the id.
func TestContainerdStore(t *testing.T) {
	w := newWorld(t, withEngine("docker"))
	d := schema.SHA256([]byte("manifest"))
	for mediaType, isIndex := range map[string]bool{"application/vnd.oci.image.index.v1+json": true, "application/vnd.oci.image.manifest.v1+json": false} {
		engineSays(t, []inspect{{"Id": d, "Os": "linux", "Architecture": "amd64", "Descriptor": inspect{"mediaType": mediaType, "digest": d}}})
		pin, err := w.resolve(t, "localhost/mine:1")
		ok(t, err)
		if pin.ConfigDigest != "" || (pin.IndexDigest == d) != isIndex || (pin.PlatformDigest == d) == isIndex || !pin.Local || !hasReason(pin, image.ReasonConfigUnknown) {
			t.Errorf("%+v", pin)
		}
		wantState(t, w.images.CheckImage(t.Context(), pin), schema.StateAvailable)
	}
}

func TestEnginesThatDoNotHelp(t *testing.T) {
	for mode, says := range map[string]string{"absent": "podman does not have it", "down": "Cannot connect to the Docker daemon", "garbage": "did not print what was expected", "endless": "did not print what was expected"} {
		w := newWorld(t, withEngine("podman"))
		engineSays(t, mode)
		// The registry's error stands: it is the usual place.
		_, err := w.resolve(t, w.Ref("a/b", "1"))
		wantError(t, err, schema.Unpinnable, "no such repository")
		_, err = w.resolve(t, string(schema.SHA256(nil)))
		wantError(t, err, schema.Unpinnable, "id of an image")
		pin := schema.ImagePin{Local: true, Engine: "podman", ConfigDigest: schema.SHA256(nil)}
		a := w.images.CheckImage(t.Context(), pin)
		if !strings.Contains(a.Reason, says) || strings.Contains(a.Reason, "\x1b") {
			t.Errorf("%s: %+v", mode, a)
		}
	}
	w := newWorld(t)
	_, err := w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("a/b", "1"), Engine: "podman"})
	wantError(t, err, schema.Unpinnable, "no such repository")
	ok(t, drop(w.PushImage("a/b", "1", imagetest.Image{})))
	engineSays(t, "down") // is not asked
	if _, err := w.resolve(t, w.Ref("a/b", "1")); err != nil {
		t.Error(err)
	}
}
