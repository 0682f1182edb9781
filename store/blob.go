package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/restic/chunker"

	"github.com/runpin/runpin/schema"
)

const (
	// inlineBytes is the size up to which a blob is stored in one piece. A larger one is split at boundaries that its content defines, so that
	// two versions of a large manifest or bundle share most of their pieces.
	inlineBytes   = 1 << 20
	minChunkBytes = 64 << 10
	maxChunkBytes = 1 << 20
	chunkBits     = 18 // the average piece beyond the smallest is 2^18 bytes
	// chunkPolynomial decides where the boundaries are. It is irreducible and of degree 53; with another one, versions that are stored
	// already would share nothing with new ones, so it never changes.
	chunkPolynomial = chunker.Pol(0x3f7a53b7c6e1af)
	// stageBytes is how much compressed content a report may hold in memory before the write lock is taken; what is beyond is
	// compressed under the lock, so that memory stays bounded.
	stageBytes = 64 << 20
)

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(inlineBytes), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err)
	}
	return d
})

func compress(b []byte) []byte { return encoder().EncodeAll(b, nil) }

// decompress gives exactly size bytes or an error, whatever data holds.
func decompress(data []byte, size int64) ([]byte, error) {
	if size < 0 || size > inlineBytes {
		return nil, fmt.Errorf("a piece of %d bytes cannot be", size)
	}
	b, err := decoder().DecodeAll(data, make([]byte, 0, size))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != size {
		return nil, fmt.Errorf("%d bytes instead of %d", len(b), size)
	}
	return b, nil
}

// piece is what one row of chunks holds, or the data of a small blob.
type piece struct {
	sum   [32]byte
	bytes int
	data  []byte // compressed; nil when the store already has it
}

// stagedBlob is a blob that has been read, verified and compressed before the write lock is taken, unless later says that this is still to come.
type stagedBlob struct {
	blob   schema.Blob
	sum    [32]byte
	small  []byte // compressed
	plain  []byte // of a short listing, which is indexed at once; nothing else is kept unpacked
	pieces []piece
	later  bool
}

// stage prepares the blobs of a report, each digest once.
func (s *Store) stage(ctx context.Context, blobs []schema.Blob) ([]*stagedBlob, error) {
	var out []*stagedBlob
	seen := map[schema.Digest]int64{}
	room := stageBytes
	for _, b := range blobs {
		if err := CheckBlobRef(b.Ref); err != nil {
			return nil, err
		}
		if bytes, again := seen[b.Ref.Digest]; again {
			if bytes != b.Ref.Bytes {
				return nil, wrongSize(b.Ref, bytes)
			}
			continue
		}
		seen[b.Ref.Digest] = b.Ref.Bytes
		st := &stagedBlob{blob: b}
		if _, err := hex.Decode(st.sum[:], []byte(b.Ref.Digest.Hex())); err != nil {
			return nil, err
		}
		out = append(out, st)
		if b.Ref.Bytes <= inlineBytes {
			plain, err := readSmall(ctx, b)
			if err != nil {
				return nil, err
			}
			if st.small = compress(plain); isListing(b.Ref.Kind) && len(plain) <= shortListing {
				st.plain = plain
			}
			room -= len(st.small)
			continue
		}
		have, err := s.hasBlob(ctx, st.sum)
		if err != nil {
			return nil, err
		}
		if st.later = have || room <= 0; st.later {
			continue
		}
		st.pieces = []piece{}
		err = splitBlob(ctx, b, func(sum [32]byte, raw []byte) error {
			if have, err := s.hasChunk(ctx, sum); err != nil || have {
				st.pieces = append(st.pieces, piece{sum, len(raw), nil})
				return err
			}
			data := compress(raw)
			st.pieces = append(st.pieces, piece{sum, len(raw), data})
			if room -= len(data); room <= 0 {
				return errNoRoom
			}
			return nil
		})
		if errors.Is(err, errNoRoom) {
			st.later, st.pieces, err = true, nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

var errNoRoom = errors.New("no room left to stage blobs in memory")

func (s *Store) hasBlob(ctx context.Context, sum [32]byte) (found bool, err error) {
	err = s.read(ctx, "store.blob", "blob", func(r *snapshot) error {
		var n int64
		found, err = one(r, "SELECT bytes FROM blobs WHERE digest = $1", []any{sum[:]}, &n)
		return err
	})
	return found, err
}

func (s *Store) hasChunk(ctx context.Context, sum [32]byte) (found bool, err error) {
	err = s.read(ctx, "store.blob", "blob", func(r *snapshot) error {
		var n int64
		found, err = one(r, "SELECT bytes FROM chunks WHERE digest = $1", []any{sum[:]}, &n)
		return err
	})
	return found, err
}

// readSmall reads a blob that fits into one piece and verifies it.
func readSmall(ctx context.Context, b schema.Blob) ([]byte, error) {
	r, err := openBlob(ctx, b)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	plain := make([]byte, b.Ref.Bytes)
	n, err := io.ReadFull(r, plain)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, wrongSize(b.Ref, int64(n))
	}
	if err != nil {
		return nil, unreadable(b.Ref, err)
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 {
		return nil, wrongSize(b.Ref, b.Ref.Bytes+1)
	} else if err != nil && err != io.EOF {
		return nil, unreadable(b.Ref, err)
	}
	if got := schema.SHA256(plain); got != b.Ref.Digest {
		return nil, wrongDigest(b.Ref, got)
	}
	return plain, nil
}

// splitBlob reads a large blob, gives its pieces to emit in order, and verifies the whole. What emit is given is only valid during the call.
func splitBlob(ctx context.Context, b schema.Blob, emit func(sum [32]byte, raw []byte) error) error {
	r, err := openBlob(ctx, b)
	if err != nil {
		return err
	}
	defer r.Close()
	hash := sha256.New()
	cut := chunker.NewWithBoundaries(io.TeeReader(io.LimitReader(r, b.Ref.Bytes+1), hash), chunkPolynomial, minChunkBytes, maxChunkBytes)
	cut.SetAverageBits(chunkBits)
	buf := make([]byte, maxChunkBytes)
	var total int64
	for {
		chunk, err := cut.Next(buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable(b.Ref, err)
		}
		if total += int64(chunk.Length); total > b.Ref.Bytes {
			return wrongSize(b.Ref, total)
		}
		if err := emit(sha256.Sum256(chunk.Data), chunk.Data); err != nil {
			return err
		}
	}
	if total != b.Ref.Bytes {
		return wrongSize(b.Ref, total)
	}
	if got := schema.SHA256Sum([32]byte(hash.Sum(nil))); got != b.Ref.Digest {
		return wrongDigest(b.Ref, got)
	}
	return nil
}

func openBlob(ctx context.Context, b schema.Blob) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.Open == nil {
		return nil, invalid("store.blob", "blob "+b.Ref.Digest.Short(), "", "it comes without content")
	}
	r, err := b.Open()
	if err != nil {
		return nil, unreadable(b.Ref, err)
	}
	return &contextReader{ctx, r}, nil
}

// contextReader stops reading once the context is done. An error of the content itself is wrapped: the chunker takes a plain io.ErrUnexpectedEOF,
// which truncated content gives, for the end of a buffer and reads on for ever.
type contextReader struct {
	ctx context.Context
	io.ReadCloser
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.ReadCloser.Read(p)
	if err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("it is not whole: %w", err)
	}
	return n, err
}

func unreadable(ref schema.BlobRef, err error) error {
	return fmt.Errorf("reading blob %s: %w", ref.Digest.Short(), err)
}

func wrongSize(ref schema.BlobRef, got int64) error {
	return invalid("store.blob", "blob "+ref.Digest.Short(), "what it was made from may have changed meanwhile; do it again", "its content has not the %d bytes it was announced with (%d read)", ref.Bytes, got)
}

func wrongDigest(ref schema.BlobRef, got schema.Digest) error {
	return invalid("store.blob", "blob "+ref.Digest.Short(), "what it was made from may have changed meanwhile; do it again", "its content is %s", got)
}

// putBlob stores a staged blob, unless it is there or was erased.
func (t *tx) putBlob(st *stagedBlob) error {
	ref := st.blob.Ref
	var bytes int64
	found, err := one(t, "SELECT bytes FROM blobs WHERE digest = $1", []any{st.sum[:]}, &bytes)
	if err != nil {
		return err
	}
	if found {
		if bytes != ref.Bytes {
			return wrongSize(ref, bytes)
		}
		return nil
	}
	var doc string
	if found, err = one(t, "SELECT doc FROM erased WHERE digest = $1", []any{st.sum[:]}, &doc); err != nil || found {
		return err // bytes that were erased do not come back with a report that was on its way
	}
	if ref.Bytes <= inlineBytes {
		_, err = t.exec("INSERT INTO blobs (digest, kind, bytes, chunks, data) VALUES ($1, $2, $3, 0, $4)", st.sum[:], string(ref.Kind), ref.Bytes, st.small)
		return err
	}
	at := 0
	put := func(sum [32]byte, size int, data []byte) error {
		if data != nil {
			if _, err := t.exec("INSERT INTO chunks (digest, bytes, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", sum[:], size, data); err != nil {
				return err
			}
		}
		_, err := t.exec("INSERT INTO blob_chunks (blob, at, chunk) VALUES ($1, $2, $3)", st.sum[:], at, sum[:])
		at++
		return err
	}
	if st.later {
		err = splitBlob(t.ctx, st.blob, func(sum [32]byte, raw []byte) error {
			have, err := t.hasChunk(sum)
			if err != nil {
				return err
			}
			if have {
				return put(sum, len(raw), nil)
			}
			return put(sum, len(raw), compress(raw))
		})
	} else {
		for _, p := range st.pieces {
			if p.data == nil { // it was there a moment ago; an erasure may have been faster
				if have, err := t.hasChunk(p.sum); err != nil {
					return err
				} else if !have {
					return &schema.Error{Op: "store.blob", Kind: schema.Unavailable, Subject: "blob " + ref.Digest.Short(),
						Err: fmt.Errorf("a part of it was erased meanwhile"), Hint: "do it again"}
				}
			}
			if err := put(p.sum, p.bytes, p.data); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO blobs (digest, kind, bytes, chunks, data) VALUES ($1, $2, $3, $4, NULL)", st.sum[:], string(ref.Kind), ref.Bytes, at)
	return err
}

func (t *tx) hasChunk(sum [32]byte) (bool, error) {
	var n int64
	return one(t, "SELECT bytes FROM chunks WHERE digest = $1", []any{sum[:]}, &n)
}
