package storetest

import (
	"context"
	"io"
	"testing"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// Store is what every place that runs can be searched in offers: a database here, or one behind a server.
type Store interface {
	Save(ctx context.Context, report schema.Report) error
	SaveEncoded(ctx context.Context, documents [][]byte, blobs []schema.Blob) error
	Beat(ctx context.Context, run schema.RunID, at schema.Time) error
	OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error)
	Find(ctx context.Context, query string, scope store.Scope) (schema.RunID, error)
	Run(ctx context.Context, id schema.RunID) (schema.Run, error)
	Documents(ctx context.Context, id schema.RunID) ([]schema.Document, error)
	Encoded(ctx context.Context, id schema.RunID) ([][]byte, error)
	List(ctx context.Context, filter store.Filter) ([]schema.Run, error)
	Stats(ctx context.Context) (store.Stats, error)
	Check(ctx context.Context, options ...store.CheckOptions) (store.CheckReport, error)
	Close() error
}

// Database is a store that looks after itself, where it lies: what a server does not do for those it serves.
type Database interface {
	Store
	Reindex(ctx context.Context) error
	Backup(ctx context.Context, dest string) error
	ReadOnly() bool
}

var _ Database = (*store.Store)(nil)

// database gives the store as one that has upkeep.
func database(t testing.TB, s Store) Database {
	t.Helper()
	d, ok := s.(Database)
	if !ok {
		t.Fatal("this store has no upkeep, and the test is about that")
	}
	return d
}

// reindex builds the index anew where the store offers that, and reports whether it does.
func reindex(t testing.TB, s Store) bool {
	t.Helper()
	d, ok := s.(Database)
	if ok {
		if err := d.Reindex(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return ok
}
