package rerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runpin/runpin/schema"
)

// resumePatience is how long Resume waits for what a scheduler says of a job.
const resumePatience = 5 * time.Second

// Resume finds out what became of a run that was left running or whose follower was lost, and gives it as it is then: a job whose scheduler says that it has ended
// is collected, and one that a rerun was killed over before it could name it is looked for first. An error of kind Unavailable says that the run has not ended, or that nobody could say.
func (r *Rerunner) Resume(ctx context.Context, run schema.Run) (schema.Run, error) {
	unfinished := func(hint, format string, args ...any) error {
		return &schema.Error{Op: "rerun.resume", Kind: schema.Unavailable, Subject: "run " + run.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	again := r.again(run.ID.Short()) + " again"
	if run.Launched == nil && !run.Status.Ended() && run.Job != nil && run.RerunOf != "" {
		found, err := r.found(ctx, run)
		if err != nil {
			return run, err
		}
		run = found
	}
	switch {
	case run.Status.Ended():
		return run, nil
	case run.Launched == nil && run.Status == schema.Lost:
		return run, nil // who watched it is gone: nobody will say how it ended
	case run.Launched == nil:
		return run, unfinished("try again when it has; `runpin collect` and `runpin finish` report the end of what something else started", "it has not ended: it is %s", run.Status)
	}
	launched := *run.Launched
	scheduler, err := r.Scheduler(launched.On, run.Images)
	if err != nil {
		return run, err
	}
	waiting, cancel := context.WithTimeout(ctx, resumePatience)
	defer cancel()
	quiet := context.WithoutCancel(ctx)
	outcome, err := scheduler.Wait(waiting, launched, io.Discard)
	wrong := schema.IsKind(err, schema.Drift) || schema.IsKind(err, schema.Gone)
	switch {
	case ctx.Err() != nil:
		return run, interrupted()
	case wrong: // it runs something else, or never will: neither may go on
		if stopErr := scheduler.Stop(quiet, launched); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("%s may still run: %w", describe(launched), stopErr))
		}
		outcome.Exit.Code, outcome.Why = max(outcome.Exit.Code, 1), err.Error()
	case err != nil && waiting.Err() != nil:
		return run, unfinished(again, "%s has not ended", describe(launched))
	case err != nil:
		return run, err
	}
	collected, collectErr := r.Collect.Collect(quiet, run.ID, launched, outcome)
	if err = errors.Join(err, collectErr); err != nil {
		return run, err
	}
	if launched.Keep {
		return collected, nil
	}
	if err := scheduler.Remove(quiet, launched); err != nil {
		r.Warn("%s has ended and could not be removed: %v", describe(launched), err)
	}
	return collected, nil
}

// again says how a run is looked at later.
func (r *Rerunner) again(id string) string {
	return "runpin verify " + id + r.VerifyFlags + " looks at it"
}
