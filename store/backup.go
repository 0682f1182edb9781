package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/runpin/runpin/schema"
)

// Backup copies the store, as it stands at one moment, to the file dest, while others may write. The copy is complete and durable when dest appears.
// A dest that exists is of kind Conflict.
func (s *Store) Backup(ctx context.Context, dest string) error {
	const op = "store.backup"
	subject := fmt.Sprintf("%q", schema.Shorten(dest, 300))
	taken := &schema.Error{Op: op, Kind: schema.Conflict, Subject: subject, Err: fs.ErrExist, Hint: "name a file that does not exist"}
	if _, err := os.Lstat(dest); err == nil {
		return taken
	}
	partial := dest + ".partial-" + rand.Text()[:8]
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return s.fail(ctx, op, subject, err)
	}
	f.Close()
	defer os.Remove(partial)
	if err := s.copyTo(ctx, partial); err != nil {
		return s.fail(ctx, op, subject, err)
	}
	if err := syncFile(partial); err != nil {
		return s.fail(ctx, op, subject, err)
	}
	// A link fails where a rename would replace a file that appeared meanwhile.
	if err := os.Link(partial, dest); errors.Is(err, fs.ErrExist) {
		return taken
	} else if err != nil {
		if _, err := os.Lstat(dest); err == nil {
			return taken
		}
		if err := os.Rename(partial, dest); err != nil {
			return s.fail(ctx, op, subject, err)
		}
	}
	os.Remove(partial)
	return s.fail(ctx, op, subject, syncDir(filepath.Dir(dest)))
}

func (s *Store) copyTo(ctx context.Context, dest string) error {
	conn, err := s.pools.Read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return s.dialect.Backup(ctx, conn, dest)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes a new name durable. Windows has no such thing and needs none.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Stats counts what a store holds.
type Stats struct {
	Runs          int64 `json:"runs"`
	Documents     int64 `json:"documents"`
	DocumentBytes int64 `json:"document_bytes"`
	Blobs         int64 `json:"blobs"`
	BlobBytes     int64 `json:"blob_bytes"`   // before compression, each blob once
	StoredBytes   int64 `json:"stored_bytes"` // of blobs, as they lie in the store
}

// Stats counts.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	var out Stats
	err := s.read(ctx, "store.stats", "the store", func(r *snapshot) error {
		for _, q := range []struct {
			sql  string
			dest []any
		}{
			{"SELECT count(*) FROM runs WHERE known", []any{&out.Runs}},
			{"SELECT count(*), coalesce(sum(length(bytes)), 0) FROM documents", []any{&out.Documents, &out.DocumentBytes}},
			{"SELECT count(*), coalesce(sum(bytes), 0) FROM blobs", []any{&out.Blobs, &out.BlobBytes}},
			{"SELECT coalesce((SELECT sum(length(data)) FROM blobs), 0) + coalesce((SELECT sum(length(data)) FROM chunks), 0)", []any{&out.StoredBytes}},
		} {
			if _, err := one(r, q.sql, nil, q.dest...); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}
