package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

var ctx = context.Background()

func wantKind(t testing.TB, err error, kind schema.Kind, texts ...string) {
	t.Helper()
	if schema.KindOf(err) != kind {
		t.Fatalf("got %v of kind %q, want kind %q", err, schema.KindOf(err), kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error()+" "+schema.HintOf(err), text) {
			t.Errorf("neither %q nor its hint %q says %q", err, schema.HintOf(err), text)
		}
	}
}

func save(t testing.TB, s *store.Store, n int) *storetest.Sample {
	t.Helper()
	a := storetest.NewSample(n)
	if err := s.Save(ctx, storetest.Report(a.Base(), a.Output(time.Second, "loss", "1"), a.Ended(time.Minute, schema.Succeeded))); err != nil {
		t.Fatal(err)
	}
	return a
}

// raw opens the file beside the store, as another program would.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, pragmas("busy_timeout", "1000")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b", "q?mode=memory", "h#x", "p%41", "file:x", "ü", "a&_pragma=x", "semi;colon", "quote'\""} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, `?:"`) {
			continue
		}
		dir := t.TempDir()
		path := filepath.Join(dir, name, name)
		s := open(t, path, store.Options{})
		save(t, s, 1)
		info, err := os.Stat(path)
		if err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
			t.Errorf("%q: %v %v", name, info, err)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o700) {
			t.Errorf("%q: %v %v", name, info, err)
		}
		entries, _ := os.ReadDir(dir)
		if len(entries) != 1 {
			t.Errorf("%q: %v", name, entries)
		}
		s.Close()
		if _, err := open(t, path, store.Options{ReadOnly: true}).Find(ctx, "latest", store.Scope{}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNotAStore(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(ctx, filepath.Join(dir, "none"), store.Options{ReadOnly: true})
	wantKind(t, err, schema.NotFound)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(ctx, text, store.Options{})
	wantKind(t, err, schema.Internal, "not a SQLite file")
	_, err = Open(ctx, text, store.Options{ReadOnly: true})
	wantKind(t, err, schema.Internal)
	_, err = Open(ctx, dir, store.Options{})
	wantKind(t, err, schema.Invalid)
	_, err = Open(ctx, dir, store.Options{ReadOnly: true})
	wantKind(t, err, schema.Invalid)
	other := filepath.Join(dir, "other.db")
	execute(t, raw(t, other), "CREATE TABLE notes (text)")
	for _, readOnly := range []bool{false, true} {
		_, err = Open(ctx, other, store.Options{ReadOnly: readOnly})
		wantKind(t, err, schema.Invalid, "not one of runpin's")
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(ctx, empty, store.Options{ReadOnly: true})
	wantKind(t, err, schema.Invalid)
	open(t, empty, store.Options{}) // an empty file is a new store
}

func TestNewerAndEditedMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	open(t, path, store.Options{}).Close()
	db := raw(t, path)
	execute(t, db, "INSERT INTO migrations VALUES (99, '0099_future.sqlite.sql', 'x', 'y')")
	for _, readOnly := range []bool{false, true} {
		_, err := Open(ctx, path, store.Options{ReadOnly: readOnly})
		wantKind(t, err, schema.Internal, "upgrade runpin")
		if !errors.Is(err, store.ErrNewerSchema) {
			t.Error(err)
		}
	}
	execute(t, db, "DELETE FROM migrations WHERE version = 99")
	execute(t, db, "UPDATE migrations SET checksum = 'edited'")
	_, err := Open(ctx, path, store.Options{})
	wantKind(t, err, schema.Internal)
}

// TestGolden opens a store of each released version of the tables.
func TestGolden(t *testing.T) {
	golden, err := filepath.Glob("../testdata/*.sqlite.db")
	if err != nil || len(golden) == 0 {
		t.Fatalf("no golden stores: %v", err)
	}
	for _, from := range golden {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "s.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path, store.Options{})
		report, err := s.Check(ctx)
		if err != nil || report.Runs != 3 || report.Blobs != 2 || len(report.Problems) > 0 {
			t.Errorf("%s: %+v, %v", from, report, err)
		}
		runs, err := s.List(ctx, store.Filter{Params: []string{"seed=1"}, File: "golden/000001.bin"})
		if err != nil || len(runs) != 1 || runs[0].Metrics["loss"] != "0.1" {
			t.Errorf("%s: %v, %v", from, runs, err)
		}
		s.Close()
	}
}

// TestWriteGolden makes the golden store of the current version; it runs only when asked to, before a release.
func TestWriteGolden(t *testing.T) {
	path := os.Getenv("RUNPIN_WRITE_GOLDEN")
	if path == "" {
		return
	}
	s := open(t, path, store.Options{Now: func() time.Time { return storetest.Epoch }})
	for i := range 3 {
		a := storetest.NewSample(i)
		m := storetest.Manifest("golden", 3)
		a.UseManifest(m, 3)
		large := schema.NewBlob(schema.BlobPackages, []byte(strings.Repeat("pypi numpy 2.1.0\n", 100_000)))
		if err := s.Save(ctx, schema.Report{Documents: []schema.Document{a.Base(), a.Label(time.Second, "k", "v"), a.Output(time.Second, "loss", fmt.Sprint("0.", i)), a.Ended(time.Minute, schema.Succeeded)},
			Blobs: []schema.Blob{m, large}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path, store.Options{BusyTimeout: 100 * time.Millisecond})
	a := save(t, s, 1)
	db := raw(t, path)
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	b := storetest.NewSample(2)
	wantKind(t, s.Save(ctx, storetest.Report(b.Base())), schema.Unavailable, "another process")
	if _, err := s.Run(ctx, a.ID); err != nil { // readers do not wait
		t.Error(err)
	}
	long := open(t, path, store.Options{})
	done := make(chan error)
	go func() { done <- long.Save(ctx, storetest.Report(b.Base())) }()
	cancelled, cancel := context.WithCancel(ctx)
	waiting := open(t, path, store.Options{})
	given := make(chan error)
	go func() { given <- waiting.Save(cancelled, storetest.Report(storetest.NewSample(3).Base())) }()
	time.Sleep(50 * time.Millisecond)
	cancel()
	wantKind(t, <-given, schema.Interrupted)
	if _, err := c.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path, store.Options{})
	a := save(t, s, 1)
	// A limit on pages gives the same error as a full disk.
	var pages int
	if err := raw(t, path).QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limited, err := store.Open(ctx, limitedDialect{pages: pages + 5}, path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer limited.Close()
	b := storetest.NewSample(2)
	content := make([]byte, 900_000)
	for i := range content {
		content[i] = byte(i * i >> 3)
	}
	err = limited.Save(ctx, schema.Report{Documents: []schema.Document{b.Base()}, Blobs: []schema.Blob{schema.NewBlob(schema.BlobFile, append(content, storetest.Digest("x").Hex()...))}})
	if err == nil {
		for i := 3; err == nil && i < 200; i++ {
			err = limited.Save(ctx, storetest.Report(storetest.NewSample(i).Base()))
		}
	}
	wantKind(t, err, schema.Unavailable, "space")
	if _, err := limited.Run(ctx, a.ID); err != nil {
		t.Error(err)
	}
	sound(t, s)
}

// limitedDialect opens a database that cannot grow beyond a number of pages.
type limitedDialect struct {
	Dialect
	pages int
}

func (d limitedDialect) Open(ctx context.Context, path string, o store.OpenOptions) (store.Pools, error) {
	pools, err := d.Dialect.Open(ctx, path, o)
	if err == nil {
		pools.Write.SetMaxOpenConns(1)
		_, err = pools.Write.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", d.pages))
	}
	return pools, err
}

func sound(t testing.TB, s *store.Store) store.CheckReport {
	t.Helper()
	report, err := s.Check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("check: %v", p)
	}
	return report
}

// TestDamage overwrites what is stored and expects `store check` to say so, and never to stop.
func TestDamage(t *testing.T) {
	for name, statement := range map[string]string{
		"document's bytes":     "UPDATE documents SET bytes = CAST(replace(CAST(bytes AS TEXT), 'run-1', 'run-7') AS BLOB) WHERE kind = 'run'",
		"document is not JSON": "UPDATE documents SET bytes = x'78' WHERE kind = 'run'",
		"document is filed":    "UPDATE documents SET kind = 'note' WHERE kind = 'output'",
		"base is gone":         "DELETE FROM documents WHERE kind = 'run'",
		"blob":                 "UPDATE blobs SET data = x'00'",
		"blob's size":          "UPDATE blobs SET bytes = bytes + 1",
		"blob is gone":         "DELETE FROM blobs",
		"piece":                "UPDATE chunks SET data = x'00' WHERE rowid = 2",
		"piece is gone":        "DELETE FROM chunks WHERE rowid = 2",
		"pieces in disorder":   "UPDATE blob_chunks SET at = 1000 WHERE at = 0",
		"fact is gone":         "DELETE FROM facts WHERE v = (SELECT v FROM terms WHERE kind = 'object' LIMIT 1)",
		"fact too many":        "INSERT INTO facts SELECT v, 1 FROM terms LIMIT 1",
		"term":                 "UPDATE terms SET value = value || 'x' WHERE kind = 'object'",
		"term is gone":         "DELETE FROM terms WHERE kind = 'dataset'",
		"metric":               "UPDATE measures SET value = '2'",
		"row":                  "UPDATE runs SET status = 'failed'",
		"row is gone":          "DELETE FROM runs",
		"row too many":         "INSERT INTO runs SELECT n + 1, '01AAAAAAAAAAAAAAAAAAAAAAAA', tail, known, name, status, started, finished, fingerprint FROM runs LIMIT 1",
		"listing":              "DELETE FROM listing_files",
		"listing is gone":      "DELETE FROM listings",
		"erasure":              "INSERT INTO erased VALUES (zeroblob(32), '01AAAAAAAAAAAAAAAAAAAAAAAA')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "s.db")
			s := open(t, path, store.Options{})
			a := storetest.NewSample(1)
			m := storetest.Manifest("m", 3)
			a.UseManifest(m, 3)
			big := schema.NewBlob(schema.BlobBundle, []byte(strings.Repeat(storetest.Digest("b").Hex()+"\n", 60_000)))
			a.Plan.Code[0].Bundle = &big.Ref
			if err := s.Save(ctx, schema.Report{Documents: []schema.Document{a.Base(), a.Output(time.Second, "loss", "1"), a.Ended(time.Minute, schema.Succeeded)}, Blobs: []schema.Blob{m, big}}); err != nil {
				t.Fatal(err)
			}
			sound(t, s)
			execute(t, raw(t, path), statement)
			report, err := s.Check(ctx)
			if err != nil || len(report.Problems) == 0 {
				t.Fatalf("nothing was found: %+v, %v", report, err)
			}
			if _, err := s.Run(ctx, a.ID); err != nil && schema.KindOf(err) != schema.Internal && schema.KindOf(err) != schema.NotFound {
				t.Error(err)
			}
			if err := s.Reindex(ctx); err != nil {
				t.Fatal(err)
			}
			indexOnly := !strings.Contains(statement, "documents SET bytes") && !strings.Contains(statement, "DELETE FROM documents") && !strings.Contains(statement, "blob") && !strings.Contains(statement, "chunks")
			if indexOnly || name == "erasure" {
				sound(t, s)
			}
		})
	}
}

// TestCorruptFile overwrites pages in the middle of the file.
func TestCorruptFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path, store.Options{})
	for i := range 40 {
		save(t, s, i)
	}
	s.Close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := f.Stat()
	garbage := []byte(strings.Repeat("\xde\xad\xbe\xef", 1024))
	for at := int64(8 * 4096); at < info.Size(); at += 5 * 4096 {
		if _, err := f.WriteAt(garbage, at); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	s, err = Open(ctx, path, store.Options{})
	if err != nil {
		wantKind(t, err, schema.Internal, "runpin store")
		return
	}
	defer s.Close()
	report, err := s.Check(ctx)
	if err != nil || len(report.Problems) < 2 {
		t.Errorf("%d problems, %v", len(report.Problems), err)
	}
	if _, err := s.List(ctx, store.Filter{}); err != nil {
		wantKind(t, err, schema.Internal, "runpin store")
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind schema.Kind
	}{
		{errors.New("x"), schema.Internal}, {fs.ErrPermission, schema.Unavailable},
	} {
		if kind, _ := (Dialect{}).Classify(c.err); kind != c.kind {
			t.Errorf("%v: %s", c.err, kind)
		}
	}
}

func TestFileSystems(t *testing.T) {
	if name, yes := OnNetworkFileSystem(filepath.Join(t.TempDir(), "not", "there", "yet")); yes {
		t.Errorf("a temporary directory is on %s", name)
	}
	if runtime.GOOS == "linux" {
		if name, yes := OnEphemeral("/dev/shm/runpin/x.db"); !yes || name != "tmpfs" {
			t.Errorf("/dev/shm: %q %v", name, yes)
		}
	}
}
