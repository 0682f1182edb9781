package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/storetest"
)

// importRow folds in a spool into which 64 ranks of many runs have reported: the command as a user types it, start and all.
func importRow(ctx context.Context, b *bench) error {
	dir := filepath.Join(b.dir, "import-spool")
	n := b.size(100_000, 10_000)
	if err := fillSpool(ctx, dir, n); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	load := b.runpin(b.dir, "import", dir, "--store", filepath.Join(b.dir, "import.db"))
	took, err := load.timing(ctx)()
	if err != nil {
		return err
	}
	perSecond := float64(n) / took.Seconds()
	b.add(result{row: fmt.Sprintf("import a spool of %d reports", n), ours: fmt.Sprintf("%.0f reports/s", perSecond), peer: noBar, ratio: noBar, bar: "≥ 10000/s", verdict: verdict(perSecond >= 10_000)})
	return nil
}

// fillSpool writes n reports, two of each rank: that it began, and how it ended.
func fillSpool(ctx context.Context, dir string, n int) error {
	s, err := spool.Open(dir)
	if err != nil {
		return err
	}
	work := make(chan int)
	errs := make(chan error, 1)
	samples := make([]*storetest.Sample, n/(2*ranks)+1)
	for i := range samples {
		samples[i] = storetest.NewSample(i)
	}
	var writers sync.WaitGroup
	for range 16 { // each waits for the disk
		writers.Go(func() {
			for i := range work {
				if err := s.Save(ctx, spooled(samples[i/(2*ranks)], i%(2*ranks))); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	writers.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func spooled(a *storetest.Sample, i int) schema.Report {
	rank := i / 2
	var docs []schema.Document
	if i%2 == 0 {
		lease := schema.Lease{Host: "node", PID: 1 + rank, Interval: 28800}
		seen := a.Doc(schema.KindObservation, time.Duration(i)*time.Millisecond)
		seen.Observation = &schema.Observation{Attempt: &schema.Attempt{Number: 1, ID: "7.0", Rank: &rank, Node: "node"}}
		docs = append(docs, a.Running(time.Duration(i)*time.Millisecond, &lease), seen)
	} else {
		docs = append(docs, a.Ended(time.Minute, schema.Succeeded))
	}
	for k := range docs {
		docs[k].Reporter.Kind, docs[k].Reporter.Rank, docs[k].Reporter.Attempt, docs[k].Reporter.AttemptID = "joiner", &rank, 1, "7.0"
	}
	if i == 0 {
		docs = append(docs, a.Base())
	}
	return storetest.Report(docs...)
}
