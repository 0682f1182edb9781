package schema

import (
	"bytes"
	"context"
	"io"
)

// Report is what one reporter hands to a store in one go: it is kept whole or not at all.
type Report struct {
	Documents []Document
	Blobs     []Blob
}

// Blob is content on its way into a store. Open may be called more than once and gives the same bytes each time; the store verifies them against Ref.
type Blob struct {
	Ref  BlobRef
	Open func() (io.ReadCloser, error)
}

// NewBlob makes a blob of bytes in memory.
func NewBlob(kind BlobKind, content []byte) Blob {
	return Blob{
		Ref:  BlobRef{Kind: kind, Digest: SHA256(content), Bytes: int64(len(content))},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

// BlobSink takes the bytes that a pin refers to. What it takes becomes durable together with the report that refers to it.
type BlobSink interface {
	PutBlob(ctx context.Context, kind BlobKind, content io.Reader) (BlobRef, error)
}

// BlobSource gives the bytes of a stored blob, verified. An erased blob is an error of kind [Gone] whose text is the tombstone's.
type BlobSource interface {
	OpenBlob(ctx context.Context, ref BlobRef) (io.ReadCloser, error)
}

// Progress is told how far a long step is; total is 0 while it is not known. Unit is "B" or what is counted ("files", "requests").
// It is called from several goroutines.
type Progress interface {
	Step(what string, done, total int64, unit string)
}
