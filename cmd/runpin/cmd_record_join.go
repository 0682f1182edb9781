package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/all"
	"github.com/runpin/runpin/recorder/environment"
	"github.com/runpin/runpin/recorder/mlflow"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/rerun/launch/local"
	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/sqlite"
)

// planFlags say something about the plan of a run, which whoever joins it does not change.
var planFlags = []string{"in", "gpus", "env-file", "image", "job", "pinned", "no-stamp", "code", "no-code", "dataset", "model", "param", "params", "name", "parent", "pins-from", "label", "tolerance", "compare", "require"}

// lookupPatience is how long the store is asked which run an abbreviated RUN is, before the command is started without being recorded.
const lookupPatience = 5 * time.Second

// runJoin starts the command whatever happens: what is amiss with the recording is said on stderr.
func runJoin(ctx context.Context, env *Env, c *cli.Context) error {
	defer survivePipe()()
	argv, err := commandAfterDashes(c)
	if err == nil && len(argv) == 0 {
		err = usageError("runpin record --join [RUN] -- COMMAND", "--join needs a command after --")
	}
	if err != nil {
		return err
	}
	for _, name := range planFlags {
		if c.IsSet(name) {
			env.warn("--%s has no effect with --join: it belongs to the plan of the run", name)
		}
	}
	req := recorder.JoinRequest{Command: argv, Environ: env.Environ(), User: env.user(), Env: c.StringSlice("env"), Stdin: env.In, Stdout: env.Out, Stderr: env.Err}
	if req.WorkDir, err = os.Getwd(); err != nil {
		env.warn("the working directory: %v", err)
	}
	joinOutputs(env, c, &req)
	kept := &joinStore{env: env}
	var source string
	if kept.location, source, err = storeLocation(env, c); err != nil {
		kept.broken = err
	}
	defer kept.close()
	req.Run = joinedRun(ctx, env, c, kept)
	// A run that is named for this very task is its own; one that the whole array finds in its environment is shared by it.
	req.Seat = process.SeatOf(req.Environ, c.String("join") == "")
	if req.Run != "" {
		announceJoin(env, c, req)
		if source == "default" && req.Seat.AttemptID != "" {
			env.warn("no store is named: this rank reports to %s on this machine; set RUNPIN_STORE to a place that the job's end does not take away", kept.location)
		}
	}
	result, err := joiner(env, kept).Join(ctx, req)
	kept.fold(ctx)
	if err != nil {
		return refused(recorder.Request{Command: argv}, err)
	}
	if result.Code != 0 {
		return &statusOnly{result.Code}
	}
	return nil
}

// joiner is a recorder with what joining needs and no more: nothing here opens, reads or asks anything yet.
func joiner(env *Env, kept *joinStore) *recorder.Recorder {
	outputs := dataset.New(all.Backends(dataset.Options{CacheDir: under(env.cacheDir(), "datasets"), Host: env.host(), Now: env.Now}))
	r := &recorder.Recorder{
		Environment: environment.New(environment.Options{Now: env.Now, CacheDir: under(env.cacheDir(), "environment")}), Outputs: outputs,
		Launchers: map[string]recorder.Launcher{"local": launcher{local.New()}}, Saver: kept, Beat: kept, Tracker: &mlflow.Tracker{}, CodeRoot: codeRoot, NewLease: kept.lease,
		Version: version, Host: env.host(), StoreName: kept.location, Now: env.Now, Warn: env.warn,
	}
	if kept.location != "" {
		if dirs := fallbackSpools(env, kept.location); dirs != nil {
			r.Fallback = lazySpools(dirs)
		}
	}
	return r
}

// joinedRun gives the run to report to, or "" and says why there is none. A full id is taken at its word: a spool could not be asked, and a report may well
// arrive before the plan it belongs to.
func joinedRun(ctx context.Context, env *Env, c *cli.Context, kept *joinStore) schema.RunID {
	named, from := c.String("join"), "--join"
	if named == "" {
		named, from = env.Getenv("RUNPIN_RUN_ID"), "RUNPIN_RUN_ID"
	}
	if named == "" {
		env.warn("there is no run to join: RUNPIN_RUN_ID is not set; the command runs and nothing is recorded")
		return ""
	}
	id, err := schema.ParseRunID(named)
	if err == nil {
		return id
	}
	if from == "--join" {
		limited, cancel := context.WithTimeout(ctx, lookupPatience)
		defer cancel()
		var runs *keptRuns
		if runs, err = kept.open(limited); err == nil {
			id, err = runs.Find(limited, named, store.Scope{User: env.user()})
		}
		if err == nil {
			return id
		}
	}
	env.warn("there is no run to join: %s: %v; the command runs and nothing is recorded", from, err)
	return ""
}

func announceJoin(env *Env, c *cli.Context, req recorder.JoinRequest) {
	if path := c.String("id-file"); path != "" {
		if err := writeFile(path, []byte(string(req.Run)+"\n")); err != nil {
			env.warn("%v", err)
		}
	}
	as := req.Seat.String()
	if as != "" {
		as = " as " + as
	}
	env.say("joining run %s%s", req.Run, as)
	for _, reason := range req.Seat.Reasons {
		env.warn("%s", reason.Text)
	}
}

// joinOutputs takes the outputs from the flags and from runpin.yaml; a malformed one is passed over, for the command has to start.
func joinOutputs(env *Env, c *cli.Context, req *recorder.JoinRequest) {
	settings, err := loadSettings(env, req.WorkDir)
	if err != nil {
		env.warn("%v", err)
		settings = Settings{}
	}
	req.Metrics, req.Env = choose(c, "metrics", settings.Metrics), append(settings.Env, req.Env...)
	given := map[string]bool{}
	add := func(name, uri string) {
		if given[name] {
			return
		}
		given[name] = true
		req.Outputs = append(req.Outputs, recorder.OutputRef{Name: name, URI: uri})
	}
	for _, s := range c.StringSlice("output") {
		name, uri, err := named(s, func(path string) string { return nameFromPath(strings.ReplaceAll(path, "{rank}", "")) })
		if err != nil {
			env.warn("--output: %v", err)
			continue
		}
		if given[name] {
			env.warn("--output: the name %q is given twice; the first stands", name)
		}
		add(name, uri)
	}
	for _, name := range sortedKeys(settings.Output) {
		if _, err := schema.ParseName(name); err != nil {
			env.warn("%s: %v", settings.path, err)
			continue
		}
		add(name, settings.relative(settings.Output[name]))
	}
}

// joinStore opens the store when there is something to report, which is after the command has started. One that cannot be opened is tried again with the
// next report.
type joinStore struct {
	env      *Env
	location string
	broken   error // there is no location

	mu   sync.Mutex
	kept *keptRuns
}

func (s *joinStore) open(ctx context.Context) (*keptRuns, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil || s.kept != nil {
		return s.kept, s.broken
	}
	kept, err := openRuns(ctx, s.env, s.location, forWriting)
	if err != nil {
		return nil, err
	}
	s.kept = kept
	return kept, nil
}

// Save implements recorder.RunSaver.
func (s *joinStore) Save(ctx context.Context, report schema.Report) error {
	kept, err := s.open(ctx)
	if err != nil {
		return err
	}
	return kept.Save(ctx, report)
}

// Beat implements recorder.Beater.
func (s *joinStore) Beat(ctx context.Context, run schema.RunID, at schema.Time) error {
	kept, err := s.open(ctx)
	if err != nil {
		return err
	}
	return kept.Beat(ctx, run, at)
}

// lease: a spool takes no beats, so its reader must not expect any.
func (s *joinStore) lease(interval time.Duration) schema.Lease {
	_, remote := sqlite.OnNetworkFileSystem(s.location) // it becomes a spool
	if remote || strings.HasPrefix(s.location, "spool:") {
		interval = recorder.SilentInterval
	}
	return store.CurrentLease(interval)
}

// fold takes in what had to wait, of this rank and of others on this node: where only ranks report, no other command would.
func (s *joinStore) fold(ctx context.Context) {
	if !s.mu.TryLock() { // it is still being waited for
		return
	}
	kept := s.kept
	s.mu.Unlock()
	if kept != nil && (kept.runStore != nil || kept.spool != nil) {
		foldWaiting(ctx, s.env, kept, s.location)
	}
}

// close leaves a store alone that is still being waited for: the process is about to end.
func (s *joinStore) close() {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.kept != nil {
		s.kept.close()
	}
}
