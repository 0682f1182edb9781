package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/postgres/postgrestest"
	"github.com/runpin/runpin/store/sqlite"
	"github.com/runpin/runpin/store/storetest"
)

// Several servers set up one database at the same time, and then all write: to runs of their own, and all to one.
func TestManyStoresAtOnce(t *testing.T) {
	location := postgrestest.Database(t)
	shared := storetest.NewSample(0)
	const servers, each = 6, 8
	var wg sync.WaitGroup
	errs := make(chan error, servers*(each+2))
	for n := range servers {
		wg.Go(func() {
			s, err := Open(context.Background(), location, store.Options{})
			if err != nil {
				errs <- err
				return
			}
			defer s.Close()
			errs <- s.Save(context.Background(), storetest.Report(shared.Base()))
			for i := range each {
				own := storetest.NewSample(1 + n*each + i)
				rank := n*each + i
				seen := shared.Doc(schema.KindObservation, time.Duration(rank)*time.Second)
				seen.Reporter.Rank = &rank
				seen.Observation = &schema.Observation{Attempt: &schema.Attempt{Number: 1, Rank: &rank}}
				errs <- s.Save(context.Background(), storetest.Report(own.Base(), own.Label(time.Second, "k", "v"), seen))
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	s := open(t, location, store.Options{})
	runs, err := s.List(context.Background(), store.Filter{})
	if err != nil || len(runs) != 1+servers*each {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	run, err := s.Run(context.Background(), shared.ID)
	if err != nil || len(run.Observations) != servers*each {
		t.Errorf("%d observations, %v", len(run.Observations), err)
	}
	report, err := s.Check(context.Background())
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("%+v, %v", report.Problems, err)
	}
}

// The server cuts a connection in the middle of a report: nothing of it is kept, the failure is worth retrying, and the next try works.
func TestConnectionLostWhileSaving(t *testing.T) {
	location := postgrestest.Database(t)
	s := open(t, location, store.Options{})
	a := storetest.NewSample(1)
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	cut := schema.NewBlob(schema.BlobBundle, content)
	opened := 0
	cut.Open = func() (io.ReadCloser, error) {
		// Read once before the transaction, and again within it where it did not fit into memory; a lock that is held meanwhile shows that one is open.
		opened++
		return io.NopCloser(bytes.NewReader(content)), nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			postgrestest.Exec(t, location, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in%'`)
			time.Sleep(time.Millisecond)
		}
	}()
	failed := 0
	for i := range 40 {
		b := storetest.NewSample(10 + i)
		err := s.Save(context.Background(), schema.Report{Documents: []schema.Document{b.Base(), b.Output(time.Second, "loss", "1")}, Blobs: []schema.Blob{cut}})
		if err == nil {
			continue
		}
		failed++
		if !schema.IsKind(err, schema.Unavailable) {
			t.Errorf("kind %s: %v", schema.KindOf(err), err)
		}
		if docs, err := s.Encoded(context.Background(), b.ID); err == nil && len(docs) != 2 {
			t.Errorf("%d documents of a report of two", len(docs))
		}
	}
	<-done
	t.Logf("%d of 40 reports met a cut connection", failed)
	var err error
	for range 3 { // a pooled connection may have been cut last
		if err = s.Save(context.Background(), storetest.Report(a.Base())); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.Check(context.Background())
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("%+v, %v", report.Problems, err)
	}
}

// A store goes from SQLite to PostgreSQL and back, and is the same.
func TestMigrateThereAndBack(t *testing.T) {
	from, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "a.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	for i := range 1200 {
		a := storetest.NewSample(i)
		small, large := schema.NewBlob(schema.BlobFile, []byte{byte(i % 7)}), schema.NewBlob(schema.BlobBundle, bytes.Repeat([]byte{byte(i % 3), 1, 2}, 500_000))
		blobs := []schema.Blob{small}
		if i%400 == 0 {
			blobs = append(blobs, large)
		}
		if err := from.Save(context.Background(), schema.Report{Documents: []schema.Document{a.Base(), a.Label(time.Second, "k", "v")}, Blobs: blobs}); err != nil {
			t.Fatal(err)
		}
	}
	there := open(t, postgrestest.Database(t), store.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := from.CopyTo(ctx, there, stopAt{700, cancel}); !schema.IsKind(err, schema.Interrupted) {
		t.Fatalf("it was stopped half-way: %v", err)
	}
	half, err := there.Stats(context.Background())
	if err != nil || half.Documents == 0 || half.Documents == 2400 {
		t.Fatalf("%+v, %v", half, err)
	}
	copied, err := from.CopyTo(context.Background(), there, nil)
	if err != nil || copied.Documents != 2400 || copied.NewDocuments != 2400-half.Documents || copied.Blobs != 10 {
		t.Fatalf("%+v, %v", copied, err)
	}
	back, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "b.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	again, err := there.CopyTo(context.Background(), back, nil)
	if err != nil || again.Digest != copied.Digest {
		t.Errorf("%+v, %v; the digest was %s", again, err, copied.Digest)
	}
	for name, s := range map[string]*store.Store{"there": there, "back": back} {
		report, err := s.Check(context.Background())
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("%s: %+v, %v", name, report.Problems, err)
		}
	}
}

// stopAt cancels a copy once so many documents are done.
type stopAt struct {
	n      int64
	cancel func()
}

func (s stopAt) Step(what string, done, _ int64, _ string) {
	if what == "documents" && done >= s.n {
		s.cancel()
	}
}

func TestNoPasswordIsShown(t *testing.T) {
	const secret = "hunter2"
	for _, location := range []string{"postgres://u:" + secret + "@127.0.0.1:1/x", "postgres://u:" + secret + "@[::1/x", "postgres://u:" + secret + "@h:99999999/x", "postgres://h/x?password=" + secret,
		"postgres://u:" + secret + "%zz@h/x", "postgres://u:" + secret + "@127.0.0.1:1/x?sslmode=" + secret, "postgres://u:" + secret + "@127.0.0.1:1/x?connect_timeout=" + secret} {
		if shown := Show(location); strings.Contains(shown, secret) && !strings.Contains(location, "sslmode") && !strings.Contains(location, "connect_timeout") {
			t.Errorf("%s is shown as %s", location, shown)
		}
		_, err := Open(context.Background(), location, store.Options{})
		if err == nil {
			t.Fatalf("%s was opened", location)
		}
		if text := err.Error() + schema.HintOf(err); strings.Contains(text, "u:"+secret) || strings.Contains(text, "password="+secret) {
			t.Errorf("%s: %s", location, text)
		}
	}
}

func TestClassify(t *testing.T) {
	location := postgrestest.Database(t)
	for name, c := range map[string]struct {
		location string
		want     schema.Kind
	}{
		"another password": {strings.Replace(location, "runpin:", "runpin:x", 1), schema.Invalid},
		"no such database": {location + "x", schema.Invalid},
		"nobody listens":   {"postgres://u@127.0.0.1:1/x", schema.Unavailable},
	} {
		_, err := Open(context.Background(), c.location, store.Options{})
		if schema.KindOf(err) != c.want {
			t.Errorf("%s: kind %s: %v", name, schema.KindOf(err), err)
		}
		if schema.HintOf(err) == "" {
			t.Errorf("%s: no hint: %v", name, err)
		}
	}
	if _, err := Open(context.Background(), location, store.Options{ReadOnly: true}); !schema.IsKind(err, schema.NotFound) {
		t.Errorf("an empty database opened for reading: %v", err)
	}
	postgrestest.Exec(t, location, "CREATE TABLE something_else (x INTEGER)")
	if _, err := Open(context.Background(), location, store.Options{}); !schema.IsKind(err, schema.Invalid) {
		t.Errorf("somebody else's database: %v", err)
	}
	s := open(t, postgrestest.Database(t), store.Options{})
	if err := s.Backup(context.Background(), filepath.Join(t.TempDir(), "x")); !schema.IsKind(err, schema.Invalid) || errors.Is(err, context.Canceled) {
		t.Errorf("backup: %v", err)
	}
}
