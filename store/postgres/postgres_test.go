package postgres

import (
	"context"
	"testing"

	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/postgres/postgrestest"
	"github.com/runpin/runpin/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		location := postgrestest.Database(t)
		return func(t testing.TB, o store.Options) storetest.Store { return open(t, location, o) }
	})
}

func open(t testing.TB, location string, o store.Options) *store.Store {
	t.Helper()
	s, err := Open(context.Background(), location, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
