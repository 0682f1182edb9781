package main

import (
	"context"
	"errors"
	"time"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/schema"
)

// onceInterval is for how long somebody who looked once vouches for a run that was running, times three.
const onceInterval = time.Hour

// collected is what a runtime told of a run.
type collected struct {
	documents []schema.Document // those that are not in the store yet
	running   bool
}

// collect turns what a runtime tells into documents of the run whose documents so far are docs.
func (w *wiring) collect(ctx context.Context, where string, tries []collect.Try, docs []schema.Document, interval time.Duration) (collected, error) {
	return collectBy(ctx, &collect.Collector{Images: w.images, Where: where, Interval: int(interval / time.Second)}, tries, docs)
}

func collectBy(ctx context.Context, c *collect.Collector, tries []collect.Try, docs []schema.Document) (collected, error) {
	out, running, err := c.Report(ctx, docs, tries)
	if err != nil {
		return collected{}, err
	}
	known := make(map[schema.DocumentID]bool, len(docs))
	for _, d := range docs {
		known[d.ID] = true
	}
	told := collected{running: running}
	for _, d := range out {
		if !known[d.ID] {
			told.documents = append(told.documents, d)
		}
	}
	return told, nil
}

// afterCollecting renews the lease of a run that goes on, and says what ran that was not pinned.
func (w *wiring) afterCollecting(ctx context.Context, id schema.RunID, running bool) error {
	if running {
		if err := w.store.Beat(ctx, id, schema.At(w.env.Now())); err != nil {
			return err
		}
	}
	run, err := w.store.Run(ctx, id)
	if err != nil {
		return err
	}
	return errors.Join(collect.Drifts(&run)...)
}
