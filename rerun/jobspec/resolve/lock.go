package resolve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/runpin/runpin/schema"
)

// LockSchema names the form of a lock.
const LockSchema = "runpin.dev/lock/v1"

// MaxLockBytes bounds a lock that is read.
const MaxLockBytes = 64 << 20

// Lock is what references were found to stand for. It is safe for concurrent use. Its text is sorted, so that a change is a small difference.
type Lock struct {
	mu     sync.Mutex
	images map[imageKey]LockedImage
	codes  map[codeKey]LockedCode
}

type imageKey struct{ ref, platform string }
type codeKey struct{ repository, revision string }

// LockedImage is one image of a lock.
type LockedImage struct {
	Reference      string        `json:"reference"` // as it stood in a file
	Registry       string        `json:"registry"`
	Repository     string        `json:"repository"`
	Digest         schema.Digest `json:"digest"` // what the reference named: the index, where there is one
	MediaType      string        `json:"media_type,omitempty"`
	Bytes          int64         `json:"bytes,omitempty"` // of the manifest
	Platform       string        `json:"platform,omitempty"`
	PlatformDigest schema.Digest `json:"platform_digest,omitempty"`
	ResolvedAt     schema.Time   `json:"resolved_at"`
}

// LockedCode is one revision of a lock. Repository is without credentials.
type LockedCode struct {
	Repository string          `json:"repository"`
	Revision   string          `json:"revision"`
	Commit     schema.ObjectID `json:"commit"`
	ResolvedAt schema.Time     `json:"resolved_at"`
}

type lockFile struct {
	Schema string        `json:"schema"`
	Images []LockedImage `json:"images"`
	Code   []LockedCode  `json:"code"`
}

func (e LockedImage) pin() schema.Digest {
	if e.Platform != "" {
		return e.PlatformDigest
	}
	return e.Digest
}

// normal gives one spelling to references that mean the same: nginx and docker.io/library/nginx:latest.
func normal(ref string) string {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return ref
	}
	return parsed.Name()
}

// ParseLock reads a lock. An error has kind Invalid.
func ParseLock(file string, data []byte) (*Lock, error) {
	refuse := func(format string, args ...any) (*Lock, error) {
		return nil, &schema.Error{Op: "lock", Kind: schema.Invalid, Subject: file, Err: fmt.Errorf(format, args...), Hint: "write it anew: runpin pin --lock " + file + " FILE…"}
	}
	var f lockFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return refuse("is not a lock: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return refuse("is not a lock: something follows it")
	}
	if f.Schema != LockSchema {
		return refuse("is a lock of the form %q; this runpin reads %s", schema.Shorten(f.Schema, 80), LockSchema)
	}
	l := &Lock{}
	for i, e := range f.Images {
		parsed, err := name.ParseReference(e.Reference)
		switch {
		case err != nil:
			return refuse("images[%d]: %q is not an image reference", i, schema.Shorten(e.Reference, 200))
		case !e.Digest.Valid():
			return refuse("images[%d]: %q is not a digest", i, schema.Shorten(string(e.Digest), 200))
		case (e.Platform != "") != (e.PlatformDigest != "") || e.PlatformDigest != "" && !e.PlatformDigest.Valid():
			return refuse("images[%d]: platform and platform_digest belong together, and %q is not a digest", i, schema.Shorten(string(e.PlatformDigest), 200))
		case e.ResolvedAt.IsZero():
			return refuse("images[%d]: has no resolved_at", i)
		case parsed.Context().RegistryStr() != e.Registry:
			return refuse("images[%d]: %q is not in the registry %q", i, schema.Shorten(e.Reference, 200), schema.Shorten(e.Registry, 200))
		}
		l.putImage(e)
	}
	for i, e := range f.Code {
		if _, err := schema.ParseObjectID(string(e.Commit)); err != nil || e.Repository == "" || e.Revision == "" || e.ResolvedAt.IsZero() {
			return refuse("code[%d]: needs a repository, a revision, a full commit and resolved_at", i)
		}
		l.putCode(e)
	}
	return l, nil
}

// Text gives the lock as it is written.
func (l *Lock) Text() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := lockFile{Schema: LockSchema, Images: []LockedImage{}, Code: []LockedCode{}}
	for _, e := range l.images {
		f.Images = append(f.Images, e)
	}
	for _, e := range l.codes {
		f.Code = append(f.Code, e)
	}
	sort.Slice(f.Images, func(i, j int) bool {
		a, b := f.Images[i], f.Images[j]
		return a.Reference < b.Reference || a.Reference == b.Reference && a.Platform < b.Platform
	})
	sort.Slice(f.Code, func(i, j int) bool {
		a, b := f.Code[i], f.Code[j]
		return a.Repository < b.Repository || a.Repository == b.Repository && a.Revision < b.Revision
	})
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(f)
	return out.Bytes(), err
}

func (l *Lock) image(ref, platform string) (LockedImage, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.images[imageKey{ref, platform}]
	return e, ok
}

func (l *Lock) code(repository, revision string) (LockedCode, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.codes[codeKey{hidden(repository), revision}]
	return e, ok
}

func (l *Lock) putImage(e LockedImage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.images == nil {
		l.images = map[imageKey]LockedImage{}
	}
	key := imageKey{normal(e.Reference), e.Platform}
	if was, ok := l.images[key]; ok && was.pin() == e.pin() && was.Digest == e.Digest {
		e.ResolvedAt = was.ResolvedAt // nothing new was found
		e.Reference = was.Reference
	}
	l.images[key] = e
}

func (l *Lock) putCode(e LockedCode) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.codes == nil {
		l.codes = map[codeKey]LockedCode{}
	}
	key := codeKey{e.Repository, e.Revision}
	if was, ok := l.codes[key]; ok && was.Commit == e.Commit {
		e.ResolvedAt = was.ResolvedAt
	}
	l.codes[key] = e
}
