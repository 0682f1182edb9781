package http

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

// TestRanksReportTheSameLargeBlob: all of them have uploaded it, with one token of a project, before the first reports it.
func TestRanksReportTheSameLargeBlob(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	url := listen(t, db, ServerOptions{})
	secret := token(t, db, store.Token{Scopes: []store.TokenScope{store.ScopeAppend}, Project: "vision"})
	_, report, blob := largeReport(t)
	const ranks = 4
	var uploaded sync.WaitGroup
	uploaded.Add(ranks)
	var done sync.WaitGroup
	for range ranks {
		done.Go(func() {
			posted := false
			defer func() {
				if !posted { // it failed before: the others are not to wait for it
					uploaded.Done()
				}
			}()
			wait := &spoiler{spoil: func(_ int, r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
				if r.URL.Path == "/v1/reports" {
					if posted {
						t.Error("the report is sent again")
					} else {
						posted = true
						uploaded.Done()
						uploaded.Wait()
					}
				}
				return do()
			}}
			if err := client(t, url, ClientOptions{Token: secret, Transport: wait, Budget: 10 * time.Minute}).Save(ctx, report); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if want := blob.Ref.Bytes; want == 0 {
		t.Fatal("no blob")
	}
	wantWhole(t, db, 1, 1)
}

// TestUploadThatWasNotRenamed: the server was killed after the last part arrived.
func TestUploadThatWasNotRenamed(t *testing.T) {
	for name, spoil := range map[string]func(content []byte) []byte{
		"whole":    func(b []byte) []byte { return b },
		"torn":     func(b []byte) []byte { return make([]byte, len(b)) },
		"too long": func(b []byte) []byte { return append(b, "more"...) },
	} {
		t.Run(name, func(t *testing.T) {
			db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
			dir := t.TempDir()
			_, report, blob := largeReport(t)
			if err := os.WriteFile(filepath.Join(dir, uploadName("local", blob.Ref.Digest)), spoil(contentOf(t, blob)), 0o600); err != nil {
				t.Fatal(err)
			}
			url := listen(t, db, ServerOptions{Uploads: dir, Open: true})
			if err := client(t, url, ClientOptions{Budget: 5 * time.Second}).Save(ctx, report); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, db, 1, 1)
		})
	}
}

// TestUploadThatWasDamaged after it had been verified is not in the way of its report.
func TestUploadThatWasDamaged(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	dir := t.TempDir()
	_, report, blob := largeReport(t)
	if err := os.WriteFile(filepath.Join(dir, uploadName("local", blob.Ref.Digest)+wholeSuffix), make([]byte, blob.Ref.Bytes), 0o600); err != nil {
		t.Fatal(err)
	}
	url := listen(t, db, ServerOptions{Uploads: dir, Open: true})
	if err := client(t, url, ClientOptions{Budget: 5 * time.Second}).Save(ctx, report); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, db, 1, 1)
}

func contentOf(t *testing.T, b schema.Blob) []byte {
	t.Helper()
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestCleaningKeepsReservations: a part that is on its way keeps its room, whenever the directory is cleaned.
func TestCleaningKeepsReservations(t *testing.T) {
	u, err := openUploads(t.TempDir(), 100, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("x"), 40)
	blob := schema.NewBlob(schema.BlobFile, content)
	cleaning := readerFunc(func(p []byte) (int, error) {
		if err := u.clean(); err != nil {
			t.Error(err)
		}
		if u.room.used != 40 {
			t.Errorf("%d bytes are counted while 40 are on their way", u.room.used)
		}
		return copy(p, content), io.EOF
	})
	if _, err := u.put("a", blob.Ref, 0, 40, cleaning); err != nil {
		t.Fatal(err)
	}
	if err := u.clean(); err != nil || u.room.used != 40 {
		t.Errorf("%d, %v", u.room.used, err)
	}
	other := schema.NewBlob(schema.BlobFile, bytes.Repeat([]byte("y"), 40))
	_, err = u.put("a", other.Ref, 0, 40, bytes.NewReader(contentOf(t, other)))
	wantKind(t, err, schema.Unavailable)
	u.took("a", blob.Ref.Digest) // the store has it: it makes room
	if _, err = u.put("a", other.Ref, 0, 40, bytes.NewReader(contentOf(t, other))); err != nil || u.room.used != 40 {
		t.Errorf("%d, %v", u.room.used, err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestShares: however much one asks for, there is something left for the next.
func TestShares(t *testing.T) {
	s := shares{total: 1000}
	for range 2000 {
		s.take("greedy", 1)
	}
	if s.used != 500 || !s.take("modest", 200) || s.take("greedy", 1) || !s.take("late", 100) {
		t.Errorf("%+v", s)
	}
	s.add("greedy", -500)
	if s.used != 300 || len(s.of) != 2 {
		t.Errorf("%+v", s)
	}
}

// TestBeatsGoByTheClockOfTheServer: a client whose clock is a year ahead does not keep a run alive for a year.
func TestBeatsGoByTheClockOfTheServer(t *testing.T) {
	now := storetest.Epoch
	clock := func() time.Time { return now }
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{Now: clock})
	c := client(t, listen(t, db, ServerOptions{Open: true, Now: clock}), ClientOptions{})
	a := storetest.NewSample(1)
	if err := c.Save(ctx, storetest.Report(a.Base(), a.Running(0, &schema.Lease{Host: "elsewhere", Interval: 60}))); err != nil {
		t.Fatal(err)
	}
	now = a.At.Add(time.Minute)
	for _, says := range []time.Duration{365 * 24 * time.Hour, -365 * 24 * time.Hour} {
		if err := c.Beat(ctx, a.ID, schema.At(now.Add(says))); err != nil {
			t.Fatal(err)
		}
		if run, err := db.Run(ctx, a.ID); err != nil || run.Status != schema.Running || run.Lease.Beat != schema.At(now) {
			t.Errorf("%s, %+v, %v", run.Status, run.Lease, err)
		}
	}
}

// TestNamingABlobDoesNotOpenIt: a token of one project cannot read what another has by writing its digest down, in a text or as a reference.
func TestNamingABlobDoesNotOpenIt(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	secretJob := schema.NewBlob(schema.BlobJobSpec, []byte("kind: Job # of vision\n"))
	spec := func(b schema.Blob) *schema.JobSpec {
		return &schema.JobSpec{Format: "kubernetes", Path: schema.Path{Typed: "j.yaml", Base: schema.BaseWorkDir, Rel: "j.yaml"}, Blob: &b.Ref, TemplateDigest: storetest.Digest("t")}
	}
	a, b, again, stolen := storetest.NewSample(1), storetest.NewSample(2), storetest.NewSample(3), storetest.NewSample(4)
	a.Plan.Job = spec(secretJob)
	if err := db.Save(ctx, schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{secretJob}}); err != nil {
		t.Fatal(err)
	}
	url := listen(t, db, ServerOptions{})
	nlp := client(t, url, ClientOptions{Token: token(t, db, store.Token{Scopes: []store.TokenScope{store.ScopeAppend, store.ScopeRead}, Project: "nlp"})})
	ownJob := schema.NewBlob(schema.BlobJobSpec, []byte("kind: Job # of nlp\n"))
	for _, s := range []*storetest.Sample{b, again, stolen} {
		s.Plan.Project = "nlp"
	}
	b.Plan.Job, again.Plan.Job, stolen.Plan.Job = spec(ownJob), spec(ownJob), spec(secretJob)
	again.Plan.RerunOf = b.ID
	note := b.Doc(schema.KindNote, time.Minute)
	note.Note = &schema.Note{Text: schema.Text(`"` + string(secretJob.Ref.Digest) + `"`)}
	if err := nlp.Save(ctx, schema.Report{Documents: []schema.Document{b.Base(), note}, Blobs: []schema.Blob{ownJob}}); err != nil {
		t.Fatal(err)
	}
	open := func(blob schema.Blob) error {
		nlp.runs[blob.Ref.Digest] = b.ID
		r, err := nlp.OpenBlob(ctx, blob.Ref)
		return errors.Join(err, closeIt(r))
	}
	wantKind(t, open(secretJob), schema.Gone)
	if err := open(ownJob); err != nil {
		t.Error(err)
	}
	wantKind(t, nlp.Save(ctx, storetest.Report(stolen.Base())), schema.Invalid)
	if err := nlp.Save(ctx, storetest.Report(again.Base())); err != nil {
		t.Error("what the original has may be named by its rerun:", err)
	}
}

func closeIt(r io.Closer) error {
	if r == nil {
		return nil
	}
	return r.Close()
}
