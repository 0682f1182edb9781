package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/all"
	"github.com/runpin/runpin/recorder/environment"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/container"
	"github.com/runpin/runpin/rerun/launch/local"
	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/sqlite"
)

type access int

const (
	forReading access = iota
	forWriting
)

// wiring is the rooms, connected: what a verb needs to do its work.
type wiring struct {
	env      *Env
	store    *keptRuns
	recorder *recorder.Recorder
	rerunner *rerun.Rerunner
	progress *progress
	location string
}

// openWiring opens the store and connects the rooms. Nothing here touches the network or the disk beyond the store: that waits until it is needed.
func openWiring(ctx context.Context, env *Env, c *cli.Context, mode access) (*wiring, error) {
	location, _, err := storeLocation(env, c)
	if err != nil {
		return nil, err
	}
	w := &wiring{env: env, location: location, progress: newProgress(env)}
	if w.store, err = openRuns(ctx, env, location, mode); err != nil {
		return nil, err
	}
	reg := registry.New(registry.Options{Version: version, CacheDir: under(env.cacheDir(), "registry"), InsecureRegistries: insecure(c), Budget: duration(env, "RUNPIN_RETRY_BUDGET"), Now: env.Now})
	images := image.New(image.Options{Registry: reg, Now: env.Now})
	codes := code.New(code.Options{Now: env.Now})
	options := dataset.Options{CacheDir: under(env.cacheDir(), "datasets"), Host: env.host(), Now: env.Now}
	datasets := dataset.New(all.Backends(options))
	var fallback recorder.RunSaver
	if dirs := fallbackSpools(env, location); dirs != nil {
		fallback = lazySpools(dirs)
	}
	w.recorder = &recorder.Recorder{
		Images: images, Code: codes, Datasets: datasets, Outputs: datasets, Specs: specReader{}, Pinner: specReader{},
		Environment: environment.New(environment.Options{Now: env.Now, CacheDir: under(env.cacheDir(), "environment")}),
		Launchers: map[string]recorder.Launcher{"local": launcher{local.New()}, "podman": &engine{env: env, name: "podman", insecure: insecure(c)},
			"docker": &engine{env: env, name: "docker", insecure: insecure(c)}},
		Saver: w.store, Fallback: fallback, Beat: w.store, CodeRoot: codeRoot, Determining: environment.Determining,
		NewLease: store.CurrentLease, Version: version, Host: env.host(), StoreName: location, StoreDirs: storeDirs(location), CI: env.submission(), Now: env.Now,
		Progress: w.progress, Warn: env.warn,
	}
	w.rerunner = &rerun.Rerunner{
		Images: images, Code: codes, Datasets: datasets, Blobs: w.store, Record: recording{w}, Saver: w.store, Determining: environment.Determining, ReplaceRoot: process.ReplaceRoot, Host: env.host(),
		Now: func() schema.Time { return schema.At(env.Now()) }, Progress: w.progress, Warn: env.warn,
	}
	return w, nil
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
	var runs []schema.Run
	var failures []error
	for _, q := range queries {
		id, err := w.store.Find(c.Context, q, w.scope(""))
		if err == nil {
			var run schema.Run
			if run, err = w.store.Run(c.Context, id); err == nil {
				runs = append(runs, run)
				continue
			}
		}
		failures = append(failures, err)
	}
	return runs, errors.Join(failures...)
}

// launcher lets the launchers of rerun serve recorder: the two requests are the same, field for field.
type launcher struct{ inner launch.Launcher }

func (l launcher) Launch(ctx context.Context, job recorder.LaunchRequest) (recorder.Exit, error) {
	converted := launch.Job{Argv: job.Argv, Dir: job.Dir, Env: job.Env, Stdin: job.Stdin, Stdout: job.Stdout, Stderr: job.Stderr, Image: job.Image, Started: job.Started}
	for _, m := range job.Mounts {
		converted.Mounts = append(converted.Mounts, launch.Mount(m))
	}
	exit, err := l.inner.Launch(ctx, converted)
	var start *launch.StartError
	if errors.As(err, &start) {
		return recorder.Exit(exit), &codedError{start.Code, start.Err}
	}
	return recorder.Exit(exit), err
}

// engine is a container engine that is looked up when it is first needed.
type engine struct {
	env      *Env
	name     string
	insecure []string
	found    *container.Launcher
}

func (e *engine) look() (*container.Launcher, error) {
	if e.found != nil {
		return e.found, nil
	}
	var err error
	e.found, err = container.New(e.name, container.Options{Progress: e.env.Err})
	return e.found, err
}

func (e *engine) Launch(ctx context.Context, job recorder.LaunchRequest) (recorder.Exit, error) {
	found, err := e.look()
	if err != nil {
		return recorder.Exit{}, &codedError{exitRefused, err}
	}
	return launcher{found}.Launch(ctx, job)
}

// EnsureImage implements recorder.ImageEnsurer.
func (e *engine) EnsureImage(ctx context.Context, ref string, config schema.Digest) error {
	found, err := e.look()
	if err != nil {
		return err
	}
	host, _, _ := strings.Cut(ref, "/")
	return found.EnsureImage(ctx, ref, config, registry.Loopback(host) || slices.Contains(e.insecure, host))
}

// recording lets recorder serve rerun.
type recording struct{ w *wiring }

func (r recording) Record(ctx context.Context, p rerun.Prepared) (schema.Run, int, error) {
	req := recorder.Request{Name: "", Project: p.Of.Project, User: r.w.env.user(), Command: p.Template, WorkDir: p.Root, Environ: p.Environ,
		Stdin: r.w.env.In, Stdout: r.w.env.Err, Stderr: r.w.env.Err, // stdout is the answer's: the new run's id
		Rerun: &recorder.Given{Of: p.Of.ID, Images: p.Images, Code: p.Code, Datasets: p.Datasets, Outputs: p.Outputs, Metrics: p.Metrics, Root: p.Root,
			WorkDir: p.WorkDir, Template: p.Template, Paths: p.Paths, Sources: p.Sources, Params: p.Params, Vars: p.Vars, Launcher: p.Launcher, Relaxed: p.Relaxed,
			Withheld: p.Withheld, Secrets: p.Secrets}}
	if p.InContainer() {
		req.In = p.Launcher
	}
	result, err := r.w.recorder.Record(ctx, req)
	var coded *codedError
	if errors.As(err, &coded) && coded.code != exitRefused { // 126 and 127 are for record; here something that the run needs is missing
		err = &schema.Error{Op: "rerun", Kind: schema.Gone, Subject: "command", Err: coded.err,
			Hint: "install it as it was; a directory such as .venv is part of the machine, not of the recorded code"}
	}
	return result.Run, result.Code, err
}

// keptRuns is the store as the verbs see it: a database, a spool that is only written to, or nothing yet.
type keptRuns struct {
	db       *store.Store
	spool    *spool.Spool
	location string
}

func openRuns(ctx context.Context, env *Env, location string, mode access) (*keptRuns, error) {
	k := &keptRuns{location: location}
	if dir, ok := strings.CutPrefix(location, "spool:"); ok {
		if mode == forReading {
			return nil, usageError("fold it into a database first: runpin import "+dir+" --store PATH", "%s is a spool: it can be written to, not read", location)
		}
		var err error
		k.spool, err = spool.Open(dir)
		return k, err
	}
	if fsName, yes := sqlite.OnNetworkFileSystem(location); yes && mode == forWriting {
		dir := location + ".spool"
		env.warn("%s is on a network file system (%s), where SQLite is not safe: the report goes to %s; `runpin import` folds it in", location, fsName, dir)
		var err error
		k.spool, err = spool.Open(dir)
		return k, err
	}
	db, err := store.Open(ctx, sqlite.Dialect{}, location, store.Options{Now: env.Now, ReadOnly: mode == forReading, BusyTimeout: duration(env, "RUNPIN_BUSY_TIMEOUT")})
	if mode == forReading && errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, atStore(err, location)
	}
	if mode == forWriting && db.ReadOnly() {
		_ = db.Close()
		return nil, &schema.Error{Op: "store", Kind: schema.Unavailable, Subject: location, Err: fmt.Errorf("the store cannot be written to"), Hint: "look at its permissions, or name another store with --store"}
	}
	k.db = db
	return k, nil
}

// atStore names the store's place in an error of opening it.
func atStore(err error, location string) error {
	var e *schema.Error
	if !errors.As(err, &e) || strings.Contains(e.Subject, location) {
		return err
	}
	named := *e
	named.Subject = location
	return &named
}

func (k *keptRuns) close() {
	if k.db != nil {
		_ = k.db.Close()
	}
}

func (k *keptRuns) missing() error {
	if k.spool != nil {
		return usageError("use a database: --store PATH", "%s is a spool and cannot be searched", k.location)
	}
	return &schema.Error{Op: "store", Kind: schema.NotFound, Subject: k.location, Err: fmt.Errorf("no run has been recorded there yet"), Hint: "runpin record -- COMMAND, or name another store with --store"}
}

// Save implements recorder.RunSaver and rerun.Saver.
func (k *keptRuns) Save(ctx context.Context, report schema.Report) error {
	if k.spool != nil {
		return k.spool.Save(ctx, report)
	}
	if k.db == nil {
		return k.missing()
	}
	return k.db.Save(ctx, report)
}

// Beat implements recorder.Beater.
func (k *keptRuns) Beat(ctx context.Context, run schema.RunID, at schema.Time) error {
	if k.db == nil {
		return nil
	}
	return k.db.Beat(ctx, run, at)
}

// OpenBlob implements schema.BlobSource.
func (k *keptRuns) OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	if k.db == nil {
		return nil, k.missing()
	}
	return k.db.OpenBlob(ctx, ref)
}

func (k *keptRuns) Find(ctx context.Context, query string, scope store.Scope) (schema.RunID, error) {
	if k.db == nil {
		return "", k.missing()
	}
	return k.db.Find(ctx, query, scope)
}

func (k *keptRuns) Run(ctx context.Context, id schema.RunID) (schema.Run, error) {
	if k.db == nil {
		return schema.Run{}, k.missing()
	}
	return k.db.Run(ctx, id)
}

func (k *keptRuns) List(ctx context.Context, filter store.Filter) ([]schema.Run, error) {
	if k.db == nil {
		return nil, nil
	}
	return k.db.List(ctx, filter)
}
