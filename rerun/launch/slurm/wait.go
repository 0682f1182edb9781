package slurm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Wait follows the job, all tasks of an array, to its end and copies what it prints. An error is of kind Interrupted when ctx ended, Unavailable when slurmctld was away
// for too long, Gone when Slurm has forgotten the job and keeps no accounts, Drift when a node runs the script in another directory, Invalid when job is not one of ours.
func (l *Launcher) Wait(ctx context.Context, job schema.Launched, output io.Writer) (launch.Outcome, error) {
	if err := check(job); err != nil {
		return launch.Outcome{}, err
	}
	w := l.watch(job.Job, job.Place)
	w.out.to, w.err = output, w.out
	if err := w.follow(ctx); err != nil {
		return launch.Outcome{}, err
	}
	return outcome(job.Job, w.known), nil
}

func (l *Launcher) watch(id, cluster string) *watch {
	return &watch{launcher: l, id: id, cluster: cluster, out: &sink{}, err: &sink{}, told: map[string]bool{}, tails: map[string]*tail{}, known: map[string]task{}}
}

// watch is one job that is followed.
type watch struct {
	launcher *Launcher
	id       string
	place    *place
	out, err *sink
	cluster  string                                           // that the job is of, still to be compared; "" when done
	onState  func(ctx context.Context, tasks map[string]task) // after each answer; may be nil
	gate     func() bool                                      // whether output is the job's already; nil: it is
	shows    func() bool                                      // at the end: whether what the job left shows on this host; nil: it does
	wake     <-chan struct{}                                  // makes it ask at once, and often from then on; may be nil
	told     map[string]bool
	tails    map[string]*tail
	known    map[string]task
	waiting  bool // tasks of an array have not been split off
	together bool // some of those were cancelled, which makes one of many
	forgot   int
	away     time.Time // since when slurmctld does not answer
	failures int
}

func (w *watch) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !w.told[text] && len(w.told) < 100 {
		w.told[text] = true
		w.launcher.options.Warn("%s", text)
	}
}

// How often a job is asked for and its output looked at.
const (
	minInterval = 200 * time.Millisecond
	maxInterval = 15 * time.Second
	maxLook     = time.Second
)

func (w *watch) interval(since time.Time) time.Duration {
	if w.launcher.options.Interval > 0 {
		return w.launcher.options.Interval
	}
	return max(minInterval, min(maxInterval, time.Since(since)/20))
}

// follow returns when the job, and each task of an array, has ended and its output is copied.
func (w *watch) follow(ctx context.Context) error {
	defer w.finish()
	begin := time.Now()
	for {
		over, err := w.ask(ctx)
		if err != nil {
			return err
		}
		pause := w.interval(begin)
		for until := time.Now().Add(pause); ; {
			w.look(false)
			if err := w.elsewhere(); err != nil {
				return err
			}
			if over {
				w.settle(ctx)
				return w.elsewhere()
			}
			left := time.Until(until)
			if left <= 0 {
				break
			}
			select {
			case <-ctx.Done():
				return w.interrupted(ctx)
			case <-w.wake:
				w.wake, until, begin = nil, time.Now(), time.Now()
			case <-time.After(min(left, maxLook, pause)):
			}
		}
	}
}

func (w *watch) interrupted(ctx context.Context) error {
	return fail(schema.Interrupted, "job "+w.id, fmt.Errorf("%w; the job goes on", ctx.Err()), "")
}

// ask asks once and reports whether all is over.
func (w *watch) ask(ctx context.Context) (bool, error) {
	all, err := w.tasks(ctx)
	var missing *schema.Error
	switch {
	case ctx.Err() != nil:
		return false, w.interrupted(ctx)
	case errors.Is(err, errForgotten):
		if w.over() {
			return true, nil
		}
		if w.forgot++; w.forgot < 3 {
			return false, nil
		}
		return false, w.gone()
	case errors.As(err, &missing):
		return false, err
	case err != nil:
		return false, w.unanswered(err)
	}
	if w.failures > 1 {
		w.launcher.options.Warn("Slurm answers again for job %s", w.id)
	}
	w.failures, w.forgot, w.waiting = 0, 0, false
	for _, t := range all {
		if t.several() && !t.ended() {
			w.waiting = true
		} else {
			w.known[t.id] = t
		}
		w.together = w.together || t.several() && t.ended()
		w.tellReason(t)
	}
	w.locate(ctx)
	if w.onState != nil {
		w.onState(ctx, w.known)
	}
	if w.over() && !w.together {
		return w.whole(ctx)
	}
	return w.over(), nil
}

// whole makes sure that all tasks of an array are known: some may have been forgotten before they were asked for.
func (w *watch) whole(ctx context.Context) (bool, error) {
	wanted, isArray := 0, false
	if w.place != nil {
		wanted = w.place.tasks
	}
	for id := range w.known {
		isArray = isArray || strings.Contains(id, "_")
	}
	if !isArray || wanted > 0 && len(w.known) >= wanted {
		return true, nil
	}
	more, err := w.launcher.accounted(ctx, w.id)
	if err != nil && !errors.Is(err, errForgotten) {
		return false, w.unanswered(err)
	}
	for _, t := range more {
		if _, ok := w.known[t.id]; !ok && !t.several() {
			w.known[t.id] = t
		}
	}
	switch {
	case len(w.known) < wanted:
		return false, w.gone()
	case wanted == 0 && len(more) == 0:
		w.warn("Slurm does not say how many tasks the array %s had; those that it knows are %d", w.id, len(w.known))
	}
	return w.over(), nil
}

// tasks asks for the job, at first whether it is of the cluster that answers.
func (w *watch) tasks(ctx context.Context) ([]task, error) {
	if w.cluster != "" {
		if err := w.launcher.sameCluster(ctx, w.id, w.cluster); err != nil {
			return nil, err
		}
		w.cluster = ""
	}
	return w.launcher.tasks(ctx, w.id)
}

// over reports whether all that is known has ended.
func (w *watch) over() bool {
	for _, t := range w.known {
		if !t.ended() {
			return false
		}
	}
	return len(w.known) > 0 && !w.waiting
}

func (w *watch) gone() error {
	what := "Slurm does not know it, or has forgotten it, so that nobody can say how it ended"
	if n := len(w.known); n > 0 {
		states := map[string]bool{}
		for _, t := range w.known {
			states[t.state] = true
		}
		what = fmt.Sprintf("Slurm has forgotten it, or some of its tasks, before it said how they ended; last seen: %s", strings.Join(slices.Sorted(maps.Keys(states)), ", "))
	}
	return fail(schema.Gone, "job "+w.id, errors.New(what), "without accounting Slurm forgets a job minutes after its end (MinJobAge); say it yourself: runpin finish RUN --status STATUS")
}

// unanswered bears with a slurmctld that is away, and says so.
func (w *watch) unanswered(err error) error {
	if w.failures++; w.failures == 1 {
		w.away = time.Now()
	}
	if w.failures == 2 {
		w.launcher.options.Warn("Slurm does not answer for job %s (%v); runpin goes on asking, and the job is not touched by it", w.id, err)
	}
	if away := time.Since(w.away); away >= w.launcher.options.Patience {
		return fail(schema.Unavailable, "job "+w.id, fmt.Errorf("no answer of Slurm for %s: %w; the job may go on", away.Round(time.Second), err), "scontrol ping says whether slurmctld can be reached from this host")
	}
	return nil
}

// ordinary are the reasons for which every job waits.
var ordinary = map[string]bool{"": true, "None": true, "null": true, "Priority": true, "Resources": true, "BeginTime": true, "Dependency": true, "Cleaning": true, "JobArrayTaskLimit": true, "Prolog": true,
	"Reservation": true, "Licenses": true}

// tellReason tells why a job waits when it is not simply its turn.
func (w *watch) tellReason(t task) {
	if t.state != "PENDING" && t.state != "REQUEUE_HOLD" && t.state != "SPECIAL_EXIT" || ordinary[t.reason] {
		return
	}
	w.warn("job %s waits, and Slurm's reason is %s; it may never start: scontrol show job %s", w.id, t.reason, w.id)
}

// locate finds out once where the job prints.
func (w *watch) locate(ctx context.Context) {
	if w.place != nil {
		return
	}
	p, err := w.launcher.place(ctx, w.id)
	if err != nil {
		if ctx.Err() == nil && w.over() {
			w.warn("Slurm does not say where job %s printed: %v", w.id, err)
		}
		return
	}
	w.place = &p
}

// look copies what is new in the files of the tasks that have begun, and says how many of those files there are not, and how much was copied. Files of tasks that ended a
// while ago are looked at in the end only.
func (w *watch) look(last bool) (missing []string, copied int64) {
	if w.place == nil || w.gate != nil && !w.gate() {
		return nil, 0
	}
	for _, key := range slices.SortedFunc(maps.Keys(w.known), byTask) {
		t := w.known[key]
		if !t.begun() && !t.ended() || t.several() {
			continue
		}
		for _, each := range []struct {
			pattern string
			to      *sink
		}{{w.place.out, w.out}, {w.place.err, w.err}} {
			path, err := w.place.expand(each.pattern, t)
			if err != nil {
				if t.begun() {
					w.warn("job %s prints to %s on %s, which runpin cannot follow: the name %v", t.id, plain(each.pattern), nodeOr(t.node), err)
				}
				continue
			}
			if path == "" {
				continue
			}
			f := w.tails[path]
			if f == nil {
				f = &tail{path: path, to: each.to, lines: each.to.to != nil && (len(w.known) > 1 || w.waiting || w.place.err != "" && w.out == w.err)}
				w.tails[path] = f
			}
			if f.quiet > 3 && !last {
				continue
			}
			n, err := f.poll()
			if f.quiet++; n > 0 || err != nil || !t.ended() {
				f.quiet = 0
			}
			if copied += n; err != nil && t.begun() && !t.noOutput() && !errors.Is(err, errNoFile) {
				missing = append(missing, path)
			}
			if len(w.tails) > maxOpen {
				f.close()
			}
		}
	}
	return missing, copied
}

// settle waits for output that a shared file system shows late.
func (w *watch) settle(ctx context.Context) {
	quiet := 0
	for until := time.Now().Add(w.launcher.options.Settle); ; {
		missing, copied := w.look(true)
		if quiet++; copied > 0 || len(missing) > 0 || w.shows != nil && !w.shows() {
			quiet = 0
		}
		if quiet == 2 {
			return
		}
		if ctx.Err() != nil || time.Now().After(until) {
			for _, path := range missing {
				w.warn("the output of job %s is in %s, which does not show up on this host", w.id, plain(path))
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// elsewhere makes an error of a node that does not see the directory.
func (w *watch) elsewhere() error {
	for _, f := range w.tails {
		if f.elsewhere() {
			return fail(schema.Drift, "job "+w.id, fmt.Errorf("the node does not see its directory %s, so that Slurm runs it in another", shown(plain(w.place.dir))),
				"give a directory on a file system that the nodes share, and stop the job: scancel "+w.id)
		}
	}
	return nil
}

func (w *watch) finish() {
	for _, key := range slices.Sorted(maps.Keys(w.tails)) {
		w.tails[key].finish()
	}
}
