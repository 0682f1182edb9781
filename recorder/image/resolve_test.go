package image_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/image/imagetest"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

func withCache(dir string) func(*registry.Options, *image.Options) {
	return func(o *registry.Options, _ *image.Options) { o.CacheDir = dir }
}

var threePlatforms = []imagetest.Image{
	{Files: map[string]string{"a": "amd64"}, Labels: map[string]string{"org.opencontainers.image.revision": "abc", "both": "config"}},
	{Files: map[string]string{"a": "arm64"}, Platform: "linux/arm64/v8"},
	{Files: map[string]string{"a": "arm"}, Platform: "linux/arm/v7"},
}

func TestResolveSingle(t *testing.T) {
	w := newWorld(t)
	pushed, err := w.PushImage("team/trainer", "1.4", imagetest.Image{Labels: map[string]string{"org.opencontainers.image.source": "https://example.com/r"}})
	ok(t, err)
	got, err := w.resolve(t, w.Host+"/team/trainer:1.4")
	ok(t, err)
	want := schema.ImagePin{
		Name: "image", Ref: schema.Text(w.Host + "/team/trainer:1.4"), Repository: w.Host + "/team/trainer", Tag: "1.4",
		PlatformDigest: pushed.Digest, Platform: "linux/amd64", ConfigDigest: pushed.Config, MediaType: "application/vnd.oci.image.manifest.v1+json",
		Labels: map[string]string{"org.opencontainers.image.source": "https://example.com/r"},
		Use:    schema.Claimed, Origin: schema.Origin{Kind: schema.FromRegistry, By: w.Host, At: schema.At(w.clock.Now())},
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b schema.Time) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"GET /v2/", "HEAD /v2/team/trainer/manifests/1.4", "GET /v2/team/trainer/manifests/" + string(pushed.Digest), "GET /v2/team/trainer/blobs/" + string(pushed.Config)}, w.Requests()); d != "" {
		t.Error(d)
	}
}

func TestResolveIndex(t *testing.T) {
	w := newWorld(t)
	pushed, err := w.PushIndex("team/trainer", "1.4", map[string]string{"both": "index", "only": "index"}, threePlatforms...)
	ok(t, err)
	for platform, want := range map[string]string{
		"linux/amd64": "linux/amd64", "linux/arm64": "linux/arm64/v8", "linux/arm64/v8": "linux/arm64/v8", "linux/aarch64": "linux/arm64/v8",
		"linux/arm": "linux/arm/v7", "linux/arm/7": "linux/arm/v7",
	} {
		pin, err := w.images.ResolveImage(t.Context(), recorder.ImageRequest{Name: "image", Ref: w.Ref("team/trainer", "1.4"), Platform: platform})
		if err != nil {
			t.Errorf("%s: %v", platform, err)
			continue
		}
		child := pushed.Children[want]
		recorded := strings.TrimSuffix(want, "/v8")
		if pin.IndexDigest != pushed.Digest || pin.PlatformDigest != child.Digest || pin.ConfigDigest != child.Config || pin.Platform != recorded || pin.Pullable() != pushed.Digest {
			t.Errorf("%s: %+v", platform, pin)
		}
		if pin.MediaType != "application/vnd.oci.image.index.v1+json" || len(pin.Reasons) != 0 {
			t.Errorf("%s: %s %v", platform, pin.MediaType, pin.Reasons)
		}
		if want == "linux/amd64" && (pin.Labels["both"] != "config" || pin.Labels["only"] != "index" || pin.Labels["org.opencontainers.image.revision"] != "abc") {
			t.Errorf("labels %v", pin.Labels)
		}
	}
	_, err = w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("team/trainer", "1.4"), Platform: "linux/s390x"})
	wantError(t, err, schema.Unpinnable, "no image for linux/s390x; it has linux/amd64, linux/arm/v7, linux/arm64", "--platform")
	_, err = w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("team/trainer", "1.4"), Platform: "linux/arm/v6"})
	wantError(t, err, schema.Unpinnable, "no image for linux/arm/v6")
	for _, bad := range []string{"amd64", "linux/", "linux/amd64/v1/x", "li nux/amd64", "${P}"} {
		_, err = w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("team/trainer", "1.4"), Platform: bad})
		wantError(t, err, schema.Invalid, "not a platform")
	}
}

func TestDefaultPlatformIsThisMachines(t *testing.T) {
	w := newWorld(t)
	mine := imagetest.Image{Files: map[string]string{"a": "mine"}, Platform: "linux/" + runtime.GOARCH}
	pushed, err := w.PushIndex("a/b", "1", nil, imagetest.Image{Platform: "linux/s390x"}, mine)
	ok(t, err)
	pin, err := w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("a/b", "1")})
	ok(t, err)
	if pin.PlatformDigest != pushed.Children["linux/"+runtime.GOARCH].Digest {
		t.Errorf("%+v", pin)
	}
}

func TestOnlyVariantIsTakenWithAReason(t *testing.T) {
	w := newWorld(t)
	pushed, err := w.PushIndex("a/b", "1", nil, imagetest.Image{Platform: "linux/arm/v6"})
	ok(t, err)
	pin, err := w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("a/b", "1"), Platform: "linux/arm"})
	ok(t, err)
	if pin.PlatformDigest != pushed.Children["linux/arm/v6"].Digest || pin.Platform != "linux/arm/v6" || !hasReason(pin, image.ReasonPlatformVariant) {
		t.Errorf("%+v", pin)
	}
}

func TestTwoImagesForOnePlatform(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushIndex("a/b", "1", nil, imagetest.Image{Files: map[string]string{"a": "1"}}, imagetest.Image{Files: map[string]string{"a": "2"}})))
	_, err := w.resolve(t, w.Ref("a/b", "1"))
	wantError(t, err, schema.Unpinnable, "2 images for linux/amd64")
}

func TestSingleImageOfAnotherPlatform(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushImage("a/b", "s390x", imagetest.Image{Platform: "linux/s390x"})))
	ok(t, drop(w.PushImage("a/b", "none", imagetest.Image{Platform: "-"})))
	_, err := w.resolve(t, w.Ref("a/b", "s390x"))
	wantError(t, err, schema.Unpinnable, "for linux/s390x only, and linux/amd64 was asked for")
	_, err = w.resolve(t, w.Ref("a/b", "none"))
	wantError(t, err, schema.Unpinnable, "does not say which platform")
	pin, err := w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("a/b", "s390x")})
	if err != nil || pin.Platform != "linux/s390x" || !hasReason(pin, image.ReasonPlatformDiffers) {
		t.Errorf("%v %+v", err, pin)
	}
	pin, err = w.images.ResolveImage(t.Context(), recorder.ImageRequest{Ref: w.Ref("a/b", "none")})
	if err != nil || pin.Platform != "" || !hasReason(pin, image.ReasonPlatformUnstated) {
		t.Errorf("%v %+v", err, pin)
	}
}

func TestDigestAndTag(t *testing.T) {
	w := newWorld(t)
	old, err := w.PushRandom("a/b", "1")
	ok(t, err)
	ref := w.Ref("a/b", "1") + "@" + string(old.Digest)

	pin, err := w.resolve(t, ref)
	if err != nil || pin.PlatformDigest != old.Digest || pin.Tag != "1" || len(pin.Reasons) != 0 || pin.Ref != schema.Text(ref) {
		t.Errorf("%v %+v", err, pin)
	}
	moved, err := w.PushRandom("a/b", "1")
	ok(t, err)
	pin, err = w.resolve(t, ref)
	if err != nil || pin.PlatformDigest != old.Digest || !hasReason(pin, image.ReasonTagMoved) || !strings.Contains(pin.Reasons[0].Text, string(moved.Digest)) {
		t.Errorf("%v %+v", err, pin)
	}
	ok(t, w.DeleteTag("a/b", "1"))
	pin, err = w.resolve(t, ref)
	if err != nil || pin.PlatformDigest != old.Digest || !hasReason(pin, image.ReasonTagGone) {
		t.Errorf("%v %+v", err, pin)
	}
	ok(t, w.Delete("a/b", old.Digest))
	_, err = w.resolve(t, ref)
	wantError(t, err, schema.Unpinnable, "MANIFEST_UNKNOWN", "never pushed there, or the registry has deleted it")

	index, err := w.PushIndex("a/b", "2", nil, threePlatforms...)
	ok(t, err)
	child := index.Children["linux/amd64"].Digest
	pin, err = w.resolve(t, w.Ref("a/b", "2")+"@"+string(child))
	if err != nil || pin.PlatformDigest != child || pin.IndexDigest != "" || len(pin.Reasons) != 0 {
		t.Errorf("the digest of one platform beside the index's tag: %v %+v", err, pin)
	}
	w.Inject(imagetest.Fault{Path: "/manifests/2", Do: imagetest.Answer(403, "DENIED")})
	pin, err = w.resolve(t, w.Ref("a/b", "2")+"@"+string(child))
	if err != nil || !hasReason(pin, image.ReasonTagUnchecked) {
		t.Errorf("%v %+v", err, pin)
	}
}

func TestImplicitLatest(t *testing.T) {
	w := newWorld(t)
	pushed, err := w.PushRandom("a/b", "latest")
	ok(t, err)
	pin, err := w.resolve(t, w.Host+"/a/b")
	if err != nil || pin.PlatformDigest != pushed.Digest || pin.Tag != "latest" || !hasReason(pin, image.ReasonImplicitLatest) {
		t.Errorf("%v %+v", err, pin)
	}
	pin, err = w.resolve(t, "docker-pullable://"+w.Ref("a/b", string(pushed.Digest)))
	if err != nil || pin.PlatformDigest != pushed.Digest || pin.Tag != "" || len(pin.Reasons) != 0 {
		t.Errorf("%v %+v", err, pin)
	}
}

func TestWhatIsNoImage(t *testing.T) {
	const (
		oci     = "application/vnd.oci.image.manifest.v1+json"
		index   = "application/vnd.oci.image.index.v1+json"
		schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
		d       = `"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`
	)
	for name, c := range map[string]struct{ mediaType, manifest, says string }{
		"schema 1":         {schema1, `{"schemaVersion":1,"name":"a/b","fsLayers":[]}`, "schema version 1"},
		"schema 1 inside":  {oci, `{"schemaVersion":1,"name":"a/b","fsLayers":[]}`, "schema version 1"},
		"helm chart":       {oci, `{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":` + d + `,"size":2},"layers":[]}`, `artifact of type "application/vnd.cncf.helm.config.v1+json"`},
		"artifact":         {oci, `{"schemaVersion":2,"artifactType":"application/x-model","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":` + d + `,"size":2},"layers":[]}`, `artifact of type "application/x-model"`},
		"artifact alone":   {"application/vnd.oci.artifact.manifest.v1+json", `{"artifactType":"application/x-model","blobs":[]}`, `artifact of type "application/x-model"`},
		"both at once":     {index, `{"schemaVersion":2,"manifests":[],"layers":[]}`, "an index and an image at once"},
		"lies about type":  {oci, `{"schemaVersion":2,"mediaType":"` + oci + `","manifests":[]}`, "not of the media type that it names"},
		"empty index":      {"application/json", `{"schemaVersion":2,"manifests":[]}`, "no image at all"},
		"null":             {oci, `null`, "not a manifest"},
		"not JSON":         {oci, `manifest`, "not a manifest"},
		"list":             {oci, `[]`, "not a manifest"},
		"bad digest":       {oci, `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:../../etc/passwd","size":2}}`, "not a manifest"},
		"nested index":     {"application/json", `{"schemaVersion":2,"manifests":[{"mediaType":"` + index + `","digest":` + d + `,"size":2,"platform":{"os":"linux","architecture":"amd64"}}]}`, "no image at all"},
		"no child digest":  {"application/json", `{"schemaVersion":2,"manifests":[{"mediaType":"` + oci + `","size":2,"platform":{"os":"linux","architecture":"amd64"}}]}`, "no image at all"},
		"child is missing": {"application/json", `{"schemaVersion":2,"manifests":[{"mediaType":"` + oci + `","digest":` + d + `,"size":2,"platform":{"os":"linux","architecture":"amd64"}}]}`, "which the registry does not have"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ok(t, drop(w.PushManifest("a/b", "1", c.mediaType, c.manifest)))
			_, err := w.resolve(t, w.Ref("a/b", "1"))
			wantError(t, err, schema.Unpinnable, c.says, w.Ref("a/b", "1"))
		})
	}
}

func TestBadReferences(t *testing.T) {
	w := newWorld(t)
	for _, ref := range []string{"", "${IMAGE}", "Upper/case", "-flag", "user:hunter2@" + w.Host + "/a/b:1", "https://user:hunter2@" + w.Host + "/a/b:1"} {
		pin, err := w.resolve(t, ref)
		wantError(t, err, schema.Unpinnable)
		if pin.Ref != "" {
			t.Errorf("%q: a pin beside an error", ref)
		}
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestHugeLabelsAreLeftOut(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushImage("a/b", "1", imagetest.Image{Labels: map[string]string{"big": strings.Repeat("x", 1<<20), "org.opencontainers.image.revision": "abc"}})))
	pin, err := w.resolve(t, w.Ref("a/b", "1"))
	ok(t, err)
	if len(pin.Labels) != 1 || pin.Labels["org.opencontainers.image.revision"] != "abc" || !hasReason(pin, image.ReasonLabelsLeftOut) {
		t.Errorf("%d labels, reasons %v", len(pin.Labels), pin.Reasons)
	}
}

func TestSecretLabelsAreWithheld(t *testing.T) {
	w := newWorld(t)
	ok(t, drop(w.PushImage("a/b", "1", imagetest.Image{Labels: map[string]string{"api_key": "hunter2", "org.opencontainers.image.source": "https://user:hunter2@host/r", "a": "b"}})))
	pin, err := w.resolve(t, w.Ref("a/b", "1"))
	ok(t, err)
	if strings.Contains(fmt.Sprintf("%+v", pin), "hunter2") || !hasReason(pin, image.ReasonLabelWithheld) || len(pin.Reasons) != 2 || pin.Labels["a"] != "b" {
		t.Errorf("%+v", pin)
	}
}
