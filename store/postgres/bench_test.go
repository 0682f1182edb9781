package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/postgres/postgrestest"
	"github.com/runpin/runpin/store/storetest"
)

// BenchmarkSave saves reports of a rank, many in one transaction as a server does; raw writes rows of the same documents and nothing else.
func BenchmarkSave(b *testing.B) {
	for _, together := range []int{1, 64} {
		b.Run(fmt.Sprintf("store-%d", together), func(b *testing.B) {
			s := open(b, postgrestest.Database(b), store.Options{})
			samples := newSamples(b.N)
			for i := 0; i < b.N; i += together {
				var reports []store.Prepared
				for n := range min(together, b.N-i) {
					p, err := store.Prepare(rankReport(b, samples, i+n), nil)
					if err != nil {
						b.Fatal(err)
					}
					reports = append(reports, p)
				}
				if err := s.SavePrepared(context.Background(), reports...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
		})
		b.Run(fmt.Sprintf("raw-%d", together), func(b *testing.B) {
			location := postgrestest.Database(b)
			postgrestest.Exec(b, location, "CREATE TABLE documents (id TEXT PRIMARY KEY, run TEXT, kind TEXT, at TEXT, sha256 BYTEA, bytes BYTEA)")
			db, err := sql.Open("postgres", location+"?sslmode=disable")
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			samples := newSamples(b.N)
			for i := 0; i < b.N; i += together {
				tx, err := db.Begin()
				if err != nil {
					b.Fatal(err)
				}
				insert, err := tx.Prepare("INSERT INTO documents VALUES ($1, $2, $3, $4, $5, $6)")
				if err != nil {
					b.Fatal(err)
				}
				for n := range min(together, b.N-i) {
					for k, doc := range rankReport(b, samples, i+n) {
						sum := schema.SHA256(doc)
						if _, err := insert.Exec(fmt.Sprintf("%d-%d", i+n, k), "r", "k", "t", []byte(sum), doc); err != nil {
							b.Fatal(err)
						}
					}
				}
				if err := tx.Commit(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
		})
	}
}

// newSamples makes the runs of n reports of ranks, 64 each.
func newSamples(n int) []*storetest.Sample {
	var all []*storetest.Sample
	for i := 0; i <= n/64; i++ {
		all = append(all, storetest.NewSample(i))
	}
	return all
}

// rankReport gives what one of 64 ranks of a run says at its end.
func rankReport(b *testing.B, samples []*storetest.Sample, n int) [][]byte {
	a := samples[n/64]
	rank := n % 64
	end := a.Ended(time.Minute, schema.Succeeded)
	seen := a.Doc(schema.KindObservation, time.Minute)
	seen.Observation = &schema.Observation{Attempt: &schema.Attempt{Number: 1, Rank: &rank}}
	docs := []schema.Document{end, seen}
	if rank == 0 {
		docs = append(docs, a.Base())
	}
	var out [][]byte
	for i := range docs {
		if docs[i].Kind != schema.KindRun {
			docs[i].Reporter.Rank = &rank
		}
		d, err := docs[i].Encode()
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}
