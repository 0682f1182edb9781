package image

import (
	"fmt"
	"regexp"
	"runtime"
	"sort"
	"strings"

	"github.com/runpin/runpin/schema"
)

// A platform in normal form: the variant that is the default of its architecture (arm64/v8, amd64/v1) is left out, arm's (v7) is
// written, as containerd compares them.
type platform struct{ os, arch, variant string }

func (p platform) String() string {
	s := p.os + "/" + p.arch
	if p.variant != "" {
		s += "/" + p.variant
	}
	return s
}

func (p platform) known() bool { return p.os != "" && p.arch != "" }

// attestation reports whether it is what BuildKit gives its attestations, which are no images.
func (p platform) attestation() bool { return p.os == "unknown" && p.arch == "unknown" }

func normal(os, arch, variant string) platform {
	p := platform{strings.ToLower(os), strings.ToLower(arch), strings.ToLower(variant)}
	switch p.arch {
	case "x86_64", "x86-64":
		p.arch = "amd64"
	case "aarch64":
		p.arch = "arm64"
	case "i386":
		p.arch = "386"
	case "armhf":
		p.arch, p.variant = "arm", "v7"
	case "armel":
		p.arch, p.variant = "arm", "v6"
	}
	if p.variant != "" && p.variant[0] >= '0' && p.variant[0] <= '9' {
		p.variant = "v" + p.variant
	}
	switch {
	case p.arch == "arm64" && p.variant == "v8", p.arch == "amd64" && p.variant == "v1":
		p.variant = ""
	case p.arch == "arm" && p.variant == "":
		p.variant = "v7"
	}
	return p
}

// wanted is the platform that was asked for. Given says that a user did, and variant that they named the variant too.
type wanted struct {
	platform
	given, variantGiven bool
}

var platformPart = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func wantedPlatform(s string) (wanted, error) {
	if s == "" {
		return wanted{platform: normal("linux", runtime.GOARCH, "")}, nil
	}
	parts := strings.Split(s, "/")
	ok := len(parts) == 2 || len(parts) == 3
	for _, part := range parts {
		ok = ok && platformPart.MatchString(part)
	}
	if !ok {
		return wanted{}, &schema.Error{Op: "image.platform", Kind: schema.Invalid, Subject: fmt.Sprintf("platform %q", schema.Shorten(s, 160)),
			Err: fmt.Errorf("not a platform"), Hint: "a platform is os/architecture or os/architecture/variant: linux/amd64, linux/arm/v7"}
	}
	parts = append(parts, "")
	return wanted{platform: normal(parts[0], parts[1], parts[2]), given: true, variantGiven: parts[2] != ""}, nil
}

// choose finds the one child of an index that is for the wanted platform. The error lists what there is. Two children of equal
// platform are refused rather than the first taken: engines differ in which they take.
func choose(children []descriptor, want wanted) (descriptor, []schema.Reason, error) {
	var exact, near []descriptor
	for _, c := range children {
		p, ok := c.image()
		switch {
		case !ok:
		case p == want.platform:
			exact = appendNew(exact, c)
		case p.os == want.os && p.arch == want.arch:
			near = appendNew(near, c)
		}
	}
	switch {
	case len(exact) == 1:
		return exact[0], nil, nil
	case len(exact) > 1:
		return descriptor{}, nil, fmt.Errorf("the index has %d images for %s (%s)", len(exact), want, listPlatforms(exact))
	case len(near) == 1 && !want.variantGiven:
		p, _ := near[0].image()
		return near[0], []schema.Reason{{Code: ReasonPlatformVariant, Subject: schema.Text(p.String()),
			Text: fmt.Sprintf("there is no image for %s; the only one for its architecture is for %s", want, p)}}, nil
	}
	if have := listPlatforms(children); have != "" {
		return descriptor{}, nil, fmt.Errorf("the index has no image for %s; it has %s", want, have)
	}
	return descriptor{}, nil, fmt.Errorf("the index has no image at all")
}

func appendNew(list []descriptor, d descriptor) []descriptor {
	for _, have := range list {
		if have.Digest == d.Digest {
			return list
		}
	}
	return append(list, d)
}

// listPlatforms lists the platforms of an index for people, sorted, each once, with the version of the system where one is given.
func listPlatforms(children []descriptor) string {
	seen := map[string]bool{}
	var all []string
	for _, c := range children {
		p, ok := c.image()
		if !ok {
			continue
		}
		s := p.String()
		if c.Platform.OSVersion != "" {
			s += " (" + schema.Shorten(c.Platform.OSVersion, 40) + ")"
		}
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	sort.Strings(all)
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("%d more", len(all)-20))
	}
	return strings.Join(all, ", ")
}
