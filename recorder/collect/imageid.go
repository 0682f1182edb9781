package collect

import (
	"regexp"
	"strings"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// Told is what an imageID says. With a repository Digest is what the image was pulled by, of an index or of one platform's manifest: the runtime does not say which.
// Without one it is the digest of the image's configuration, by which nothing can be pulled.
type Told struct {
	Repository string
	Digest     schema.Digest
}

var (
	scheme   = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)
	hexAlone = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// ParseImageID reads the imageID of a container's status, in every form that runtimes write (kubernetes#115199, #33014):
//
//	repo@sha256:…                    containerd, CRI-O; repo:tag@sha256:… too
//	sha256:…                         containerd, CRI-O: an image that was never pulled by digest, its configuration
//	docker-pullable://repo@sha256:…  dockershim, cri-dockerd
//	docker://sha256:…                the same, for an image that was built on the node
//	64 digits                        podman: the configuration
//
// ok is false for anything else; nothing is guessed.
func ParseImageID(s string) (told Told, ok bool) {
	if len(s) > maxReference {
		return Told{}, false
	}
	s = s[len(scheme.FindString(s)):]
	if hexAlone.MatchString(s) {
		s = "sha256:" + s
	}
	at := strings.LastIndexByte(s, '@')
	d, err := schema.ParseDigest(s[at+1:])
	if err != nil {
		return Told{}, false
	}
	if at < 0 {
		return Told{Digest: d}, true
	}
	repository := withoutTag(s[:at])
	if repository == "" || strings.ContainsAny(repository, "@ \t\r\n") {
		return Told{}, false
	}
	return Told{repository, d}, true
}

// maxReference bounds what is taken for a reference to an image.
const maxReference = 1024

func withoutTag(ref string) string {
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		return ref[:colon]
	}
	return ref
}

// cleanReference gives a reference for the record: "" for what is too long to be one, and without what may be credentials.
func cleanReference(s string) string {
	if len(s) > maxReference {
		return ""
	}
	clean, _ := redact.URL(s)
	return clean
}
