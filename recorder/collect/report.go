package collect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/runpin/runpin/schema"
)

// Collector turns tries into documents.
type Collector struct {
	Images Describer // nil: digests stay as they are told
	Where  string    // kubernetes or slurm: whose word a lease is
	// Interval is after how many seconds the collector looks again, at the latest: a running run is vouched for that long, three times.
	Interval int
}

// Report gives the documents that say what the tries say of the run, whose documents so far are docs. Running tells that the run goes on, so that its lease is to be
// renewed now. Tries without a status and times do no harm; no tries give no documents.
func (c *Collector) Report(ctx context.Context, docs []schema.Document, tries []Try) (out []schema.Document, running bool, err error) {
	run, err := schema.Fold(docs)
	if err != nil || len(tries) == 0 {
		return nil, false, err
	}
	tries = slices.Clone(tries)
	slices.SortFunc(tries, func(a, b Try) int { return cmp.Or(compareTries(&a, &b), cmp.Compare(a.Member, b.Member)) })
	for i := range tries {
		if tries[i].Created.IsZero() {
			tries[i].Created = run.Created
		}
	}
	answers := c.describeAll(ctx, tries)
	pins := planned(docs)
	for i := range tries {
		t := &tries[i]
		if t.Started.IsZero() && !t.Status.Ended() {
			continue // it waits: nothing of it ran
		}
		images, drift, reasons := c.observe(t, pins, answers)
		attempt := &schema.Attempt{Number: t.Number, ID: t.Name, Rank: t.Rank, Node: t.Node, Started: t.Started, Finished: t.Finished, ExitCode: t.ExitCode, Reason: t.Reason}
		d := statement(run.ID, t, schema.KindObservation)
		d.Observation = &schema.Observation{Images: images, Drift: drift, Attempt: attempt, Reasons: slices.Concat(t.Reasons, reasons)}
		out = append(out, d)
		if len(t.Metrics) > 0 && !t.Past {
			d := statement(run.ID, t, schema.KindOutput)
			d.Output = &schema.OutputEvent{Metrics: t.Metrics}
			out = append(out, d)
		}
	}
	for i := range out {
		if out[i], err = identified(out[i]); err != nil {
			return nil, false, err
		}
	}
	seen, err := schema.Fold(slices.Concat(docs, out))
	if err != nil {
		return nil, false, err
	}
	statuses, running := c.statuses(&seen, tries)
	for _, d := range statuses {
		if d, err = identified(d); err != nil {
			return nil, false, err
		}
		out = append(out, d)
	}
	return out, running, nil
}

// planned gives the pins as they were planned. What was observed since does not count: then the outcome would depend on the order.
func planned(docs []schema.Document) []schema.ImagePin {
	for _, d := range docs {
		if d.Kind == schema.KindRun && d.Plan != nil {
			return d.Plan.Images
		}
	}
	return nil
}

// statement begins a document about a try.
func statement(run schema.RunID, t *Try, kind schema.DocumentKind) schema.Document {
	return schema.Document{Schema: schema.SchemaV1, Kind: kind, Run: run, At: t.at(),
		Reporter: schema.Reporter{Kind: "collector", Rank: t.Rank, Attempt: t.Counted, AttemptID: t.Name}}
}

// identified gives the document the id that follows from what it says.
func identified(d schema.Document) (schema.Document, error) {
	content, err := schema.Canonical(d)
	if err != nil {
		return d, err
	}
	d.ID = schema.DeriveDocumentID(d.At, "collector", string(content))
	return d, nil
}

// statuses says where the run stands. The whole of it ends when the last try of each member has; while one goes on, each rank that runs or waits says so itself, with a
// lease, because the word of a rank that joined stands beside it, and not below. A later try begins later, so that an end that came too early is past.
func (c *Collector) statuses(run *schema.Run, tries []Try) (out []schema.Document, running bool) {
	last := slices.DeleteFunc(lastTries(tries), func(t *Try) bool { return t.Status == "" })
	if !slices.ContainsFunc(last, func(t *Try) bool { return t.Status != schema.Planned }) {
		return nil, false // what waits says nothing
	}
	newest := last[len(last)-1]
	if first := slices.MinFunc(tries, func(a, b Try) int { return compareTimes(a.begun(), b.begun()) }); first.Started.Before(newest.begun()) && !first.Started.IsZero() {
		d := statement(run.ID, &first, schema.KindStatus)
		d.At, d.Reporter.Rank = first.Started, nil
		d.Status = &schema.StatusChange{To: schema.Running, Started: first.Started}
		out = append(out, d)
	}
	if slices.ContainsFunc(last, func(t *Try) bool { return !t.Status.Ended() }) {
		return c.goesOn(run, last, newest, out)
	}
	end := schema.StatusChange{To: schema.Succeeded, Started: newest.Started}
	end.Fingerprint, _ = run.Fingerprinted()
	end.ExitCode = newest.ExitCode
	for _, t := range last {
		if end.Finished.Before(t.Finished) {
			end.Finished = t.Finished
		}
	}
	if i := slices.IndexFunc(last, func(t *Try) bool { return t.Status == schema.Failed }); i >= 0 {
		f := firstFailure(last[i:])
		end.To, end.ExitCode, end.Signal, end.Why = schema.Failed, f.ExitCode, f.Signal, f.Why
	}
	d := statement(run.ID, newest, schema.KindStatus)
	d.At, d.Reporter.Rank, d.Status = latest(d.At, end.Finished), nil, &end
	return append(out, d), false
}

func (c *Collector) goesOn(run *schema.Run, last []*Try, newest *Try, out []schema.Document) ([]schema.Document, bool) {
	lease := &schema.Lease{Host: c.Where, Interval: c.Interval}
	// Pods without ranks of their own cannot be told apart by those that join: the collector speaks for all of them.
	ranked := len(last) == 1
	for _, t := range last {
		ranked = ranked || t.Rank != nil
	}
	if !ranked {
		return append(out, wholeOf(run, newest, lease)), true
	}
	for _, t := range last {
		if t.Status.Ended() {
			continue
		}
		d := statement(run.ID, t, schema.KindStatus)
		d.At = t.begun()
		if d.Reporter.Rank == nil {
			d.Reporter.Rank = new(int) // one member without a rank is what joins as rank 0
		}
		d.Status = &schema.StatusChange{To: schema.Running, Started: t.Started, Lease: lease}
		out = append(out, d)
	}
	// Without a lease it only says that a try has begun; where the run stands is for its ranks to say.
	d := wholeOf(run, newest, nil)
	return append(out, d), true
}

func wholeOf(run *schema.Run, t *Try, lease *schema.Lease) schema.Document {
	d := statement(run.ID, t, schema.KindStatus)
	d.At, d.Reporter.Rank = t.begun(), nil
	d.Status = &schema.StatusChange{To: schema.Running, Started: t.Started, Lease: lease}
	return d
}

// firstFailure is the one that ended first: the others often fall with it.
func firstFailure(last []*Try) *Try {
	var first *Try
	for _, t := range last {
		if t.Status == schema.Failed && (first == nil || compareTimes(t.Finished, first.Finished) < 0) {
			first = t
		}
	}
	return first
}

func latest(a, b schema.Time) schema.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Drifts gives an error of kind Drift that names each image of the run that is not the one that was pinned, or nil.
func Drifts(run *schema.Run) []error {
	var all []error
	for _, d := range run.Drift {
		if len(d.Pin) > 6 && d.Pin[:6] == "image:" {
			all = append(all, &schema.Error{Op: "collect", Kind: schema.Drift, Subject: "run " + run.ID.Short() + ": " + d.Pin,
				Err: fmt.Errorf("%s: %s, not %s", d.Text, d.Found, d.Expected), Hint: "`runpin show " + run.ID.Short() + "` tells which pod had which"})
		}
	}
	return all
}
