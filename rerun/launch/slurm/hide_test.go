//go:build unix

package slurm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// What the submitter's environment has of another run's identity does not reach the job.
func TestJobInheritsNothingHidden(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "env")
	dir := programs(t, map[string]string{"sbatch": "cat > /dev/null; env > '" + seen + "'; echo 4711", "scontrol": "echo 'ClusterName             = test'", "sinfo": "exit 1", "squeue": "exit 1", "sacct": "exit 1"})
	t.Setenv("WANDB_RUN_ID", "abc")
	t.Setenv("WANDB_PROJECT", "p")
	l := New(Options{Path: dir + ":" + os.Getenv("PATH"), Hide: func(name string) bool { return name == "WANDB_RUN_ID" }})
	_, err := l.Submit(t.Context(), launch.Spec{Name: "t.sh", Data: []byte("#!/bin/sh\n#SBATCH -n 1\ntrue\n"), Run: schema.RunID("01JD8ZK3V5N4Q7R2T9W6X0Y1AB"), Dir: t.TempDir()})
	env, readErr := os.ReadFile(seen)
	if readErr != nil {
		t.Fatalf("sbatch was not started: %v, %v", err, readErr)
	}
	if text := "\n" + string(env); strings.Contains(text, "\nWANDB_RUN_ID=") || !strings.Contains(text, "\nWANDB_PROJECT=p\n") {
		t.Errorf("the job inherits %s", env)
	}
}
