package slurm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Options are what a user can set.
type Options struct {
	Args  []string // more arguments for sbatch, such as --partition=gpu; they go before runpin's own
	Files string   // a directory on a shared file system: a script without a directory gets one there, a command its output files; "" for the working directory
	Path  string   // where Slurm's programs are looked up; "" for the PATH
	// Hide names the variables of this environment that a batch job must not inherit. nil: it inherits all but Slurm's own.
	Hide func(name string) bool
	// Warn tells what a user who waits should know. nil: nobody is told.
	Warn     func(format string, args ...any)
	Interval time.Duration // between two questions for a job; 0: growing from a fifth of a second to 15
	Patience time.Duration // how long slurmctld may be away; 0: half an hour
	Settle   time.Duration // how long output of a job that ended may take to show up here; 0: ten seconds
}

// Launcher hands jobs to Slurm.
type Launcher struct {
	options Options
	mu      sync.Mutex
	cluster string           // as slurm.conf calls it; "" before it was asked
	places  map[string]place // of jobs that this process has seen, for when Slurm has forgotten them
}

var (
	_ launch.Batch    = (*Launcher)(nil)
	_ launch.Launcher = (*Launcher)(nil)
)

// New gives a launcher. Slurm's programs are looked for when they are needed.
func New(options Options) *Launcher {
	if options.Warn == nil {
		options.Warn = func(string, ...any) {}
	}
	if options.Patience == 0 {
		options.Patience = 30 * time.Minute
	}
	if options.Settle == 0 {
		options.Settle = 10 * time.Second
	}
	return &Launcher{options: options, places: map[string]place{}}
}

// On is what a record calls Slurm.
const On = "slurm"

// Name is "slurm".
func (*Launcher) Name() string { return On }

// Probe asks slurmctld whether it is there and whether a partition takes jobs. Errors are of kind Unavailable.
func (l *Launcher) Probe(ctx context.Context, _ launch.Spec) error {
	if _, err := l.look("sbatch"); err != nil {
		return err
	}
	if _, err := l.ask(ctx, probePatience, "scontrol", "ping"); err != nil {
		return l.unavailable(ctx, "slurmctld", err)
	}
	out, err := l.ask(ctx, probePatience, "sinfo", "--noheader", "--format=%a")
	if err != nil {
		return l.unavailable(ctx, "slurmctld", err)
	}
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) == "up" {
			return nil
		}
	}
	return fail(schema.Unavailable, "Slurm", errors.New("no partition is up"), "sinfo says more")
}

var jobID = regexp.MustCompile(`^[1-9][0-9]{0,11}$`)

// check refuses a handle that this launcher, or another process of it, has not given.
func check(job schema.Launched) error {
	subject := fmt.Sprintf("%q", schema.Shorten(job.Job, 60))
	if job.On != On {
		return fail(schema.Invalid, subject, fmt.Errorf("was not started by slurm but by %q", schema.Shorten(job.On, 60)), "")
	}
	if !jobID.MatchString(job.Job) {
		return fail(schema.Invalid, subject, errors.New("is not the id of a Slurm job"), "")
	}
	return nil
}

// sameCluster refuses a job of another cluster: ids of jobs are small numbers, and every cluster has the same.
func (l *Launcher) sameCluster(ctx context.Context, id, cluster string) error {
	here, err := l.clusterName(ctx)
	if err == nil && here != cluster {
		err = fail(schema.Invalid, "job "+id, fmt.Errorf("is of the cluster %q, and this host talks to %q", schema.Shorten(cluster, 60), here),
			"do it on a host of that cluster, or set SLURM_CONF")
	}
	return err
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// clusterName asks for the name once.
func (l *Launcher) clusterName(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cluster != "" {
		return l.cluster, nil
	}
	out, err := l.ask(ctx, patience, "scontrol", "show", "config")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == "ClusterName" {
			if value = strings.TrimSpace(value); plainName.MatchString(value) {
				l.cluster = value
				return value, nil
			}
		}
	}
	return "", errors.New("scontrol show config names no cluster")
}

func fail(kind schema.Kind, subject string, err error, hint string) error {
	return &schema.Error{Op: "launch.slurm", Kind: kind, Subject: subject, Err: err, Hint: hint}
}

// unavailable classes what kept Slurm from answering.
func (l *Launcher) unavailable(ctx context.Context, subject string, err error) error {
	if ctx.Err() != nil {
		return fail(schema.Interrupted, subject, ctx.Err(), "")
	}
	var told *schema.Error
	if errors.As(err, &told) {
		return err
	}
	return fail(schema.Unavailable, subject, err, "scontrol ping says whether slurmctld can be reached from this host")
}
