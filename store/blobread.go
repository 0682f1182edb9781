package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/runpin/runpin/schema"
)

// OpenBlob gives the bytes of a stored blob. They are verified while they are read: a blob that was damaged ends in an error, never in EOF.
// A blob that was erased, and one that was never stored, is of kind Gone.
func (s *Store) OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	const op = "store.blob"
	subject := "blob " + ref.Digest.Short()
	var sum [32]byte
	if !ref.Digest.Valid() || len(ref.Digest.Hex()) != 64 {
		return nil, invalid(op, fmt.Sprintf("blob %q", schema.Shorten(string(ref.Digest), 160)), "", "a blob is named by its SHA-256")
	}
	if _, err := hex.Decode(sum[:], []byte(ref.Digest.Hex())); err != nil {
		return nil, err
	}
	var out io.ReadCloser
	err := s.read(ctx, op, subject, func(r *snapshot) error {
		var size, chunks int64
		var data []byte
		found, err := one(r, "SELECT bytes, chunks, data FROM blobs WHERE digest = $1", []any{sum[:]}, &size, &chunks, &data)
		if err != nil {
			return err
		}
		if !found {
			return s.gone(r, sum, subject)
		}
		if chunks > 0 {
			out = &chunkReader{s: s, ctx: ctx, blob: sum, size: size, chunks: chunks, hash: sha256.New()}
			return nil
		}
		plain, err := decompress(data, size)
		if err != nil {
			return internal(op, subject, "its stored form is damaged: %w", err)
		}
		if sha256.Sum256(plain) != sum {
			return internal(op, subject, "its bytes are not those that were stored")
		}
		out = io.NopCloser(bytes.NewReader(plain))
		return nil
	})
	return out, err
}

// gone says why a blob is not there: the tombstone's text where there is one.
func (s *Store) gone(q querier, sum [32]byte, subject string) error {
	var id string
	found, err := one(q, "SELECT doc FROM erased WHERE digest = $1", []any{sum[:]}, &id)
	if err != nil {
		return err
	}
	if !found {
		return &schema.Error{Op: "store.blob", Kind: schema.Gone, Subject: subject, Err: fmt.Errorf("the store does not have it"),
			Hint: "a report that holds it may wait in a spool: `runpin import`; otherwise run `runpin store check`"}
	}
	gone := &schema.Error{Op: "store.blob", Kind: schema.Gone, Subject: subject, Err: fmt.Errorf("it was erased")}
	if docs, err := documents(q, "id = $1", id); err == nil && len(docs) == 1 && docs[0].Erasure != nil {
		e := docs[0].Erasure
		text := fmt.Sprintf("it was erased on %s: %s", docs[0].At, e.Reason)
		if e.Ticket != "" {
			text += " (" + e.Ticket + ")"
		}
		gone.Err = fmt.Errorf("%s", text)
	}
	return gone
}

// chunkReader reads a large blob piece by piece. Pieces never change, so it needs no transaction that would stay open while somebody reads slowly.
type chunkReader struct {
	s      *Store
	ctx    context.Context
	blob   [32]byte
	size   int64
	chunks int64
	next   int64
	read   int64
	rest   []byte
	hash   hash.Hash
	err    error
}

func (c *chunkReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 && c.err == nil {
		c.err = c.load()
	}
	if len(c.rest) == 0 {
		return 0, c.err
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *chunkReader) load() error {
	subject := "blob " + schema.SHA256Sum(c.blob).Short()
	if c.next == c.chunks {
		if c.read != c.size || [32]byte(c.hash.Sum(nil)) != c.blob {
			return internal("store.blob", subject, "its bytes are not those that were stored")
		}
		return io.EOF
	}
	return c.s.read(c.ctx, "store.blob", subject, func(r *snapshot) error {
		plain, err := readChunk(r, c.blob, c.next)
		if err != nil {
			return err
		}
		c.next++
		c.read += int64(len(plain))
		c.hash.Write(plain)
		c.rest = plain
		return nil
	})
}

// readChunk gives one piece of a large blob, verified.
func readChunk(q querier, blob [32]byte, at int64) ([]byte, error) {
	subject := "blob " + schema.SHA256Sum(blob).Short()
	var sum, data []byte
	var size int64
	found, err := one(q, "SELECT c.digest, c.bytes, c.data FROM blob_chunks b JOIN chunks c ON c.digest = b.chunk WHERE b.blob = $1 AND b.at = $2", []any{blob[:], at}, &sum, &size, &data)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, internal("store.blob", subject, "its piece %d is missing", at)
	}
	plain, err := decompress(data, size)
	if err != nil {
		return nil, internal("store.blob", subject, "its piece %d is damaged: %w", at, err)
	}
	if got := sha256.Sum256(plain); !bytes.Equal(got[:], sum) {
		return nil, internal("store.blob", subject, "its piece %d is not what was stored", at)
	}
	return plain, nil
}

func (c *chunkReader) Close() error {
	c.rest, c.err = nil, io.ErrClosedPipe
	return nil
}
