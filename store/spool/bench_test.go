package spool_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/sqlite"
	"github.com/runpin/runpin/store/storetest"
)

// BenchmarkImport folds in what 64 ranks of some runs have left in a spool: for each the beginning and the end.
func BenchmarkImport(b *testing.B) {
	const ranks, reports = 64, 10_000
	for range b.N {
		b.StopTimer()
		s, err := spool.Open(filepath.Join(b.TempDir(), "spool"))
		if err != nil {
			b.Fatal(err)
		}
		var a *storetest.Sample
		for i := range reports {
			if i%(2*ranks) == 0 {
				a = storetest.NewSample(i)
			}
			rank := i / 2 % ranks
			at := time.Duration(i) * time.Millisecond
			docs := []schema.Document{a.Ended(at, schema.Succeeded)}
			if i%2 == 0 {
				seen := a.Doc(schema.KindObservation, at)
				seen.Observation = &schema.Observation{Attempt: &schema.Attempt{Number: 1, Rank: &rank}}
				docs = []schema.Document{a.Running(at, &schema.Lease{Host: "n", PID: 1}), seen}
			}
			for k := range docs {
				docs[k].Reporter.Rank, docs[k].Reporter.Attempt = &rank, 1
			}
			if i%(2*ranks) == 0 {
				docs = append(docs, a.Base())
			}
			if err := s.Save(b.Context(), storetest.Report(docs...)); err != nil {
				b.Fatal(err)
			}
		}
		into, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "s.db"), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		done, err := spool.Import(b.Context(), s.Dir(), into, spool.ImportOptions{})
		if err != nil || done.Reports != reports {
			b.Fatal(done, err)
		}
		b.StopTimer()
		into.Close()
	}
	b.ReportMetric(float64(reports*b.N)/b.Elapsed().Seconds(), "reports/s")
}
