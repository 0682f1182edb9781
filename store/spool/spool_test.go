package spool_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/sqlite"
	"github.com/runpin/runpin/store/storetest"
)

var ctx = context.Background()

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openSpool(t testing.TB) *spool.Spool {
	t.Helper()
	s, err := spool.Open(filepath.Join(t.TempDir(), "a", "spool"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// report makes a report with a small, a large and an empty blob.
func report(n int) schema.Report {
	a := storetest.NewSample(n)
	m := storetest.Manifest("m", 5)
	a.UseManifest(m, 5)
	large := schema.NewBlob(schema.BlobBundle, bytes.Repeat([]byte(storetest.Digest("x").Hex()+"\n"), 40_000))
	a.Plan.Code[0].Bundle = &large.Ref
	return schema.Report{Documents: []schema.Document{a.Base(), a.Output(time.Second, "loss", "0.1"), a.Ended(time.Minute, schema.Succeeded)},
		Blobs: []schema.Blob{m, large, schema.NewBlob(schema.BlobFile, nil), m}}
}

func mustSave(t testing.TB, s *spool.Spool, r schema.Report) {
	t.Helper()
	if err := s.Save(ctx, r); err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB, s *spool.Spool) []string {
	t.Helper()
	all, err := spool.Reports(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	var all []schema.Report
	for i := range 3 {
		all = append(all, report(i))
		mustSave(t, s, all[i])
		mustSave(t, s, all[i]) // again is once
	}
	if n := len(files(t, s)); n != 3 {
		t.Fatalf("%d files", n)
	}
	read, err := spool.Read(files(t, s)[1])
	if err != nil || len(read.Documents) != 3 || len(read.Blobs) != 3 {
		t.Fatalf("%+v, %v", read, err)
	}
	for i, d := range all[1].Documents {
		if b, _ := d.Encode(); !bytes.Equal(b, read.Documents[i]) {
			t.Errorf("document %d: %s", i, read.Documents[i])
		}
	}
	for range 2 { // a blob can be opened again
		r, err := read.Blobs[1].Open()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || schema.SHA256(b) != read.Blobs[1].Ref.Digest {
			t.Error(err)
		}
		r.Close()
	}
	if n, err := imported(ctx, s.Dir(), into); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := imported(ctx, s.Dir(), into); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	// Moved back, as if the import had been killed between saving and moving.
	moved, _ := filepath.Glob(filepath.Join(s.Dir(), "done", "*"))
	for _, path := range moved {
		if err := os.Rename(path, filepath.Join(s.Dir(), filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := imported(ctx, s.Dir(), into); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	checked, err := into.Check(ctx)
	if err != nil || checked.Runs != 3 || checked.Blobs != 3 || len(checked.Problems) > 0 {
		t.Errorf("%+v, %v", checked, err)
	}
	for _, r := range all {
		run, err := into.Run(ctx, r.Documents[0].Run)
		if err != nil || run.Status != schema.Succeeded {
			t.Error(run.Status, err)
		}
	}
}

func TestWhatIsNotWholeIsLeft(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	mustSave(t, s, report(1))
	good, err := os.ReadFile(files(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.Dir(), name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad := map[string][]byte{
		"empty.report":    nil,
		"cut.report":      good[:len(good)-20],
		"half.report":     good[:len(good)/2],
		"magic.report":    bytes.Replace(good, []byte("spool 1"), []byte("spool 2"), 1),
		"longer.report":   append(bytes.Clone(good), 'x'),
		"document.report": bytes.Replace(good, []byte(`"run-1"`), []byte(`"run-2"`), 1),
		"size.report":     []byte("runpin spool 1\ndocument " + string(storetest.Digest("x")) + " 99999999999\n"),
		"lying.report":    []byte("runpin spool 1\nblob file " + string(storetest.Digest("x")) + " 10 00000009999999999999\nend 1\n"),
		"kind.report":     []byte("runpin spool 1\nblob film " + string(storetest.Digest("x")) + " 10 00000000000000000000\n\nend 1\n"),
		"line.report":     []byte("runpin spool 1\n" + strings.Repeat("x", 100_000)),
		"bomb.report":     bytes.Replace(good, []byte("blob bundle "), []byte("blob file   "), 1),
	}
	for name, content := range bad {
		write(name, content)
	}
	// The content of a blob is damaged: that is seen when the store reads it.
	damaged := bytes.Clone(good)
	at := bytes.Index(damaged, []byte("blob bundle "))
	at += bytes.IndexByte(damaged[at:], '\n') + 30
	for i := range 40 {
		damaged[at+i] ^= 0x55
	}
	write("00blob.report", damaged)
	write(".hidden.report", good[:100])
	write("note.txt", []byte("not a report"))
	if err := os.Symlink(files(t, s)[0], filepath.Join(s.Dir(), "link.report")); err != nil {
		t.Log(err)
	}
	n, err := imported(ctx, s.Dir(), into)
	if n != 1 {
		t.Errorf("%d reports, %v", n, err)
	}
	for name, content := range bad {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
		if kept, err := os.ReadFile(filepath.Join(s.Dir(), "refused", name)); err != nil || !bytes.Equal(kept, content) {
			t.Errorf("%s was not kept as it is: %v", name, err)
		}
	}
	if !strings.Contains(err.Error(), "00blob.report") {
		t.Errorf("00blob.report is not named in %v", err)
	}
	checked, err := into.Check(ctx)
	if err != nil || checked.Runs != 1 || len(checked.Problems) > 0 {
		t.Errorf("%+v, %v", checked, err)
	}
}

func TestSaveFails(t *testing.T) {
	s := openSpool(t)
	empty := func() {
		t.Helper()
		entries, err := os.ReadDir(s.Dir())
		if err != nil || len(entries) > 0 {
			t.Errorf("something was left: %v, %v", entries, err)
		}
	}
	r := report(1)
	for name, change := range map[string]func(b *schema.Blob){
		"digest":   func(b *schema.Blob) { b.Ref.Digest = storetest.Digest("another") },
		"short":    func(b *schema.Blob) { b.Ref.Bytes++ },
		"long":     func(b *schema.Blob) { b.Ref.Bytes-- },
		"too much": func(b *schema.Blob) { b.Ref.Bytes = store.MaxBlobBytes[b.Ref.Kind] + 1 },
		"failing":  func(b *schema.Blob) { b.Open = func() (io.ReadCloser, error) { return nil, fs.ErrPermission } },
	} {
		bad := r
		bad.Blobs = append([]schema.Blob(nil), r.Blobs...)
		change(&bad.Blobs[1])
		if err := s.Save(ctx, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
		empty()
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Save(cancelled, r); schema.KindOf(err) != schema.Interrupted {
		t.Error(err)
	}
	if err := s.Save(ctx, schema.Report{}); schema.KindOf(err) != schema.Invalid {
		t.Error(err)
	}
	empty()
}

// TestConflict: a report that the store refuses is set aside, and the others are imported.
func TestConflict(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	a := storetest.NewSample(1)
	if err := into.Save(ctx, storetest.Report(a.Base())); err != nil {
		t.Fatal(err)
	}
	a.Plan.Name = "another"
	mustSave(t, s, storetest.Report(a.Base()))
	mustSave(t, s, report(2))
	n, err := imported(ctx, s.Dir(), into)
	if n != 1 || schema.KindOf(err) != schema.Conflict || len(files(t, s)) != 0 {
		t.Error(n, err, files(t, s))
	}
}

type unreachable struct{ calls int }

func (u *unreachable) SaveEncoded(context.Context, [][]byte, []schema.Blob) error {
	u.calls++
	return &schema.Error{Op: "x", Kind: schema.Unavailable, Subject: "the store", Err: errors.New("locked")}
}

func TestStoreCannotBeReached(t *testing.T) {
	s := openSpool(t)
	mustSave(t, s, report(1))
	mustSave(t, s, report(2))
	u := &unreachable{}
	n, err := imported(ctx, s.Dir(), u)
	if n != 0 || schema.KindOf(err) != schema.Unavailable || u.calls != 1 || len(files(t, s)) != 2 {
		t.Error(n, err, u.calls)
	}
	_, err = imported(ctx, filepath.Join(s.Dir(), "none"), u)
	if !errors.Is(err, fs.ErrNotExist) || schema.KindOf(err) != schema.NotFound {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	s, err := spool.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	mustSave(f, s, report(1))
	seed, err := os.ReadFile(files(f, s)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed[:3000])
	f.Add([]byte("runpin spool 1\nend 0\n"))
	f.Add([]byte("runpin spool 1\nblob file " + string(storetest.Digest("x")) + " 10 00000000000000000000\n\nend 1\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "fuzz.report") // a new file each time: replacing one waits for the disk
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := spool.Read(path)
		if err != nil {
			if schema.KindOf(err) != schema.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		for _, b := range r.Blobs {
			if c, err := b.Open(); err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
				c.Close()
			}
		}
	})
}

func imported(ctx context.Context, dir string, into spool.Saver) (int, error) {
	done, err := spool.Import(ctx, dir, into, spool.ImportOptions{})
	return done.Reports, err
}
