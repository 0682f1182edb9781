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
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/container"
	"github.com/runpin/runpin/rerun/launch/local"
	"github.com/runpin/runpin/schema"
)

// launchers are the places where a command can run. Another is a row.
func launchers(env *Env, c *cli.Context) map[string]recorder.Launcher {
	return map[string]recorder.Launcher{
		"local":  launcher{local.New()},
		"podman": &engine{env: env, name: "podman", insecure: insecure(c)},
		"docker": &engine{env: env, name: "docker", insecure: insecure(c)},
	}
}

// schedulerKinds are what job specs are handed to. Another is a row.
var schedulerKinds = map[string]func(env *Env, c *cli.Context) (launch.Batch, error){}

// schedulers finds a scheduler when it is first needed.
func schedulers(env *Env, c *cli.Context) func(on string) (launch.Batch, error) {
	found := map[string]launch.Batch{}
	return func(on string) (launch.Batch, error) {
		if found[on] != nil {
			return found[on], nil
		}
		open, known := schedulerKinds[on]
		if !known {
			return nil, &schema.Error{Op: "rerun", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(on, 40)), Err: errors.New("is no scheduler that runpin knows"),
				Hint: "schedulers: " + strings.Join(slices.Sorted(maps.Keys(schedulerKinds)), ", ")}
		}
		batch, err := open(env, c)
		if err == nil {
			found[on] = batch
		}
		return batch, err
	}
}

// launcher lets the launchers of rerun serve recorder: the two requests are the same, field for field.
type launcher struct{ inner launch.Launcher }

func (l launcher) Launch(ctx context.Context, job recorder.LaunchRequest) (recorder.Exit, error) {
	converted := launch.Job{Argv: job.Argv, Dir: job.Dir, Env: job.Env, Stdin: job.Stdin, Stdout: job.Stdout, Stderr: job.Stderr, Image: job.Image, GPUs: job.GPUs, Started: job.Started}
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
