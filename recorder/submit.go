package recorder

import (
	"context"
	"sync"

	"github.com/runpin/runpin/schema"
)

// Submitted says what a scheduler calls a job that was planned. With follow the run is running, and is vouched for until stop is called; without, it stays planned
// until somebody looks.
func (p *Planned) Submitted(ctx context.Context, launched schema.Launched, follow bool) (stop func(), err error) {
	defer p.staged.close()
	at := schema.At(p.r.Now())
	doc := p.document(schema.KindObservation, at)
	doc.Observation = &schema.Observation{Launched: &launched}
	docs := []schema.Document{doc}
	if follow {
		lease := p.r.NewLease(BeatInterval)
		status := p.document(schema.KindStatus, at)
		status.Status = &schema.StatusChange{To: schema.Running, Lease: &lease}
		docs = append(docs, status)
	}
	p.saveReport(ctx, schema.Report{Documents: docs})
	if !follow {
		return func() {}, nil
	}
	var background sync.WaitGroup
	end := p.keepBeating(ctx, &background)
	return func() { end(); background.Wait() }, nil
}

// MaybeSubmitted keeps a planned job as planned, with the reason for which nobody knows whether it was started.
func (p *Planned) MaybeSubmitted(ctx context.Context, cause error) {
	defer p.staged.close()
	doc := p.document(schema.KindObservation, schema.At(p.r.Now()))
	doc.Observation = &schema.Observation{Reasons: []schema.Reason{{Code: "submission-unsure", Subject: "job", Text: "it is not known whether the job was submitted: " + cause.Error()}}}
	p.saveReport(ctx, schema.Report{Documents: []schema.Document{doc}})
}

// Unsubmitted keeps a planned job that was never started as failed, with the reason.
func (p *Planned) Unsubmitted(ctx context.Context, cause error) {
	defer p.staged.close()
	at := schema.At(p.r.Now())
	status := p.document(schema.KindStatus, at)
	status.Status = &schema.StatusChange{To: schema.Failed, Finished: at, Why: "the job could not be submitted: " + cause.Error()}
	p.saveReport(ctx, schema.Report{Documents: []schema.Document{status}})
}
