package slurm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// leftPatience is how long Slurm may take to say what it has of a run.
const leftPatience = 5 * time.Second

// Left is a job of a run that has not ended.
type Left struct {
	Job   string
	State string // in Slurm's words: RUNNING
}

// Left finds the caller's jobs that were submitted for a run and have not ended, by their comment.
func (l *Launcher) Left(ctx context.Context, run schema.RunID) ([]Left, error) {
	return l.commented(ctx, leftPatience, run, "--format=%i|%T|%k")
}

// commented asks squeue for jobs whose comment names the run.
func (l *Launcher) commented(ctx context.Context, within time.Duration, run schema.RunID, args ...string) (jobs []Left, err error) {
	said, err := l.ask(ctx, within, "squeue", append([]string{"--me", "--noheader"}, args...)...)
	if err != nil {
		return nil, l.unavailable(ctx, "jobs of run "+run.Short(), err)
	}
	for line := range strings.Lines(said) {
		fields := strings.SplitN(plain(strings.TrimRight(line, "\n")), "|", 3)
		if len(fields) == 3 && slices.ContainsFunc(strings.Fields(fields[2]), func(word string) bool { return word == string(run) || word == "runpin.dev/run="+string(run) }) {
			jobs = append(jobs, Left{schema.Shorten(fields[0], 40), schema.Shorten(fields[1], 40)})
		}
	}
	return jobs, nil
}

// Place gives the name of the cluster.
func (l *Launcher) Place(ctx context.Context, _ launch.Spec) (string, error) {
	cluster, err := l.clusterName(ctx)
	if err != nil {
		return "", l.unavailable(ctx, "Slurm", err)
	}
	return cluster, nil
}

// Find finds the caller's job that was submitted for the spec's run by its comment, as long as Slurm knows it: for minutes after its end (MinJobAge). A script that has a
// comment of its own, or is not known, leaves it open whether there is one.
func (l *Launcher) Find(ctx context.Context, spec launch.Spec, place string) (schema.Launched, bool, error) {
	subject := "job of run " + spec.Run.Short()
	cluster, err := l.Place(ctx, spec)
	if err != nil {
		return schema.Launched{}, false, err
	}
	if place != "" && place != cluster {
		return schema.Launched{}, false, fail(schema.Invalid, subject, fmt.Errorf("was to be handed to the cluster %q, and this host talks to %q", schema.Shorten(place, 60), cluster),
			"do it on a host of that cluster, or set SLURM_CONF")
	}
	jobs, err := l.commented(ctx, patience, spec.Run, "--states=all", "--format=%F|%T|%k")
	if err != nil {
		return schema.Launched{}, false, err
	}
	for _, job := range jobs {
		if jobID.MatchString(job.Job) {
			return schema.Launched{On: On, Job: job.Job, Place: cluster}, true, nil
		}
	}
	if len(spec.Data) == 0 || readDirectives(spec.Data).comment != "" {
		return schema.Launched{}, false, fail(schema.Unavailable, subject, errors.New("cannot be found: its script has a comment of its own, or was withheld from the record"),
			"look with `squeue --me`, and end the run with `runpin finish "+string(spec.Run)+" --slurm JOBID`")
	}
	return schema.Launched{}, false, nil
}
