package http

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

const (
	// maxUploadAge is how long a part waits for the rest of its blob, and a whole blob for its report.
	maxUploadAge = 24 * time.Hour
	wholeSuffix  = ".whole"
)

// uploads keeps large blobs while they arrive. They are no part of the store: a report that refers to one takes it in, and what no report asks for is removed
// after a day. Each token has its own, so that nobody can spoil or use what another sent.
type uploads struct {
	dir      string
	maxBytes int64 // of all of them
	now      func() time.Time

	mu    sync.Mutex
	inUse map[string]bool
	bytes int64 // what lies in dir, and what is being written
}

// openUploads makes the directory and forgets what is too old.
func openUploads(dir string, maxBytes int64, now func() time.Time) (*uploads, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: fmt.Sprintf("%q", dir), Err: err, Hint: "uploads need a directory that can be written to"}
	}
	u := &uploads{dir: dir, maxBytes: maxBytes, now: now, inUse: map[string]bool{}}
	return u, u.clean()
}

// clean removes what has waited too long and counts the rest.
func (u *uploads) clean() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return err
	}
	u.bytes = 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if name := strings.TrimSuffix(e.Name(), wholeSuffix); !u.inUse[name] && u.now().Sub(info.ModTime()) > maxUploadAge {
			_ = os.Remove(filepath.Join(u.dir, e.Name()))
			continue
		}
		u.bytes += info.Size()
	}
	return nil
}

// name is of a file; owner is a token's id. Neither can lead out of the directory: the digest was parsed, and the owner is hashed.
func uploadName(owner string, digest schema.Digest) string {
	sum := sha256.Sum256([]byte(owner))
	return fmt.Sprintf("%x-%s", sum[:6], digest.Hex())
}

// hold keeps others from the same upload until the release is called.
func (u *uploads) hold(name string) (release func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.inUse[name] {
		return nil, &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: "upload", Err: errors.New("another request is sending the same blob"), Hint: "try again"}
	}
	u.inUse[name] = true
	return func() {
		u.mu.Lock()
		delete(u.inUse, name)
		u.mu.Unlock()
	}, nil
}

// has gives how much of a blob was uploaded, and whether that is all of it and was verified.
func (u *uploads) has(owner string, digest schema.Digest) (offset int64, whole bool) {
	path := filepath.Join(u.dir, uploadName(owner, digest))
	if info, err := os.Stat(path + wholeSuffix); err == nil {
		return info.Size(), true
	}
	if info, err := os.Stat(path); err == nil {
		return info.Size(), false
	}
	return 0, false
}

// reserve takes room for n bytes, and gives it back with a negative n.
func (u *uploads) reserve(n int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n > 0 && u.bytes+n > u.maxBytes {
		return &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: "upload", Err: errors.New("the server has no room for more uploads now"), Hint: "try again later"}
	}
	u.bytes += n
	return nil
}

// errOffset says that a part does not begin where the upload stands.
var errOffset = errors.New("the part does not begin where the upload stands")

// put adds a part that begins at offset. What arrives of a part that breaks off stays. It gives how much there is now.
func (u *uploads) put(owner string, ref schema.BlobRef, offset, size int64, content io.Reader) (int64, error) {
	name := uploadName(owner, ref.Digest)
	release, err := u.hold(name)
	if err != nil {
		return 0, err
	}
	defer release()
	have, whole := u.has(owner, ref.Digest)
	if whole {
		return have, nil
	}
	if offset != have {
		return have, errOffset
	}
	if offset+size > ref.Bytes {
		return have, invalid("upload of "+ref.Digest.Short(), "", fmt.Errorf("it goes beyond the %d bytes that were announced", ref.Bytes))
	}
	if err := u.reserve(size); err != nil {
		return have, err
	}
	path := filepath.Join(u.dir, name)
	n, err := appendFile(path, offset, io.LimitReader(content, size))
	_ = u.reserve(n - size)
	have += n
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return have, unavailable("upload of "+ref.Digest.Short(), err)
	}
	if have < ref.Bytes {
		return have, nil
	}
	if err := verifyFile(path, ref); err != nil {
		_ = os.Remove(path)
		_ = u.reserve(-have)
		return 0, err
	}
	return have, os.Rename(path, path+wholeSuffix)
}

func appendFile(path string, offset int64, content io.Reader) (int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return 0, err
	}
	n, err := io.Copy(f, content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return n, err
}

func verifyFile(path string, ref schema.BlobRef) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if err != nil {
		return err
	}
	if got := schema.SHA256Sum([32]byte(hash.Sum(nil))); n != ref.Bytes || got != ref.Digest {
		return invalid("upload of "+ref.Digest.Short(), "it is removed; send it again", fmt.Errorf("its content is %s, of %d bytes", got, n))
	}
	return nil
}

// blob gives an upload that is whole; ok is false when there is none.
func (u *uploads) blob(owner string, ref schema.BlobRef) (b schema.Blob, ok bool) {
	size, whole := u.has(owner, ref.Digest)
	if !whole || size != ref.Bytes {
		return b, false
	}
	path := filepath.Join(u.dir, uploadName(owner, ref.Digest)+wholeSuffix)
	return schema.Blob{Ref: ref, Open: func() (io.ReadCloser, error) { return os.Open(path) }}, true
}

// remove forgets an upload that a store has taken in.
func (u *uploads) remove(owner string, digest schema.Digest) {
	path := filepath.Join(u.dir, uploadName(owner, digest)+wholeSuffix)
	info, err := os.Stat(path)
	if err != nil || errors.Is(os.Remove(path), fs.ErrNotExist) {
		return
	}
	_ = u.reserve(-info.Size())
}

// keepClean cleans now and then until ctx is done.
func (u *uploads) keepClean(ctx context.Context) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = u.clean()
		}
	}
}

func unavailable(subject string, err error) error {
	return &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: subject, Err: err, Hint: "try again"}
}
