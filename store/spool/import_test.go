package spool_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/storetest"
)

// ranksOf gives what three ranks said of a run, each by a clock of its own, up to an hour apart, the second of them in two tries; and what a person said.
func ranksOf(a *storetest.Sample, clocks *rand.Rand) []schema.Report {
	reports := []schema.Report{storetest.Report(a.Base())}
	for rank := range 3 {
		skew := time.Duration(clocks.Int64N(int64(2*time.Hour))) - time.Hour
		for try := 1; try <= 1+rank%2; try++ {
			begun := a.Running(skew+time.Duration(try)*time.Minute, &schema.Lease{Host: "node", PID: 1 + rank, Interval: 28800})
			ended := a.Ended(skew+time.Duration(try)*time.Minute+time.Second, schema.Succeeded)
			if rank == 1 && try == 1 {
				ended = a.Ended(skew+time.Duration(try)*time.Minute+time.Second, schema.Failed)
			}
			written := a.Output(skew+time.Duration(try)*time.Minute, "loss", "0.1")
			for _, d := range []*schema.Document{&begun, &ended, &written} {
				d.Reporter.Kind, d.Reporter.Rank, d.Reporter.Attempt = "joiner", &rank, try
			}
			reports = append(reports, storetest.Report(begun), storetest.Report(ended))
			if rank == 0 {
				reports = append(reports, storetest.Report(written))
			}
		}
	}
	return append(reports, storetest.Report(a.Label(time.Minute, "paper", "fig3"), a.Unlabel(2*time.Minute, "team")))
}

// TestEveryOrder: however reports are spread over spools, doubled and ordered, what the store says of a run is the fold of all that was said.
func TestEveryOrder(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var reports []schema.Report
		said := map[schema.RunID][]schema.Document{}
		for i := range 3 {
			a := storetest.NewSample(i)
			for _, r := range ranksOf(a, random) {
				reports = append(reports, r)
				said[a.ID] = append(said[a.ID], r.Documents...)
			}
		}
		into, spools := openStore(t), []*spool.Spool{openSpool(t), openSpool(t), openSpool(t)}
		left := random.Perm(len(reports))
		for len(left) > 0 {
			n := min(len(left), 1+random.IntN(8))
			for _, i := range left[:n] {
				mustSave(t, spools[random.IntN(3)], reports[i])
				mustSave(t, spools[random.IntN(3)], reports[i]) // as a rank that did not hear that its report was kept
			}
			left = left[n:]
			for _, i := range random.Perm(3) {
				if _, err := imported(ctx, spools[i].Dir(), into); err != nil {
					t.Fatal(err)
				}
			}
		}
		for id, docs := range said {
			random.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
			want, err := schema.Fold(docs)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := into.Documents(ctx, id)
			if err != nil || len(kept) != len(docs) {
				t.Fatalf("seed %d: %d documents of %d, %v", seed, len(kept), len(docs), err)
			}
			if got, err := schema.Fold(kept); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("seed %d: %v\n%+v\nwant\n%+v", seed, err, got, want)
			}
			run, err := into.Run(ctx, id)
			if err != nil || run.Status != want.Status || run.Status != schema.Succeeded || len(run.Attempts) != len(want.Attempts) || run.Labels["paper"] != "fig3" {
				t.Errorf("seed %d: %+v, %v", seed, run, err)
			}
		}
		if checked, err := into.Check(ctx); err != nil || len(checked.Problems) > 0 {
			t.Errorf("seed %d: %+v, %v", seed, checked.Problems, err)
		}
	}
}

// TestTwoImporters: each report is in the store once and aside once, whoever folded it in.
func TestTwoImporters(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	const n = 200
	for i := range n {
		mustSave(t, s, storetest.Report(storetest.NewSample(i).Base()))
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := imported(ctx, s.Dir(), into); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	aside, err := filepath.Glob(filepath.Join(s.Dir(), "done", "*.report"))
	checked, checkErr := into.Check(ctx)
	if err != nil || checkErr != nil || len(aside) != n || len(files(t, s)) != 0 || checked.Runs != n || len(checked.Problems) > 0 {
		t.Errorf("%d aside, %d left, %+v, %v, %v", len(aside), len(files(t, s)), checked, err, checkErr)
	}
}

func TestImportedCounts(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	if err := into.Save(ctx, report(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		mustSave(t, s, storetest.Report(storetest.NewSample(i).Base()))
	}
	first, err := spool.Import(ctx, s.Dir(), into, spool.ImportOptions{Limit: 3})
	if err != nil || first.Reports != 3 || first.Already == nil || *first.Already != 0 || len(files(t, s)) != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	aside, _ := filepath.Glob(filepath.Join(s.Dir(), "done", "*.report"))
	for _, path := range aside { // as if it had been killed before they were moved
		if err := os.Rename(path, filepath.Join(s.Dir(), filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	again, err := spool.Import(ctx, s.Dir(), into, spool.ImportOptions{})
	if err != nil || again.Reports != 4 || *again.Already != 3 || again.Left != 0 {
		t.Errorf("%+v, %v", again, err)
	}
}

// TestManyDamaged: a spool full of what is no report costs neither memory nor the reports between.
func TestManyDamaged(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	mustSave(t, s, report(1))
	const n = 300
	for i := range n {
		if err := os.WriteFile(filepath.Join(s.Dir(), storetest.Digest(string(rune('a'+i))).Hex()+".report"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	done, err := spool.Import(ctx, s.Dir(), into, spool.ImportOptions{})
	if done.Reports != 1 || done.Left != 0 || done.Refused != n || schema.KindOf(err) != schema.Invalid || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%+v, %v", done, err)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) > 101 {
		t.Errorf("%d errors are told", len(joined.Unwrap()))
	}
}

// TestRefusedAreInNobodysWay: however many files come before a good one, an import with a limit gets to it, and does not look at them again.
func TestRefusedAreInNobodysWay(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	mustSave(t, s, report(1))
	for _, name := range []string{"00a", "00b", "00c"} {
		if err := os.WriteFile(filepath.Join(s.Dir(), name+".report"), []byte("runpin spool 2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, err := spool.Import(ctx, s.Dir(), into, spool.ImportOptions{Limit: 1})
	if first.Reports != 1 || first.Refused != 3 || first.Left != 0 || schema.KindOf(err) != schema.Invalid || len(files(t, s)) != 0 {
		t.Errorf("%+v, %v", first, err)
	}
	aside := filepath.Join(s.Dir(), "refused")
	again, err := spool.Import(ctx, aside, into, spool.ImportOptions{})
	if left, _ := spool.Reports(aside); again.Left != 3 || again.Refused != 0 || err == nil || len(left) != 3 {
		t.Errorf("%+v, %v", again, err)
	}
	if err := os.Rename(filepath.Join(s.Dir(), "done", filepath.Base(must(filepath.Glob(filepath.Join(s.Dir(), "done", "*.report")))[0])), filepath.Join(aside, "00a.report")); err != nil {
		t.Fatal(err)
	}
	repaired, _ := spool.Import(ctx, aside, into, spool.ImportOptions{})
	if repaired.Reports != 1 || repaired.Left != 2 {
		t.Errorf("%+v", repaired)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestSpoolPerNode: directories below a spool are imported with it, two levels deep; what was set aside in them is not.
func TestSpoolPerNode(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	for i, dir := range []string{".", "node1", "job7/node2", "a/b/c", "node1/done", ".hidden"} {
		in, err := spool.Open(filepath.Join(s.Dir(), dir))
		if err != nil {
			t.Fatal(err)
		}
		mustSave(t, in, storetest.Report(storetest.NewSample(i).Base()))
	}
	n, err := imported(ctx, s.Dir(), into)
	if err != nil || n != 3 || len(files(t, s)) != 0 {
		t.Errorf("%d, %v, %v", n, files(t, s), err)
	}
	if aside, err := filepath.Glob(filepath.Join(s.Dir(), "job7", "node2", "done", "*.report")); err != nil || len(aside) != 1 {
		t.Error(aside, err)
	}
}
