package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/all"
	"github.com/runpin/runpin/recorder/environment"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/mlflow"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

type access int

const (
	forReading access = iota
	forWriting
	forReporting // for writing, and where the store cannot be reached into a spool
)

// wiring is the rooms, connected: what a verb needs to do its work.
type wiring struct {
	env      *Env
	store    *keptRuns
	recorder *recorder.Recorder
	rerunner *rerun.Rerunner
	images   *image.Resolver
	progress *progress
	location string
	locate   func(uri string) error // refuses a place at which no data set can be looked for

	// What a rerun is told on its way, each of which may be nil: that everything is in place, that its run is written down, that its command runs.
	inPlace func() error
	written func(schema.RunID)
	started func()
}

// openWiring opens the store and connects the rooms. Nothing here touches the network or the disk beyond the store: that waits until it is needed.
func openWiring(ctx context.Context, env *Env, c *cli.Context, mode access) (*wiring, error) {
	location, _, err := storeLocation(env, c)
	if err != nil {
		return nil, err
	}
	w := &wiring{env: env, location: location, progress: newProgress(env)}
	if mode == forReading {
		foldBeforeReading(ctx, env, location)
	}
	if w.store, err = openRuns(ctx, env, location, mode); err != nil {
		return nil, err
	}
	if mode != forReading && (w.store.runStore != nil || w.store.spool != nil) {
		foldWaiting(ctx, env, w.store, location)
	}
	reg := registry.New(registry.Options{Version: version, CacheDir: under(env.cacheDir(), "registry"), InsecureRegistries: insecure(c), Budget: registryBudget(env, c), PerHost: perRegistry(c), Now: env.Now})
	options := dataset.Options{CacheDir: under(env.cacheDir(), "datasets"), Host: env.host(), Now: env.Now}
	datasets := dataset.New(all.Backends(options))
	images := image.New(image.Options{Registry: reg, Layers: true, Now: env.Now})
	w.images = images
	w.locate = func(uri string) error { _, _, err := datasets.Locate(uri); return err }
	codes := code.New(code.Options{Now: env.Now})
	machine := environment.New(environment.Options{Now: env.Now, CacheDir: under(env.cacheDir(), "environment")})
	var fallback recorder.RunSaver
	if dirs := fallbackSpools(env, location); dirs != nil {
		fallback = lazySpools(dirs)
	}
	w.recorder = &recorder.Recorder{
		Images: images, Code: codes, Datasets: datasets, Outputs: datasets, Specs: specReader{}, Pinner: specReader{},
		Environment: machine,
		Launchers:   launchers(env, c),
		Saver:       w.store, Fallback: fallback, Beat: w.store, Blobs: w.store, Tracker: &mlflow.Tracker{}, CodeRoot: codeRoot, Determining: environment.Determining,
		NewLease: w.store.lease, Version: version, Host: env.host(), StoreName: location, StoreDirs: storeDirs(location), CI: env.submission(), Now: env.Now,
		Progress: w.progress, Warn: env.warn,
	}
	w.rerunner = &rerun.Rerunner{
		Images: images, Code: codes, Datasets: datasets, Outputs: datasets, Compare: compareRunner{env}, Blobs: w.store, Record: recording{w}, Collect: jobCollecting{w}, Saver: w.store,
		Scheduler: w.schedulers(c), Reader: specsReader(), Determining: environment.Determining, ReplaceRoot: process.ReplaceRoot, ReadEngine: readEngine,
		Host: env.host(), User: env.user(), VerifyFlags: clusterSettings(c),
		Now: func() schema.Time { return schema.At(env.Now()) }, Progress: w.progress, Warn: env.warn,
		Hardware: rerun.LookOnce(machine), Places: places{schedulers: w.schedulers(c)},
	}
	w.rerunner.Process, w.rerunner.Alive = func() schema.Lease { return store.CurrentLease(0) }, processAlive
	if spoilWiring != nil {
		spoilWiring(w)
	}
	return w, nil
}

// spoilWiring lets tests put faults between the rooms of a real process; nil.
var spoilWiring func(*wiring)

// processAlive looks at a process of this machine; of another machine's nothing is known.
func processAlive(process schema.Lease) (alive, known bool) {
	here := store.CurrentLease(0)
	if process.Host != here.Host || process.PIDNamespace != here.PIDNamespace {
		return false, false
	}
	return store.Alive(process, schema.Time{}, time.Now()), true
}

// apart gives the same rooms with an Env of their own, for one of several reruns that go on at a time.
func (w *wiring) apart(env *Env, c *cli.Context) *wiring {
	own := *w
	own.env, own.progress = env, newProgress(env)
	rec, re := *w.recorder, *w.rerunner
	rec.Launchers, rec.Progress, rec.Warn = launchers(env, c), own.progress, env.warn
	re.Record, re.Collect, re.Scheduler = recording{&own}, jobCollecting{&own}, own.schedulers(c)
	re.Compare, re.Progress, re.Warn = compareRunner{env}, own.progress, env.warn
	own.recorder, own.rerunner = &rec, &re
	return &own
}

func (w *wiring) close() {
	w.progress.clear()
	w.store.close()
}

func insecure(c *cli.Context) []string { return c.StringSlice("insecure-registry") }

// duration reads a variable such as 30s; 0, which means the default, when it is absent or malformed.
func duration(env *Env, name string) time.Duration {
	d, err := time.ParseDuration(env.Getenv(name))
	if err != nil {
		return 0
	}
	return d
}

// registryBudget is how long one question to a registry may take, waiting as it asks included; 0 is the default. Among the many of a whole history each waits for
// its turn, too.
func registryBudget(env *Env, c *cli.Context) time.Duration {
	if d := duration(env, "RUNPIN_RETRY_BUDGET"); d > 0 || !c.Bool("all") {
		return d
	}
	return 15 * time.Minute
}

// perRegistry is how many requests go to one registry at the same time: for one run as many as its image has layers, so that it is known soon; for a whole history no
// more than a registry bears for long.
func perRegistry(c *cli.Context) int {
	if c.Bool("all") {
		return 8
	}
	return 16
}

func under(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

func codeRoot(dir string) string {
	root, ok := code.Root(dir)
	if !ok {
		return ""
	}
	return root
}

// scope says whose runs `latest` means.
func (w *wiring) scope(project string) store.Scope {
	return store.Scope{User: w.env.user(), Project: project}
}

// event begins an event by the user about a run.
func (w *wiring) event(run schema.RunID) schema.Document {
	at := schema.At(w.env.Now())
	return schema.Document{Schema: schema.SchemaV1, ID: schema.NewDocumentID(at.Time()), Run: run, At: at,
		Reporter: schema.Reporter{Kind: "user", Host: w.env.host(), By: w.env.user()}}
}

// runs loads the runs that the arguments name; "-" reads names from stdin, one on each line.
func (w *wiring) runs(c *cli.Context, min, max int) ([]schema.Run, error) {
	ids, err := w.runIDs(c, min, max)
	failures := schema.Failures(err)
	var runs []schema.Run
	for _, id := range ids {
		run, err := w.store.Run(c.Context, id)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		runs = append(runs, run)
	}
	return runs, errors.Join(failures...)
}

// runIDs finds the runs that the arguments name, as runs does. The ids of those that are there are given beside an error about others.
func (w *wiring) runIDs(c *cli.Context, min, max int) ([]schema.RunID, error) {
	args, err := arguments(c, min, max, runArgument)
	if err != nil {
		return nil, err
	}
	var queries []string
	for _, a := range args {
		if a != "-" {
			queries = append(queries, a)
			continue
		}
		lines := bufio.NewScanner(io.LimitReader(w.env.In, 64<<20))
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line != "" {
				queries = append(queries, line)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, usageError("one run on each line", "stdin: %v", err)
		}
	}
	var ids []schema.RunID
	var failures []error
	for _, q := range queries {
		id, err := w.store.Find(c.Context, q, w.scope(""))
		if err != nil {
			failures = append(failures, err)
			continue
		}
		ids = append(ids, id)
	}
	return ids, errors.Join(failures...)
}
