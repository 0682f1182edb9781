package storetest

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// fill saves some runs that use everything that is indexed.
func fill(t testing.TB, s Store, n int) []*Sample {
	t.Helper()
	var all []*Sample
	for i := range n {
		a := NewSample(i)
		m := Manifest(fmt.Sprint("set", i%3), 10)
		a.UseManifest(m, 10)
		large := schema.NewBlob(schema.BlobBundle, noise(uint64(i%2), 2<<20))
		a.Plan.Code[0].Bundle = &large.Ref
		docs := []schema.Document{a.Base(), a.Running(time.Second, &schema.Lease{PID: 1}), a.Label(time.Second, "k", fmt.Sprint(i%2)), a.Output(time.Minute, "loss", fmt.Sprint(i))}
		if i%2 == 0 {
			docs = append(docs, a.Ended(time.Hour, schema.Succeeded))
		}
		if err := s.Save(context.Background(), schema.Report{Documents: docs, Blobs: []schema.Blob{m, large}}); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

var upkeepTests = map[string]func(*testing.T, Opener){
	"an index that is built anew is the same": func(t *testing.T, open Opener) {
		s := open(t, frozen(Epoch))
		fill(t, s, 12)
		orphan := NewSample(99)
		save(t, s, orphan.Label(0, "k", "v"))
		before, err := s.List(context.Background(), store.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		wantSound(t, s)
		for range 2 {
			reindex(t, s)
			wantSound(t, s)
			after, err := s.List(context.Background(), store.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after, cmp.Comparer(func(a, b schema.Time) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		}
		report, err := s.Check(context.Background())
		if err != nil || report.Runs != 12 || report.Waiting != 1 || report.Blobs != 5 {
			t.Errorf("%+v, %v", report, err)
		}
		save(t, s, orphan.Base())
		wantRuns(t, s, store.Filter{Labels: []string{"k=v"}}, orphan)
		wantSound(t, s)
	},
	"reopened": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		all := fill(t, s, 3)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, o := range []store.Options{{}, {ReadOnly: true}} {
			s := open(t, o)
			wantOrder(t, s, store.Filter{}, all[2], all[1], all[0])
			wantSound(t, s)
		}
		readOnly := open(t, store.Options{ReadOnly: true})
		wantKind(t, readOnly.Save(context.Background(), Report(NewSample(9).Base())), schema.Unavailable)
		wantKind(t, readOnly.Beat(context.Background(), all[0].ID, schema.At(Epoch)), schema.Unavailable)
	},
	"readers see one moment": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			defer cancel()
			for i := range 60 {
				a, b := NewSample(2*i), NewSample(2*i+1)
				save(t, s, a.Base(), b.Base())
			}
		})
		for ctx.Err() == nil {
			runs, err := s.List(context.Background(), store.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			if len(runs)%2 != 0 {
				t.Fatalf("%d runs: half of a report is seen", len(runs))
			}
		}
		wg.Wait()
	},
}

// copyTests are for databases that are copied to a file: those whose test sets [OpenFile].
var copyTests = map[string]func(*testing.T, Opener){
	"a copy made while others write is whole": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		fill(t, s, 4)
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		var saved sync.Map
		wg.Go(func() {
			for i := 100; ctx.Err() == nil; i++ {
				a := NewSample(i)
				if err := s.Save(context.Background(), Report(a.Base(), a.Output(time.Second, "loss", "1"), a.Ended(time.Minute, schema.Succeeded))); err != nil {
					t.Error(err)
				}
				saved.Store(a.ID, true)
			}
		})
		time.Sleep(20 * time.Millisecond)
		var sure []schema.RunID
		saved.Range(func(id, _ any) bool { sure = append(sure, id.(schema.RunID)); return true })
		dest := filepath.Join(t.TempDir(), "copy.db")
		if err := database(t, s).Backup(context.Background(), dest); err != nil {
			t.Fatal(err)
		}
		cancel()
		wg.Wait()
		wantKind(t, database(t, s).Backup(context.Background(), dest), schema.Conflict)
		copied := openCopy(t, open, dest)
		wantSound(t, copied)
		for _, id := range sure {
			if r := run(t, copied, id); r.Status != schema.Succeeded || r.Metrics["loss"] != "1" {
				t.Errorf("run %s is not whole in the copy: %s", id, r.Status)
			}
		}
	},
}

// openCopy opens a copy that [store.Store.Backup] made.
var openCopy = func(t testing.TB, _ Opener, path string) Store {
	t.Helper()
	if OpenFile == nil {
		t.Skip("this store's copies are not opened by path")
	}
	return OpenFile(t, path)
}

// OpenFile opens the file that a backup made; a dialect's test sets it before [Run].
var OpenFile func(t testing.TB, path string) *store.Store
