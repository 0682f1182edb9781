package main

import (
	"bufio"
	"context"
	"errors"
	"io"
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
	"github.com/runpin/runpin/recorder/mlflow"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/container"
	"github.com/runpin/runpin/rerun/launch/local"
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
	reg := registry.New(registry.Options{Version: version, CacheDir: under(env.cacheDir(), "registry"), InsecureRegistries: insecure(c), Budget: duration(env, "RUNPIN_RETRY_BUDGET"), Now: env.Now})
	images := image.New(image.Options{Registry: reg, Now: env.Now})
	w.images = images
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
		Saver: w.store, Fallback: fallback, Beat: w.store, Blobs: w.store, Tracker: &mlflow.Tracker{}, CodeRoot: codeRoot, Determining: environment.Determining,
		NewLease: w.store.lease, Version: version, Host: env.host(), StoreName: location, StoreDirs: storeDirs(location), CI: env.submission(), Now: env.Now,
		Progress: w.progress, Warn: env.warn,
	}
	w.rerunner = &rerun.Rerunner{
		Images: images, Code: codes, Datasets: datasets, Outputs: datasets, Compare: compareRunner{env}, Blobs: w.store, Record: recording{w}, Saver: w.store, Determining: environment.Determining, ReplaceRoot: process.ReplaceRoot, Host: env.host(),
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
			Withheld: p.Withheld, Secrets: p.Secrets, Tolerances: p.Tolerances}}
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
