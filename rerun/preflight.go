package rerun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// PreflightOptions says where data sets live now, whether every byte is to be read, and what else the user gave to the rerun.
type PreflightOptions struct {
	At       map[string]string
	Deep     bool
	Relocate Relocations     // where things that moved are looked for first
	Given    map[string]bool // names of what the record withheld and the user gives
	Here     map[string]bool // names of the variables that a command on this machine finds set: [Rerunner.Here]
	Without  map[string]bool // names of the variables that the rerun does without
	Outputs  bool            // what the rerun would write over is settled
	On       string          // where the rerun is about to start: it has to answer, where in a check it is advice alone; "" for a check

	compared Tolerances // how the user wants the rerun compared

	moves *moves // notes what is had from where Relocate points
}

// Question asks for the state of one thing that a rerun needs. Two questions with the same key have the same answer, whatever the runs call the pin: over a
// whole history each is asked once.
type Question struct {
	Pin string      // what the run calls it: "image:main"
	Ref schema.Text // as the run wrote it
	Key string
	// Host is the server that is asked, "" for this machine: not too many questions are put to one at the same time.
	Host string
	Ask  func(ctx context.Context) schema.Availability
}

// Answered gives an answer to the question in the words of the run.
func (q Question) Answered(a schema.Availability) schema.Availability {
	_, asked, _ := strings.Cut(a.Pin, ":")
	if _, name, _ := strings.Cut(q.Pin, ":"); name != asked && asked != "" {
		a.Remedy = strings.ReplaceAll(a.Remedy, "--at "+asked+"=", "--at "+name+"=")
	}
	a.Pin = q.Pin
	if q.Ref != "" {
		a.Ref = q.Ref
	}
	return a
}

// Preflight asks, for everything that the run needs and all at once, whether it can still be had. It writes nothing. The order is that of [Rerunner.Questions].
func (r *Rerunner) Preflight(ctx context.Context, run schema.Run, opts PreflightOptions) []schema.Availability {
	questions := r.Questions(run, opts)
	found := make([]schema.Availability, len(questions))
	var wg sync.WaitGroup
	var slow slowHosts
	for i, q := range questions {
		wg.Go(func() { found[i] = q.Answered(r.putQuestion(ctx, q, &slow)) })
	}
	wg.Wait()
	return found
}

// slowHosts notes which servers the user has been told of.
type slowHosts struct {
	mu   sync.Mutex
	told map[string]bool
}

// patience is how long a server may take to answer before the user is told whom everything waits for.
const patience = 10 * time.Second

// putQuestion asks, and says once for each server that it has not answered for long. What is read on this machine takes its time and shows its own progress.
func (r *Rerunner) putQuestion(ctx context.Context, q Question, slow *slowHosts) schema.Availability {
	if q.Host == "" {
		return q.Ask(ctx)
	}
	after := r.patience
	if after == 0 {
		after = patience
	}
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		late := time.NewTimer(after)
		defer late.Stop()
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-late.C:
		}
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if !slow.told[q.Host] {
			if slow.told == nil {
				slow.told = map[string]bool{}
			}
			slow.told[q.Host] = true
			r.Warn("still waiting for %s, which was asked about %s", schema.Shorten(q.Host, 200), schema.Shorten(q.Pin, 200))
		}
	})
	defer watch.Wait() // nobody is told anything once the answer is there
	defer close(over)
	return q.Ask(ctx)
}

// Blocking joins an error for each pin that cannot be used; needed, when not nil, limits it to those pins.
func Blocking(found []schema.Availability, needed map[string]bool) error {
	var failures []error
	for _, a := range found {
		kind := a.Kind()
		if kind == "" || (needed != nil && !needed[a.Pin]) {
			continue
		}
		text := string(a.State)
		if a.Reason != "" {
			text += ": " + a.Reason
		}
		failures = append(failures, &schema.Error{Op: "rerun.preflight", Kind: kind, Subject: a.Pin, Err: fmt.Errorf("%s", text), Hint: a.Remedy})
	}
	return errors.Join(failures...)
}
