package main

import (
	"context"
	"errors"
	"os/exec"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/container"
	"github.com/runpin/runpin/schema"
)

// places lets the launchers serve rerun where it asks what can be started now.
type places struct {
	schedulers func(on string, images []schema.ImagePin) (launch.Batch, error)
}

// ProbePlace implements rerun.Places.
func (p places) ProbePlace(ctx context.Context, where, program string) error {
	switch where {
	case "local":
		if _, err := exec.LookPath(program); err != nil {
			return &schema.Error{Op: "rerun.program", Kind: schema.Gone, Err: errors.New(program + " is not found on this machine"), Hint: "install it as it was"}
		}
		return nil
	case container.Podman, container.Docker:
		engine, err := container.New(where, container.Options{})
		if err != nil {
			return err
		}
		return engine.Probe(ctx)
	}
	scheduler, err := p.schedulers(where, nil)
	if err != nil {
		return err
	}
	return scheduler.Probe(ctx, launch.Spec{})
}

// CanGPUs implements rerun.Places.
func (p places) CanGPUs(ctx context.Context, engine string) bool {
	found, err := container.New(engine, container.Options{})
	return err == nil && found.CanGPUs(ctx)
}
