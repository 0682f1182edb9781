package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/runpin/runpin/rerun/launch/container"
	"github.com/runpin/runpin/rerun/launch/slurm"
	"github.com/runpin/runpin/schema"
)

// lookPatience is how long an engine may take to say what it runs.
const lookPatience = 3 * time.Second

// showLeft names what a run whose recorder is gone left running on this machine, and says how to stop it.
func (e *Env) showLeft(ctx context.Context, run schema.Run) {
	if run.Launched != nil {
		return
	}
	if run.Launcher == "slurm" && run.RerunOf != "" && (run.Status == schema.Lost || run.Status == schema.Planned) {
		left, err := slurm.New(slurm.Options{}).Left(ctx, run.ID)
		if err != nil {
			e.field("left", "it is not known whether a job of it is left: %v", err)
		}
		for _, job := range left {
			e.field("left", "slurm: job %s (%s); scancel %s stops it", job.Job, job.State, job.Job)
		}
		return
	}
	if run.Status != schema.Lost {
		return
	}
	if run.Lease != nil && run.Lease.Host != "" && run.Lease.Host != e.host() {
		e.field("left", "it was started on %s: what it may have left running shows there", run.Lease.Host)
		return
	}
	if run.Launcher == container.Podman || run.Launcher == container.Docker {
		ctx, cancel := context.WithTimeout(ctx, lookPatience)
		defer cancel()
		engine, err := container.New(run.Launcher, container.Options{})
		var left []container.Left
		if err == nil {
			left, err = engine.Left(ctx, run.ID)
		}
		if err != nil {
			e.field("left", "it is not known whether its container is still there: %v", err)
		}
		for _, c := range left {
			e.field("left", "%s: container %s (%s); %s rm --force %s removes it", run.Launcher, schema.Shorten(c.ID, 12), c.Status, run.Launcher, schema.Shorten(c.ID, 12))
		}
		return
	}
	for _, p := range processesOf(run.ID) {
		e.field("left", "process %d (%s); kill %d stops it", p.pid, p.command, p.pid)
	}
}

type leftProcess struct {
	pid     int
	command string
}

// processesOf finds the processes that were started for a run by the variable that they have. Where the system does not show it there are none.
func processesOf(run schema.RunID) (found []leftProcess) {
	want := []byte("RUNPIN_RUN_ID=" + string(run))
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append(append([]byte{0}, environ...), 0), append(append([]byte{0}, want...), 0)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm"))
		found = append(found, leftProcess{pid, string(bytes.TrimSpace(name))})
	}
	return found
}
