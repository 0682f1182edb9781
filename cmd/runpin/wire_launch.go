package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	incluster "github.com/runpin/runpin/recorder/collect/kubernetes"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/container"
	"github.com/runpin/runpin/rerun/launch/kubernetes"
	"github.com/runpin/runpin/rerun/launch/local"
	"github.com/runpin/runpin/rerun/launch/slurm"
	"github.com/runpin/runpin/schema"
)

// launchers are the places where a command can run. Another is a row.
func launchers(env *Env, c *cli.Context) map[string]recorder.Launcher {
	return map[string]recorder.Launcher{
		"local":  launcher{local.New()},
		"podman": &engine{env: env, name: "podman", insecure: insecure(c)},
		"docker": &engine{env: env, name: "docker", insecure: insecure(c)},
		"slurm":  elsewhere{launcher{slurm.New(slurm.Options{Warn: env.warn})}},
	}
}

// elsewhere marks a launcher whose commands run on other machines.
type elsewhere struct{ launcher }

// Remote implements recorder.RemoteLauncher.
func (elsewhere) Remote() {}

// schedulerKinds are what job specs are handed to. Another is a row.
var schedulerKinds = map[string]func(w *wiring, c *cli.Context, images []schema.ImagePin) (launch.Batch, error){
	"kubernetes": func(w *wiring, c *cli.Context, images []schema.ImagePin) (launch.Batch, error) {
		config, namespace, err := incluster.Config(incluster.Options{Kubeconfig: c.String("kubeconfig"), Context: c.String("context"), Namespace: c.String("namespace"), Agent: "runpin/" + version})
		if err != nil {
			return nil, err
		}
		return kubernetes.New(config, namespace, kubernetes.Options{Images: images, Describe: w.images, Warn: func(text string) { w.env.warn("%s", text) }})
	},
	"slurm": func(w *wiring, _ *cli.Context, _ []schema.ImagePin) (launch.Batch, error) {
		return slurm.New(slurm.Options{Warn: w.env.warn, Files: under(w.env.cacheDir(), "jobs"), Hide: jobspec.IsTrackerVariable}), nil
	},
}

func kubeconfigFlag() cli.Flag {
	return &cli.StringFlag{Name: "kubeconfig", Usage: "`FILE` that says how the cluster is reached (default: $KUBECONFIG, ~/.kube/config, or the account of the pod)"}
}

func contextFlag() cli.Flag {
	return &cli.StringFlag{Name: "context", Usage: "`NAME` of a context in the kubeconfig"}
}

// clusterSettings gives the flags that name the cluster, as another command takes them.
func clusterSettings(c *cli.Context) (flags string) {
	for _, name := range []string{"kubeconfig", "context"} {
		if value := c.String(name); value != "" {
			flags += " --" + name + " " + shellWords([]string{value})
		}
	}
	return flags
}

// schedulers finds a scheduler when it is needed.
func (w *wiring) schedulers(c *cli.Context) func(on string, images []schema.ImagePin) (launch.Batch, error) {
	return func(on string, images []schema.ImagePin) (launch.Batch, error) {
		open, known := schedulerKinds[on]
		if !known {
			return nil, &schema.Error{Op: "rerun", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(on, 40)), Err: errors.New("is no scheduler that runpin knows"),
				Hint: "schedulers: " + strings.Join(slices.Sorted(maps.Keys(schedulerKinds)), ", ")}
		}
		return open(w, c, images)
	}
}

// launcher lets the launchers of rerun serve recorder: the two requests are the same, field for field.
type launcher struct{ inner launch.Launcher }

func (l launcher) Launch(ctx context.Context, job recorder.LaunchRequest) (recorder.Exit, error) {
	exit, err := l.inner.Launch(ctx, convertJob(job))
	var start *launch.StartError
	if errors.As(err, &start) {
		return recorder.Exit(exit), &codedError{start.Code, start.Err}
	}
	return recorder.Exit(exit), err
}

func convertJob(job recorder.LaunchRequest) launch.Job {
	converted := launch.Job{Argv: job.Argv, Dir: job.Dir, Env: job.Env, Withheld: job.Withheld, Stdin: job.Stdin, Stdout: job.Stdout, Stderr: job.Stderr, Image: job.Image, GPUs: job.GPUs, Started: job.Started}
	for _, m := range job.Mounts {
		converted.Mounts = append(converted.Mounts, launch.Mount(m))
	}
	return converted
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

// createArgs gives the command line that would create the container.
func (e *engine) createArgs(ctx context.Context, job recorder.LaunchRequest) ([]string, error) {
	found, err := e.look()
	if err != nil {
		return nil, err
	}
	return found.CreateArgs(ctx, convertJob(job))
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
