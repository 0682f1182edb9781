package rerun

import (
	"errors"
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// toGive picks from what was found the rows that say what a rerun is refused without: the user has to give it, and can. They are advice to a check of what can still be
// had, because nothing of it is lost.
func toGive(found []schema.Availability, refused func(pin string) bool) []schema.Availability {
	var missing []schema.Availability
	for _, a := range found {
		if a.Advisory && a.State != schema.StateAvailable && refused(a.Pin) {
			missing = append(missing, a)
		}
	}
	return missing
}

// refusedWithout tells by the name of a row whether the run is not started without it: the rules are those of plan and planJob.
func refusedWithout(run schema.Run) func(pin string) bool {
	if !isJob(run) {
		return func(pin string) bool {
			kind, _, _ := strings.Cut(pin, ":")
			return kind == "secret" || kind == "output" || kind == "tracker"
		}
	}
	secrets := map[string]bool{}
	for _, s := range withheldSecrets(run) { // a job has its variables from where its spec says, and one for a cluster what it fetches, too
		secrets[s.name] = secrets[s.name] || s.job || run.Launcher == "slurm"
	}
	return func(pin string) bool {
		kind, name, _ := strings.Cut(pin, ":")
		switch kind {
		case "output":
			return true
		case "secret":
			return secrets[name]
		}
		return pin == "start"
	}
}

// isJob: the run is a job spec that is handed to a scheduler, not a command.
func isJob(run schema.Run) bool { return run.Job != nil && len(run.CommandTemplate) == 0 }

// aboutStart names what keeps a rerun without settings from being started: an argument by which it would go on with the original's run of a tracker, a job of a kind that
// is printed and submitted by the user.
func (r *Rerunner) aboutStart(run schema.Run, opts PreflightOptions) []Question {
	if opts.Outputs { // a rerun has found out already
		return nil
	}
	if isJob(run) {
		if run.Launcher == "kubernetes" || run.Launcher == "slurm" {
			return nil
		}
		return []Question{told(schema.Availability{Pin: "start", Ref: run.Job.Path.Typed, State: schema.StateUnknown, Reason: fmt.Sprintf("runpin cannot start a job of the kind %q itself", run.Job.Format),
			Remedy: "submit it: runpin rerun prints its pinned spec"})}
	}
	p := preparedOf(run)
	var refused *schema.Error
	if len(run.CommandTemplate) == 0 || chooseLauncher(&p, opts.On) != nil || !errors.As(r.dropTrackerRuns(&p, false), &refused) {
		return nil
	}
	name := strings.TrimPrefix(refused.Subject, "argument ")
	return []Question{told(schema.Availability{Pin: "tracker:" + name, Ref: schema.Text(refused.Subject), State: schema.StateUnknown, Reason: refused.Err.Error(), Remedy: refused.Hint})}
}

// DidNotEnd reports whether the original is known not to have come to its end: nothing can be compared with it. A job spec that nobody reported on may well have.
func DidNotEnd(run schema.Run) bool {
	return run.Status == schema.Running || run.Status == schema.Lost || run.Status == schema.Planned && !isJob(run)
}
