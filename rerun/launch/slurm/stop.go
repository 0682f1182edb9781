package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Stop cancels the job: Slurm sends SIGTERM and, after its KillWait, SIGKILL. It returns when the job has ended, or Slurm does not know it.
func (l *Launcher) Stop(ctx context.Context, job schema.Launched) error {
	if err := check(job); err != nil {
		return err
	}
	w := l.watch(job.Job, job.Place)
	w.place = &place{} // its output is not followed
	cancelled := false
	w.onState = func(ctx context.Context, _ map[string]task) {
		if !cancelled && (!w.over()) {
			_, err := l.ask(ctx, patience, "scancel", job.Job)
			if cancelled = err == nil; err != nil {
				w.warn("job %s: %v", job.Job, err)
			}
		}
	}
	err := w.follow(ctx)
	switch {
	case err == nil, schema.IsKind(err, schema.Gone):
		return nil
	case schema.IsKind(err, schema.Interrupted) && cancelled:
		return fail(schema.Interrupted, "job "+job.Job, fmt.Errorf("%w; it was asked to end and has not yet", ctx.Err()), "")
	}
	return err
}

// ours is what Submit calls files of output, and a directory that it makes.
var (
	ourFile = regexp.MustCompile(`^runpin-[0-9A-Z]{26}-([0-9]{1,12})(?:_[0-9]{1,9})?\.(?:out|err)$`)
	ourDir  = regexp.MustCompile(`^runpin-[0-9A-Z]{26}$`)
)

// Remove takes away the files of output that runpin has named, and the directory that it made when nothing is left in it. What the job wrote stays, and so does what
// Slurm remembers. A job that has not ended is an error of kind Conflict.
func (l *Launcher) Remove(ctx context.Context, job schema.Launched) error {
	if err := check(job); err != nil {
		return err
	}
	w := l.watch(job.Job, job.Place)
	all, err := w.tasks(ctx)
	if err != nil && !errors.Is(err, errForgotten) {
		return l.unavailable(ctx, "job "+job.Job, err)
	}
	for _, t := range all {
		if !t.ended() {
			return fail(schema.Conflict, "job "+t.id, fmt.Errorf("has not ended: it is %s", t.state), "stop it first: scancel "+job.Job)
		}
	}
	p, err := l.place(ctx, job.Job)
	if errors.Is(err, errForgotten) {
		return nil
	}
	if err != nil {
		return l.unavailable(ctx, "job "+job.Job, err)
	}
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fail(schema.Unavailable, shown(plain(p.dir)), err, "")
	}
	var failures []error
	for _, e := range entries {
		if m := ourFile.FindStringSubmatch(e.Name()); m != nil && m[1] == job.Job {
			if err := os.Remove(filepath.Join(p.dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				failures = append(failures, fail(schema.Unavailable, shown(plain(e.Name())), err, ""))
			}
		}
	}
	if ourDir.MatchString(filepath.Base(p.dir)) {
		_ = os.Remove(p.dir) // fails where something is left in it
	}
	return errors.Join(failures...)
}

// asksToEnd sends SIGTERM once the command runs, and takes back one that waits; it never kills.
func (l *Launcher) asksToEnd(ctx context.Context, id string, t task) bool {
	args := []string{"--signal=TERM", "--batch", id}
	switch t.state {
	case "RUNNING":
	case "PENDING", "REQUEUE_HOLD", "REQUEUED", "SPECIAL_EXIT":
		args = []string{"--state=PENDING", id}
	default:
		return false
	}
	_, err := l.ask(ctx, patience, "scancel", args...)
	return err == nil && !strings.HasPrefix(args[0], "--state")
}
