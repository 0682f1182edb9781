package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/runpin/runpin/schema"
)

// The largest answers that are read. The specification asks registries to accept manifests of at least 4 MiB; configurations
// carry the history and the labels of an image and are a few hundred KiB at most in practice.
const (
	maxManifest = 8 << 20
	maxConfig   = 32 << 20
	maxError    = 64 << 10
)

// A fetch describes the one document that a call is after. It travels in the context, past the library, to the transport, which
// reads the answer whole, within the limit, and proves it: so a broken answer can be asked for again, and nothing else is believed.
type fetch struct {
	what  string        // "manifest" or "image configuration"
	path  string        // how the path of the request ends; pings and token requests of the same call end otherwise
	limit int64         // bytes
	want  schema.Digest // "" when the document is asked for by tag
}

type fetchKey struct{}

func withFetch(ctx context.Context, f fetch) context.Context {
	return context.WithValue(ctx, fetchKey{}, &f)
}

func fetchOf(req *http.Request) *fetch {
	f, _ := req.Context().Value(fetchKey{}).(*fetch)
	if f == nil || !strings.HasSuffix(firstRequest(req).URL.Path, f.path) {
		return nil
	}
	return f
}

// shortError is an answer that broke off.
type shortError struct {
	what string
	err  error
}

func (e *shortError) Error() string { return fmt.Sprintf("the %s broke off: %v", e.what, e.err) }
func (e *shortError) Unwrap() error { return e.err }

// largeError is an answer that is larger than it may be.
type largeError struct {
	what  string
	limit int64
}

func (e *largeError) Error() string {
	return fmt.Sprintf("the %s has more than the %d MiB that are allowed", e.what, e.limit>>20)
}
func (e *largeError) Is(target error) bool { return target == ErrTooLarge }

// mismatchError is a registry that answers other bytes than those that a digest names.
type mismatchError struct {
	what      string
	want, got schema.Digest
}

func (e *mismatchError) Error() string {
	return fmt.Sprintf("the registry answered %s whose digest is %s, not the %s that was asked for", article(e.what), e.got, e.want)
}
func (e *mismatchError) Is(target error) bool { return target == ErrDigestMismatch }

// receive reads and proves the document of a 200 answer, and puts it back as the answer's body.
func (f *fetch) receive(req *http.Request, res *http.Response) error {
	if req.Method == http.MethodHead {
		got := schema.Digest(res.Header.Get("Docker-Content-Digest"))
		if f.want != "" && got.Valid() && got != f.want && !isSchema1(res.Header.Get("Content-Type")) {
			return &mismatchError{f.what, f.want, got}
		}
		return nil
	}
	if res.ContentLength > f.limit {
		return &largeError{f.what, f.limit}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, f.limit+1))
	if err != nil {
		return &shortError{f.what, err}
	}
	if int64(len(body)) > f.limit {
		return &largeError{f.what, f.limit}
	}
	if f.want != "" && !isSchema1(res.Header.Get("Content-Type")) {
		if got := digestLikeOf(f.want, body); got != f.want {
			return &mismatchError{f.what, f.want, got}
		}
	}
	setBody(res, body)
	return nil
}

func setBody(res *http.Response, body []byte) {
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
}

// isSchema1 recognises the signed manifests of 2015, whose digest is not that of their bytes. The library gives the digest of the
// header for them; the rest of the program refuses them by their media type.
func isSchema1(contentType string) bool {
	return strings.HasPrefix(contentType, "application/vnd.docker.distribution.manifest.v1+")
}

// digestLikeOf gives the digest of b by the algorithm of d.
func digestLikeOf(d schema.Digest, b []byte) schema.Digest {
	if strings.HasPrefix(string(d), "sha512:") {
		sum := sha512.Sum512(b)
		return schema.Digest("sha512:" + hex.EncodeToString(sum[:]))
	}
	return schema.SHA256Sum(sha256.Sum256(b))
}

func unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

func article(what string) string {
	if strings.HasPrefix(what, "image") {
		return "an " + what
	}
	return "a " + what
}
