package http

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
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
	// maxTakenAge is how long an upload stays after the last report that took it in.
	maxTakenAge = time.Hour
	wholeSuffix = ".whole"
)

// uploads keeps large blobs while they arrive. They are no part of the store: a report that refers to one takes it in, and what no report asks for is removed
// after a day. Each token has its own, so that nobody can spoil or use what another sent.
type uploads struct {
	dir      string
	maxBytes int64 // of all of them
	now      func() time.Time

	mu    sync.Mutex
	inUse map[string]bool
	room  shares               // what lies in dir, and what is being written
	taken map[string]time.Time // when a report last took an upload in
}

// openUploads makes the directory and forgets what is too old.
func openUploads(dir string, maxBytes int64, now func() time.Time) (*uploads, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: fmt.Sprintf("%q", dir), Err: err, Hint: "uploads need a directory that can be written to"}
	}
	u := &uploads{dir: dir, maxBytes: maxBytes, now: now, inUse: map[string]bool{}, room: shares{total: maxBytes}, taken: map[string]time.Time{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			u.room.add(ownerOf(e.Name()), info.Size())
		}
	}
	return u, u.clean()
}

// clean removes what has waited too long. What is being written keeps the room that was reserved for it.
func (u *uploads) clean() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		name := strings.TrimSuffix(e.Name(), wholeSuffix)
		at, taken := u.taken[name]
		if !u.inUse[name] && (u.now().Sub(info.ModTime()) > maxUploadAge || taken && u.now().Sub(at) > maxTakenAge) {
			u.drop(e.Name(), info.Size())
		}
	}
	return nil
}

// drop removes a file; the lock is held.
func (u *uploads) drop(file string, size int64) {
	if err := os.Remove(filepath.Join(u.dir, file)); err == nil {
		u.room.add(ownerOf(file), -size)
	}
	delete(u.taken, strings.TrimSuffix(file, wholeSuffix))
}

// dropTaken makes room where there is none: what a report took in is in the store, and a rank that still counts on it sends it again. The lock is held.
func (u *uploads) dropTaken() {
	for name := range u.taken {
		if u.inUse[name] {
			continue
		}
		if info, err := os.Stat(filepath.Join(u.dir, name+wholeSuffix)); err == nil {
			u.drop(name+wholeSuffix, info.Size())
		} else {
			delete(u.taken, name)
		}
	}
}

// name is of a file; owner is a token's id. Neither can lead out of the directory: the digest was parsed, and the owner is hashed.
func uploadName(owner string, digest schema.Digest) string {
	return uploadOwner(owner) + "-" + digest.Hex()
}

func uploadOwner(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return fmt.Sprintf("%x", sum[:6])
}

// ownerOf gives the hashed owner in the name of a file.
func ownerOf(file string) string {
	owner, _, _ := strings.Cut(file, "-")
	return owner
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

// reserve takes room for n bytes of an owner.
func (u *uploads) reserve(owner string, n int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.room.take(uploadOwner(owner), n) {
		return nil
	}
	if u.dropTaken(); u.room.take(uploadOwner(owner), n) {
		return nil
	}
	return &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: "upload", Err: errors.New("the server has no room for more uploads of this token now"), Hint: "try again later"}
}

// giveBack is for what was reserved and is not there.
func (u *uploads) giveBack(owner string, n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.room.add(uploadOwner(owner), -n)
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
	if have > ref.Bytes { // of an announcement that was wrong: it would never become whole
		u.forget(owner, name, have)
		have = 0
	}
	if offset != have {
		return have, errOffset
	}
	if offset+size > ref.Bytes {
		return have, invalid("upload of "+ref.Digest.Short(), "", fmt.Errorf("it goes beyond the %d bytes that were announced", ref.Bytes))
	}
	if err := u.reserve(owner, size); err != nil {
		return have, err
	}
	path := filepath.Join(u.dir, name)
	n, err := appendFile(path, offset, io.LimitReader(content, size))
	u.giveBack(owner, size-n)
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
	if err := u.becomeWhole(owner, ref); err != nil {
		return 0, err
	}
	return have, nil
}

// becomeWhole verifies an upload that has all of its bytes, and removes it if it is not what it says. It is durable before it is renamed: after a crash what is
// called whole is whole. The upload is held.
func (u *uploads) becomeWhole(owner string, ref schema.BlobRef) error {
	name := uploadName(owner, ref.Digest)
	path := filepath.Join(u.dir, name)
	err := verifyFile(path, ref)
	if schema.IsKind(err, schema.Invalid) {
		u.forget(owner, name, ref.Bytes)
	}
	if err != nil {
		return err
	}
	if err := syncFile(path); err != nil {
		return unavailable("upload of "+ref.Digest.Short(), err)
	}
	if err := os.Rename(path, path+wholeSuffix); err != nil {
		return unavailable("upload of "+ref.Digest.Short(), err)
	}
	return nil
}

// forget removes a file that cannot become or is no longer what it says.
func (u *uploads) forget(owner, file string, size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drop(file, size)
}

// settle makes an upload whole that has all of its bytes: whoever sent the last of them was killed before it was renamed, and nobody sends more.
func (u *uploads) settle(owner string, ref schema.BlobRef) {
	have, whole := u.has(owner, ref.Digest)
	if whole || have != ref.Bytes || have == 0 {
		return
	}
	if release, err := u.hold(uploadName(owner, ref.Digest)); err == nil {
		defer release()
		if have, whole = u.has(owner, ref.Digest); !whole && have == ref.Bytes {
			_ = u.becomeWhole(owner, ref) // else it is absent, and sent again
		}
	}
}

// spoiled removes those uploads whose content is no longer what was verified, and reports whether there were any.
func (u *uploads) spoiled(owner string, refs []schema.BlobRef) (any bool) {
	for _, ref := range refs {
		name := uploadName(owner, ref.Digest)
		release, err := u.hold(name)
		if err != nil {
			continue
		}
		if have, whole := u.has(owner, ref.Digest); whole && schema.IsKind(verifyFile(filepath.Join(u.dir, name+wholeSuffix), ref), schema.Invalid) {
			u.forget(owner, name+wholeSuffix, have)
			any = true
		}
		release()
	}
	return any
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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
	u.settle(owner, ref)
	size, whole := u.has(owner, ref.Digest)
	if !whole || size != ref.Bytes {
		return b, false
	}
	path := filepath.Join(u.dir, uploadName(owner, ref.Digest)+wholeSuffix)
	return schema.Blob{Ref: ref, Open: func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil { // it had to make room meanwhile
			return nil, unavailable("upload of "+ref.Digest.Short(), err)
		}
		return f, nil
	}}, true
}

// took remembers that a report took an upload in. It stays a while: other ranks of the same token may be about to report the same blob, and were told that it is here.
func (u *uploads) took(owner string, digest schema.Digest) {
	name := uploadName(owner, digest)
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, err := os.Stat(filepath.Join(u.dir, name+wholeSuffix)); err == nil {
		u.taken[name] = u.now()
	}
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
