package rerun

import (
	"context"
	"fmt"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// submitTime is longer than the submission of a job may take, from the moment at which its run is written down.
const submitTime = 5 * time.Minute

// found looks on its scheduler for the job of a rerun of which nobody could say whether it was submitted, by what its spec carries of the run. What it finds is written
// down, as who submitted it would have. When there is none, and nobody can be about to submit it any more, the run has failed. An error of kind Unavailable says that
// this is not known.
func (r *Rerunner) found(ctx context.Context, run schema.Run) (schema.Run, error) {
	unknown := func(hint, format string, args ...any) error {
		return &schema.Error{Op: "rerun.resume", Kind: schema.Unavailable, Subject: "run " + run.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	scheduler, err := r.Scheduler(run.Launcher, run.Images)
	if err != nil {
		return run, err
	}
	spec := launch.Spec{Name: string(run.Job.Path.Typed), Run: run.ID}
	if run.Job.Pinned != nil {
		if spec.Data, err = readBlob(ctx, r.Blobs, *run.Job.Pinned, maxSpecBytes); err != nil {
			return run, err
		}
	}
	launched, ok, err := scheduler.Find(ctx, spec, run.LaunchPlace)
	if err != nil {
		return run, err
	}
	quiet := context.WithoutCancel(ctx)
	if ok {
		doc := r.document(schema.KindObservation, run.ID)
		doc.Observation = &schema.Observation{Launched: &launched}
		if err := r.Saver.Save(quiet, schema.Report{Documents: []schema.Document{doc}}); err != nil {
			return run, err
		}
		run.Launched = &launched
		return run, nil
	}
	by := "end it with `runpin finish " + string(run.ID) + "` when you know better"
	switch {
	case r.Now().Time().Sub(run.Created.Time()) < submitTime:
		return run, unknown(r.again(run.ID.Short())+" again", "it is not on %s, but it may be about to be submitted", run.Launcher)
	case run.LaunchPlace == "":
		return run, unknown(by, "this %s has no job of it, and its record does not say to which one it was to be handed", run.Launcher)
	case run.User != "" && r.User != "" && run.User != r.User:
		return run, unknown("let "+run.User+" ask, or "+by, "%s shows you no job of it, and may show %s one, who started it", run.Launcher, run.User)
	}
	doc := r.document(schema.KindStatus, run.ID)
	doc.Status = &schema.StatusChange{To: schema.Failed, Finished: doc.At, Why: fmt.Sprintf("it was never submitted, or %s has forgotten it: there is no job of it", run.Launcher)}
	if err := r.Saver.Save(quiet, schema.Report{Documents: []schema.Document{doc}}); err != nil {
		return run, err
	}
	run.Status, run.Finished, run.Why = doc.Status.To, doc.At, doc.Status.Why
	r.Warn("run %s is recorded as failed: %s; `runpin finish %s` corrects it where you know better", run.ID.Short(), run.Why, run.ID)
	return run, nil
}
