package kubernetes

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/schema"
)

// indexRegistry has an index of two platforms, and more images that are not in it.
type indexRegistry struct{ down bool }

func (r indexRegistry) DescribeImage(ctx context.Context, ref, platform string) (schema.ImagePin, []schema.Digest, error) {
	_, d, _ := strings.Cut(ref, "@")
	images := registry{digest("amd64"): {PlatformDigest: digest("amd64"), ConfigDigest: digest("config"), Platform: "linux/amd64"},
		digest("arm64"): {PlatformDigest: digest("arm64"), ConfigDigest: digest("arm config"), Platform: "linux/arm64"},
		digest("other"): {PlatformDigest: digest("other"), ConfigDigest: digest("other config"), Platform: "linux/arm64"}}
	if schema.Digest(d) != digest("index") {
		return images.DescribeImage(ctx, ref, platform)
	}
	if r.down {
		return schema.ImagePin{}, nil, &schema.Error{Kind: schema.Unavailable, Err: errors.New("down")}
	}
	pin := schema.ImagePin{}
	if platform != "" {
		pin = images[digest(strings.TrimPrefix(platform, "linux/"))]
	}
	pin.IndexDigest = digest("index")
	return pin, []schema.Digest{digest("amd64"), digest("arm64")}, nil
}

// TestPlatformOfTheIndex: a node of another kind takes another image of the index that was pinned. That is what ran, and no drift.
func TestPlatformOfTheIndex(t *testing.T) {
	bare := pinned
	bare.PlatformDigest, bare.Platform, bare.ConfigDigest = "", "", ""
	arm := func(name string) string { return pod(name, -1, "team/trainer@"+string(digest("arm64")), 1, 9, 0) }
	amd := func(name string) string { return pod(name, -1, "team/trainer@"+string(digest("amd64")), 1, 9, 0) }
	bound := strings.Replace(pod("a", -1, "team/trainer@"+string(digest("index")), 1, 9, 0), `"spec":{`, `"spec":{"nodeSelector":{"kubernetes.io/arch":"arm64"},`, 1)
	for _, c := range []struct {
		name     string
		pin      schema.ImagePin
		images   collect.Describer
		pods     []string
		platform string // of the pin, after
		config   schema.Digest
		reason   string
		drift    bool
	}{
		{"as planned", pinned, indexRegistry{}, []string{amd("a")}, "linux/amd64", digest("config"), "", false},
		{"another", pinned, indexRegistry{}, []string{arm("a"), arm("b")}, "linux/arm64", digest("arm config"), "other-platform", false},
		{"another, as the node's selector tells", pinned, indexRegistry{}, []string{bound}, "linux/arm64", digest("arm config"), "other-platform", false},
		{"both", pinned, indexRegistry{}, []string{arm("a"), amd("b")}, "", "", "several-platforms", false},
		{"both, without a plan", bare, indexRegistry{}, []string{arm("a"), amd("b")}, "", "", "several-platforms", false},
		{"none of the index", pinned, indexRegistry{}, []string{pod("a", -1, "team/trainer@"+string(digest("other")), 1, 9, 0)}, "linux/amd64", digest("config"), "", true},
		{"what the index holds is not known", pinned, indexRegistry{down: true}, []string{arm("a")}, "linux/amd64", digest("config"), "", true},
		{"nobody to ask", pinned, nil, []string{arm("a")}, "linux/amd64", digest("config"), "", true},
	} {
		run, out, _ := fold(t, base(c.pin), list(t, c.pods...), c.images)
		p, reason := run.Images[0], ""
		if len(p.Reasons) > 0 {
			reason = p.Reasons[0].Code
		}
		if p.Platform != c.platform || p.ConfigDigest != c.config || reason != c.reason || (len(run.Drift) > 0) != c.drift || p.IndexDigest != digest("index") || (p.Use == schema.Observed) == c.drift {
			t.Errorf("%s: %s, config %s, use %s, reasons %v, drift %v", c.name, p.Platform, p.ConfigDigest, p.Use, p.Reasons, run.Drift)
		}
		if want := c.config != "" && !c.drift; (run.Fingerprint != "") != want {
			t.Errorf("%s: fingerprint %q", c.name, run.Fingerprint)
		}
		// A fingerprint that was fixed before is not that of what ran.
		early := base(c.pin)
		sealed := out[len(out)-1]
		end := *sealed.Status
		end.Fingerprint, _ = schema.Run{Plan: *early[0].Plan}.Fingerprinted()
		sealed.Status, sealed.At = &end, at("17:00:01")
		sealed.ID = schema.DeriveDocumentID(sealed.At, "early")
		late, err := schema.Fold(slices.Concat(early, out, []schema.Document{sealed}))
		if err != nil || late.Fingerprint != run.Fingerprint {
			t.Errorf("%s: sealed before, the fingerprint is %q, not %q (%v)", c.name, late.Fingerprint, run.Fingerprint, err)
		}
	}
}
