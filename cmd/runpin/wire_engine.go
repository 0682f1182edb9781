package main

import (
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/rerun"
)

// readEngine lets the recorder's reader of `podman run …` serve rerun: there is one.
func readEngine(argv []string) (rerun.EngineCommand, error) {
	c, err := process.ReadContainerCommand(argv)
	if err != nil || c.Engine == "" {
		return rerun.EngineCommand{}, err
	}
	out := rerun.EngineCommand{Image: c.Image}
	for _, v := range c.Variables {
		out.Variables = append(out.Variables, rerun.EngineWord(v))
	}
	for _, f := range c.EnvFiles {
		out.EnvFiles = append(out.EnvFiles, rerun.EngineWord(f))
	}
	return out, nil
}
