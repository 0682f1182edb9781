package http

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/sqlite"
	"github.com/runpin/runpin/store/storetest"
)

var ctx = context.Background()

// TestContract holds client and server together to what a store promises.
func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		dir := t.TempDir()
		return func(t testing.TB, o store.Options) storetest.Store {
			db := openDB(t, filepath.Join(dir, "store.db"), o)
			writable := db
			if o.ReadOnly {
				writable = openDB(t, filepath.Join(dir, "store.db"), store.Options{})
			}
			secret := token(t, writable, store.Token{Scopes: []store.TokenScope{store.ScopeAdmin}})
			return client(t, listen(t, db, ServerOptions{Uploads: filepath.Join(dir, "uploads"), Now: o.Now}), ClientOptions{Token: secret})
		}
	})
}

func openDB(t testing.TB, path string, o store.Options) *store.Store {
	t.Helper()
	db, err := sqlite.Open(ctx, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func token(t testing.TB, db *store.Store, want store.Token) string {
	t.Helper()
	_, secret, err := db.CreateToken(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func listen(t testing.TB, db *store.Store, o ServerOptions) string {
	t.Helper()
	if o.Uploads == "" {
		o.Uploads = t.TempDir()
	}
	s, err := NewServer(db, o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() { h.Close(); s.Close() })
	return h.URL
}

func client(t testing.TB, url string, o ClientOptions) *Client {
	t.Helper()
	if o.Budget == 0 {
		o.Budget = 2 * time.Second
	}
	c, err := Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantKind(t testing.TB, err error, kind schema.Kind) {
	t.Helper()
	if schema.KindOf(err) != kind {
		t.Fatalf("got %v of kind %q, want kind %q", err, schema.KindOf(err), kind)
	}
}

var _ http.Handler = (*Server)(nil)
