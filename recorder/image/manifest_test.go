package image

import (
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestNormal(t *testing.T) {
	for in, want := range map[[3]string]string{
		{"linux", "amd64", ""}: "linux/amd64", {"linux", "x86_64", "v1"}: "linux/amd64", {"linux", "amd64", "v3"}: "linux/amd64/v3",
		{"Linux", "aarch64", ""}: "linux/arm64", {"linux", "arm64", "8"}: "linux/arm64", {"linux", "arm64", "v9"}: "linux/arm64/v9",
		{"linux", "arm", ""}: "linux/arm/v7", {"linux", "arm", "6"}: "linux/arm/v6", {"linux", "armhf", ""}: "linux/arm/v7", {"linux", "armel", ""}: "linux/arm/v6",
		{"windows", "amd64", ""}: "windows/amd64", {"linux", "i386", ""}: "linux/386",
	} {
		if got := normal(in[0], in[1], in[2]).String(); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
}

func FuzzPlatform(f *testing.F) {
	for _, s := range []string{"linux/amd64", "linux/arm/v7", "linux/arm64/8", "a/b/c/d", "/", "linux/armhf/v6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := wantedPlatform(s)
		if err != nil || s == "" {
			return
		}
		again, err := wantedPlatform(want.String())
		if err != nil || again.platform != want.platform {
			t.Fatalf("%q is %s, and that is %v (%v)", s, want, again.platform, err)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	const d = `"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`
	for _, s := range []string{
		`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":` + d + `},"layers":[{"digest":` + d + `}]}`,
		`{"schemaVersion":2,"manifests":[{"digest":` + d + `,"platform":{"os":"linux","architecture":"amd64"}},{"digest":` + d + `,"platform":null}]}`,
		`{"manifests":null,"layers":null,"config":null}`, `{"schemaVersion":1}`, `{"artifactType":"x"}`, `[]`, `null`, `{"manifests":[null]}`,
	} {
		f.Add([]byte(s))
	}
	want, _ := wantedPlatform("linux/amd64")
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, err := parseManifest(b)
		if err != nil {
			return
		}
		if doc.mediaType() == "" {
			t.Fatal("no media type")
		}
		if !doc.isIndex() {
			doc.artifact()
			return
		}
		child, _, err := choose(*doc.Manifests, want)
		if err != nil {
			return
		}
		if p, ok := child.image(); !ok || p.os != want.os || p.arch != want.arch || !child.Digest.Valid() {
			t.Fatalf("chose %+v", child)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"amd64","config":{"Labels":{"a":"b"}}}`))
	f.Add([]byte(`{"config":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseConfig(b)
		if err != nil {
			return
		}
		all, _ := labels(c.Config.Labels)
		pin := schema.ImagePin{Name: "image", Labels: all, Platform: normal(c.OS, c.Architecture, c.Variant).String()}
		if _, err := schema.Canonical(pin); err != nil {
			t.Fatalf("a record could not hold it: %v", err)
		}
	})
}
