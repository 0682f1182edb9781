package registry

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// cache keeps on disk what digests name: manifests and image configurations. A file is named by its digest and proved when it is
// read, so a damaged one is a miss; files appear by rename, so there is no half one; any of them, or all, may be deleted at any time.
// A zero cache keeps nothing. That it cannot be written is no error: it only makes the next call slower.
type cache struct{ dir string }

func (c cache) path(d schema.Digest) string {
	alg, hex, _ := strings.Cut(string(d), ":")
	return filepath.Join(c.dir, alg, hex[:2], hex)
}

func (c cache) get(d schema.Digest, limit int64) ([]byte, bool) {
	if c.dir == "" || !d.Valid() {
		return nil, false
	}
	path := c.path(d)
	info, err := os.Lstat(path) // a pipe or a link in its place must not be opened
	if err != nil || !info.Mode().IsRegular() || info.Size() > limit {
		return nil, false
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil || digestLikeOf(d, b) != d {
		return nil, false
	}
	return b, true
}

func (c cache) put(d schema.Digest, b []byte) {
	if c.dir == "" || !d.Valid() {
		return
	}
	path := c.path(d)
	// Configurations of private images can hold what is nobody else's business.
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
}
