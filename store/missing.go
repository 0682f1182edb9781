package store

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/runpin/runpin/schema"
)

// MissingBlobs gives those of the blobs that a report would have to bring along: the store neither has them nor has it erased them.
func (s *Store) MissingBlobs(ctx context.Context, digests []schema.Digest) ([]schema.Digest, error) {
	const op = "store.blob"
	var out []schema.Digest
	err := s.read(ctx, op, "blobs", func(r *snapshot) error {
		for _, digest := range digests {
			var sum [32]byte
			if !digest.Valid() || len(digest.Hex()) != 64 {
				return invalid(op, fmt.Sprintf("blob %q", schema.Shorten(string(digest), 160)), "", "a blob is named by its SHA-256")
			}
			if _, err := hex.Decode(sum[:], []byte(digest.Hex())); err != nil {
				return err
			}
			var n int64
			var doc string
			found, err := one(r, "SELECT bytes FROM blobs WHERE digest = $1", []any{sum[:]}, &n)
			if err == nil && !found {
				found, err = one(r, "SELECT doc FROM erased WHERE digest = $1", []any{sum[:]}, &doc)
			}
			if err != nil {
				return err
			}
			if !found {
				out = append(out, digest)
			}
		}
		return nil
	})
	return out, err
}
