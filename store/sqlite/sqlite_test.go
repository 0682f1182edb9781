package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.OpenFile = func(t testing.TB, path string) *store.Store { return open(t, path, store.Options{}) }
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		path := filepath.Join(t.TempDir(), "store.db")
		return func(t testing.TB, o store.Options) storetest.Store { return open(t, path, o) }
	})
}

func open(t testing.TB, path string, o store.Options) *store.Store {
	t.Helper()
	s, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
