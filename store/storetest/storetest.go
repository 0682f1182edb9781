package storetest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// Opener opens the same store each time it is called, and closes it when the test ends. The store is empty at first.
type Opener func(t testing.TB, options store.Options) Store

// Run holds a store to the contract. fresh gives the opener of a new, empty store. What a [Database] does to look after itself is asked of one only.
func Run(t *testing.T, fresh func(t testing.TB) Opener) {
	groups := []struct {
		name  string
		tests map[string]func(*testing.T, Opener)
	}{
		{"save", saveTests}, {"find", findTests}, {"list", listTests}, {"blob", blobTests}, {"lease", leaseTests}, {"upkeep", upkeepTests}, {"copy", copyTests},
	}
	_, upkeep := fresh(t)(t, store.Options{}).(Database)
	for _, g := range groups {
		if g.name == "upkeep" && !upkeep || g.name == "copy" && OpenFile == nil {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for name, test := range g.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, fresh(t))
				})
			}
		})
	}
}

func save(t testing.TB, s Store, docs ...schema.Document) {
	t.Helper()
	if err := s.Save(context.Background(), Report(docs...)); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, s Store, id schema.RunID) schema.Run {
	t.Helper()
	r, err := s.Run(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantKind(t testing.TB, err error, kind schema.Kind) {
	t.Helper()
	if schema.KindOf(err) != kind {
		t.Fatalf("got %v of kind %q, want kind %q", err, schema.KindOf(err), kind)
	}
}

// wantSound asserts that documents, blobs and index are in order.
func wantSound(t testing.TB, s Store) {
	t.Helper()
	report, err := s.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("check: %v", p)
	}
}

// wantEmpty asserts that nothing at all was kept.
func wantEmpty(t testing.TB, s Store) {
	t.Helper()
	stats, err := s.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if stats != (store.Stats{}) {
		t.Errorf("something was kept: %+v", stats)
	}
	wantSound(t, s)
}

// frozen gives options whose clock stands at a time, and for which every process is alive.
func frozen(at time.Time) store.Options {
	return store.Options{Now: func() time.Time { return at }, Alive: func(schema.Lease, schema.Time, time.Time) bool { return true }}
}

var saveTests = map[string]func(*testing.T, Opener){
	"twice is once": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		blob := schema.NewBlob(schema.BlobJobSpec, []byte("kind: Job\n"))
		a.Plan.Job = &schema.JobSpec{Format: "kubernetes", Path: schema.Path{Typed: "j.yaml", Base: schema.BaseWorkDir, Rel: "j.yaml"}, Blob: &blob.Ref, TemplateDigest: Digest("t")}
		report := schema.Report{Documents: []schema.Document{a.Base(), a.Output(time.Minute, "loss", "0.1")}, Blobs: []schema.Blob{blob}}
		for range 3 {
			if err := s.Save(context.Background(), report); err != nil {
				t.Fatal(err)
			}
		}
		stats, err := s.Stats(context.Background())
		if err != nil || stats.Runs != 1 || stats.Documents != 2 || stats.Blobs != 1 {
			t.Fatalf("%+v, %v", stats, err)
		}
		wantSound(t, s)
	},
	"what was saved comes back": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		a.Plan.Command = []schema.Text{"python", "\xff\xfe not UTF-8", ""}
		a.Plan.Params["empty"] = ""
		docs := []schema.Document{a.Base(), a.Label(time.Second, "k", "v"), a.Output(time.Minute, "loss", "NaN", "acc", "9007199254740993")}
		save(t, s, docs...)
		want, err := schema.Fold(docs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, run(t, s, a.ID), cmp.Comparer(func(a, b schema.Time) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
		back, err := s.Documents(context.Background(), a.ID)
		if err != nil || len(back) != len(docs) {
			t.Fatalf("%d documents, %v", len(back), err)
		}
		encoded, err := s.Encoded(context.Background(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range docs {
			b, _ := d.Encode()
			if !bytes.Equal(b, encoded[i]) {
				t.Errorf("document %d: %s became %s", i, b, encoded[i])
			}
		}
	},
	"documents of a newer version survive byte for byte": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		base, _ := a.Base().Encode()
		newer := bytes.Replace(base, []byte(`"name":"run-1"`), []byte(`"name":"run-1","not_yet_known":{"x":1}`), 1)
		if bytes.Equal(newer, base) {
			t.Fatal("the test replaces nothing")
		}
		newer, err := schema.CanonicalBytes(newer)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SaveEncoded(context.Background(), [][]byte{newer}, nil); err != nil {
			t.Fatal(err)
		}
		back, err := s.Encoded(context.Background(), a.ID)
		if err != nil || len(back) != 1 || !bytes.Equal(back[0], newer) {
			t.Errorf("%s, %v", back, err)
		}
		docs, err := s.Documents(context.Background(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := docs[0].Encode(); err != nil || !bytes.Equal(again, newer) {
			t.Errorf("%s, %v", again, err)
		}
		if r := run(t, s, a.ID); r.Name != "run-1" {
			t.Errorf("name %q", r.Name)
		}
		wantSound(t, s)
	},
	"the same id with other bytes is a conflict, and nothing of the report is kept": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a, b := NewSample(1), NewSample(2)
		save(t, s, a.Base())
		other := a.Base()
		plan := *other.Plan
		plan.Name = "another"
		other.Plan = &plan
		blob := schema.NewBlob(schema.BlobFile, []byte("x"))
		err := s.Save(context.Background(), schema.Report{Documents: []schema.Document{b.Base(), other}, Blobs: []schema.Blob{blob}})
		wantKind(t, err, schema.Conflict)
		_, err = s.Run(context.Background(), b.ID)
		wantKind(t, err, schema.NotFound)
		_, err = s.OpenBlob(context.Background(), blob.Ref)
		wantKind(t, err, schema.Gone)
		if r := run(t, s, a.ID); r.Name != "run-1" {
			t.Errorf("name %q", r.Name)
		}
		twice := b.Base()
		plan2 := *twice.Plan
		plan2.Name = "b2"
		twice.Plan = &plan2
		wantKind(t, s.Save(context.Background(), Report(b.Base(), twice)), schema.Conflict)
		wantSound(t, s)
	},
	"reports come in any order": func(t *testing.T, open Opener) {
		a := NewSample(1)
		docs := []schema.Document{a.Base(), a.Running(time.Second, &schema.Lease{PID: 1, Interval: 30}), a.Label(2*time.Second, "k", "1", "gone", "x"), a.Label(3*time.Second, "k", "2"),
			a.Unlabel(4*time.Second, "gone"), a.Output(5*time.Second, "loss", "0.5"), a.Output(6*time.Second, "loss", "0.25"), a.Ended(7*time.Second, schema.Succeeded)}
		want, err := schema.Fold(docs)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, store.Options{})
		for i := len(docs) - 1; i >= 0; i-- {
			if i == 0 {
				_, err := s.Run(context.Background(), a.ID)
				wantKind(t, err, schema.NotFound)
				_, err = s.Find(context.Background(), string(a.ID), store.Scope{})
				wantKind(t, err, schema.NotFound)
				if runs, err := s.List(context.Background(), store.Filter{}); err != nil || len(runs) != 0 {
					t.Fatalf("%d runs, %v", len(runs), err)
				}
			}
			save(t, s, docs[i])
			wantSound(t, s)
		}
		if diff := cmp.Diff(want, run(t, s, a.ID), cmp.Comparer(func(a, b schema.Time) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
		for _, f := range []store.Filter{{Labels: []string{"k=2"}}, {Metrics: []string{"loss=0.25"}}, {Status: schema.Succeeded}, {Params: []string{"seed=1"}}, {SameAs: want.Fingerprint}} {
			wantRuns(t, s, f, a)
		}
		for _, f := range []store.Filter{{Labels: []string{"k=1"}}, {Labels: []string{"gone"}}, {Metrics: []string{"loss=0.5"}}, {Status: schema.Running}, {Status: schema.Planned}} {
			wantRuns(t, s, f)
		}
	},
	"a plan whose time is not that of its id": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a, b := NewSample(5), NewSample(6)
		a.Plan.Created = schema.At(Epoch.Add(time.Hour)) // later than b
		save(t, s, a.Label(time.Second, "k", "v"), a.Output(time.Second, "loss", "1"))
		save(t, s, b.Base())
		save(t, s, a.Base())
		wantOrder(t, s, store.Filter{}, a, b)
		wantRuns(t, s, store.Filter{Labels: []string{"k"}, Metrics: []string{"loss<2"}}, a)
		wantSound(t, s)
	},
	"a report of nothing": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		if err := s.Save(context.Background(), schema.Report{}); err != nil {
			t.Fatal(err)
		}
		wantEmpty(t, s)
	},
	"malformed documents are refused": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		bad := a.Base()
		bad.Plan = nil
		wantKind(t, s.Save(context.Background(), Report(a.Label(0, "k", "v"), bad)), schema.Invalid)
		wantKind(t, s.SaveEncoded(context.Background(), [][]byte{[]byte(`{"kind": "run"}`)}, nil), schema.Invalid)
		wantEmpty(t, s)
	},
	"a release that no run led to": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		d := NewSample(1).Doc(schema.KindRelease, 0)
		d.Run = ""
		d.Release = &schema.Release{Action: "tag", Image: "registry.example/x", Digest: Digest("x"), Tags: []string{"1.0"}}
		save(t, s, d)
		save(t, s, d)
		wantSound(t, s)
		reindex(t, s)
		wantSound(t, s)
	},
	"cancelled half way": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		ctx, cancel := context.WithCancel(context.Background())
		content := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
		blob := schema.NewBlob(schema.BlobFile, content)
		blob.Open = func() (io.ReadCloser, error) {
			return io.NopCloser(&cancelling{bytes.NewReader(content), cancel}), nil
		}
		small := schema.NewBlob(schema.BlobFile, []byte("small"))
		err := s.Save(ctx, schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{small, blob}})
		wantKind(t, err, schema.Interrupted)
		wantEmpty(t, s)
		err = s.Save(ctx, Report(a.Base())) // the context is done from the start
		wantKind(t, err, schema.Interrupted)
		wantEmpty(t, s)
		save(t, s, a.Base())
	},
	"a blob that fails while it is read": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		for _, size := range []int64{10, 5 << 20} {
			blob := schema.Blob{Ref: schema.BlobRef{Kind: schema.BlobFile, Digest: Digest("never"), Bytes: size}, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, size/2)), failing{})), nil
			}}
			if err := s.Save(context.Background(), schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{blob}}); err == nil {
				t.Fatal("no error")
			}
		}
		wantEmpty(t, s)
	},
	"many ranks report at once": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		save(t, s, a.Base())
		errs := make(chan error)
		for rank := range 32 {
			go func() {
				d := a.Doc(schema.KindObservation, time.Second)
				d.Reporter.Rank = &rank
				d.Observation = &schema.Observation{Images: []schema.ImagePin{{Name: "image", Ref: "x", ConfigDigest: Digest("config 1"), Use: schema.Observed}}}
				errs <- s.Save(context.Background(), Report(d))
			}()
		}
		for range 32 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if r := run(t, s, a.ID); len(r.Observations) != 32 {
			t.Errorf("%d observations", len(r.Observations))
		}
		wantSound(t, s)
	},
}

// cancelling cancels a context in the middle of its content.
type cancelling struct {
	r      *bytes.Reader
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	if c.r.Len() < 1_000_000 {
		c.cancel()
	}
	return c.r.Read(p[:min(len(p), 100_000)])
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// wantRuns asserts which runs a filter chooses, in any order.
func wantRuns(t testing.TB, s Store, f store.Filter, want ...*Sample) {
	t.Helper()
	got := list(t, s, f)
	var ids []string
	for _, w := range want {
		ids = append(ids, w.Plan.Name)
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("%s: got %v, want %v", describe(f), got, ids)
	}
}

// wantOrder asserts which runs a filter chooses, and in which order.
func wantOrder(t testing.TB, s Store, f store.Filter, want ...*Sample) {
	t.Helper()
	got := list(t, s, f)
	var ids []string
	for _, w := range want {
		ids = append(ids, w.Plan.Name)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("%s: got %v, want %v", describe(f), got, ids)
	}
}

func list(t testing.TB, s Store, f store.Filter) []string {
	t.Helper()
	runs, err := s.List(context.Background(), f)
	if err != nil {
		t.Fatalf("%s: %v", describe(f), err)
	}
	var names []string
	for _, r := range runs {
		names = append(names, r.Name)
	}
	return names
}
