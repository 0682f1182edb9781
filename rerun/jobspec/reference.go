package jobspec

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/runpin/runpin/schema"
)

// Shape is how a target wants a pinned reference to be written.
type Shape string

// The shapes (Kubernetes and container runtimes take both, skopeo and SageMaker only the second).
const (
	TagAndDigest Shape = "tag-and-digest" // repo:tag@sha256:…
	DigestOnly   Shape = "digest-only"    // repo@sha256:…
)

// PinnedReference gives ref with digest as its pin: the repository as the user spelled it, the tag beside it with keepTag, and in place of
// any digest that ref has. An error has kind Unpinnable when ref is not an image reference, Invalid when digest is not a digest.
func PinnedReference(ref string, digest schema.Digest, keepTag bool) (string, error) {
	if !digest.Valid() {
		_, err := schema.ParseDigest(string(digest))
		return "", err
	}
	parts, reason := splitReference(ref)
	if reason != "" {
		return "", &schema.Error{Op: "jobspec.reference", Kind: schema.Unpinnable, Subject: fmt.Sprintf("%q", schema.Shorten(ref, 300)),
			Err: fmt.Errorf("%s", reason)}
	}
	out := parts.repository
	if keepTag && parts.tag != "" {
		out += ":" + parts.tag
	}
	return out + "@" + string(digest), nil
}

// reference is an image reference in its parts, spelled as they were written.
type reference struct {
	repository, tag string
	digest          schema.Digest
}

// splitResult is what splitReference gave. Files name the same references again and again, and each is taken apart several times.
type splitResult struct {
	parts  reference
	reason string
}

var (
	splitMemory sync.Map // reference → splitResult
	splitCount  atomic.Int64
)

// maxMemory bounds what is remembered, in references of at most maxMemoryText bytes.
const (
	maxMemory     = 4096
	maxMemoryText = 512
)

// splitReference takes a reference apart; reason says why it is none.
func splitReference(ref string) (parts reference, reason string) {
	if known, ok := splitMemory.Load(ref); ok {
		r := known.(splitResult)
		return r.parts, r.reason
	}
	parts, reason = splitAnew(ref)
	if len(ref) <= maxMemoryText && splitCount.Add(1) <= maxMemory {
		splitMemory.Store(strings.Clone(ref), splitResult{parts, reason})
	}
	return parts, reason
}

func splitAnew(ref string) (parts reference, reason string) {
	if ref == "" {
		return parts, "is empty"
	}
	if isTemplate(ref) {
		return parts, templated
	}
	if scheme, _, ok := strings.Cut(ref, "://"); ok {
		return parts, "is not an image reference: it begins with a scheme; leave " + scheme + ":// away"
	}
	rest := ref
	if base, digest, ok := strings.Cut(ref, "@"); ok {
		d, err := schema.ParseDigest(digest)
		if err != nil {
			return parts, "ends in a malformed digest; a digest is sha256: and 64 lower-case hexadecimal digits"
		}
		rest, parts.digest = base, d
	}
	parts.repository = rest
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		parts.repository, parts.tag = rest[:colon], rest[colon+1:]
		if parts.tag == "" {
			return parts, "is not an image reference: its tag is empty"
		}
	}
	if _, err := name.NewTag(rest); err != nil {
		reason, _, _ := strings.Cut(oneLine(err.Error()), "`: ") // what is written is told beside it, and may be long or secret
		return parts, "is not an image reference: " + reason
	}
	// The parser is lenient: it takes https://x/y and -v for repositories.
	for part := range strings.SplitSeq(parts.repository, "/") {
		if part == "" || !isAlnum(part[0]) && part[0] != '[' || !isAlnum(part[len(part)-1]) && part[len(part)-1] != ']' {
			return parts, "is not an image reference: each part of the repository begins and ends with a letter or digit"
		}
	}
	if parts.tag != "" && !isAlnum(parts.tag[0]) && parts.tag[0] != '_' {
		return parts, "is not an image reference: a tag begins with a letter, a digit or _"
	}
	return parts, ""
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

const templated = "is a template; pin the file that it makes"

// template matches what Helm and Go templates, Argo and Tekton, envsubst and shells fill in.
var template = regexp.MustCompile(`\{\{|\}\}|\$\(|\$\{|\$[A-Za-z_]|<%|\[\[`)

func isTemplate(s string) bool {
	return strings.ContainsAny(s, "{}$<[") && (template.MatchString(s) || s == "<no value>")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

var notInName = regexp.MustCompile(`[^a-z0-9_]+`)

// pinNames gives each reference a name that is valid for a pin and unique in the spec: the container's name in lower case with _ for
// everything else, and _2, _3, … behind the second, third, … of a name. They depend on the file alone, so a later reader finds the same.
type pinNames map[string]int // name → how far its numbers are used up

func (taken pinNames) next(from string) string {
	base := strings.Trim(notInName.ReplaceAllString(strings.ToLower(from), "_"), "_")
	if base == "" {
		base = "image"
	} else if base[0] < 'a' || base[0] > 'z' {
		base = "image_" + base
	}
	base = base[:min(len(base), maxName)]
	candidate, n := base, max(taken[base], 1)
	for taken[candidate] > 0 {
		n++
		suffix := fmt.Sprintf("_%d", n)
		candidate = base[:min(len(base), maxName-len(suffix))] + suffix
	}
	taken[base] = n
	taken[candidate] = max(taken[candidate], 1)
	return candidate
}
