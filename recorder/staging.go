package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/runpin/runpin/schema"
)

// spillBytes is the size from which a blob waits in a file instead of in memory.
const spillBytes = 1 << 20

// staging holds the blobs of a report until the report is saved, so that pins and the bytes they refer to become durable together.
// It is safe for concurrent use.
type staging struct {
	mu    sync.Mutex
	blobs []schema.Blob
	seen  map[schema.Digest]bool
	files []string
}

func newStaging() *staging { return &staging{seen: map[schema.Digest]bool{}} }

// PutBlob implements schema.BlobSink.
func (s *staging) PutBlob(ctx context.Context, kind schema.BlobKind, content io.Reader) (schema.BlobRef, error) {
	hash := sha256.New()
	var head bytes.Buffer
	n, err := io.Copy(&head, io.LimitReader(content, spillBytes))
	if err != nil {
		return schema.BlobRef{}, err
	}
	hash.Write(head.Bytes())
	if n < spillBytes {
		ref := schema.BlobRef{Kind: kind, Digest: schema.SHA256Sum([32]byte(hash.Sum(nil))), Bytes: n}
		s.add(ref, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head.Bytes())), nil })
		return ref, nil
	}
	file, err := os.CreateTemp("", "runpin-blob-*")
	if err != nil {
		return schema.BlobRef{}, &schema.Error{Op: "recorder.stage", Kind: schema.Unavailable, Subject: os.TempDir(), Err: err, Hint: "free some space there, or set TMPDIR"}
	}
	defer file.Close()
	s.mu.Lock()
	s.files = append(s.files, file.Name())
	s.mu.Unlock()
	if _, err := file.Write(head.Bytes()); err != nil {
		return schema.BlobRef{}, stageError(err)
	}
	more, err := io.Copy(io.MultiWriter(file, hash), contextReader{ctx, content})
	if err != nil {
		return schema.BlobRef{}, stageError(err)
	}
	ref := schema.BlobRef{Kind: kind, Digest: schema.SHA256Sum([32]byte(hash.Sum(nil))), Bytes: n + more}
	name := file.Name()
	s.add(ref, func() (io.ReadCloser, error) { return os.Open(name) })
	return ref, nil
}

func stageError(err error) error {
	if schema.KindOf(err) != schema.Internal {
		return err
	}
	return fmt.Errorf("setting a blob aside: %w", err)
}

func (s *staging) add(ref schema.BlobRef, open func() (io.ReadCloser, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seen[ref.Digest] {
		s.seen[ref.Digest] = true
		s.blobs = append(s.blobs, schema.Blob{Ref: ref, Open: open})
	}
}

// take gives what has been staged since the last take.
func (s *staging) take() []schema.Blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	blobs := s.blobs
	s.blobs = nil
	return blobs
}

// adopt takes over what another staging holds, which may be closed afterwards.
func (s *staging) adopt(other *staging) {
	other.mu.Lock()
	blobs, files := other.blobs, other.files
	other.blobs, other.files = nil, nil
	other.mu.Unlock()
	for _, b := range blobs {
		s.add(b.Ref, b.Open)
	}
	s.mu.Lock()
	s.files = append(s.files, files...)
	s.mu.Unlock()
}

// close removes what was spilled.
func (s *staging) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.files {
		os.Remove(name)
	}
	s.files = nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
