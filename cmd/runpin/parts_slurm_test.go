package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch/slurm/slurmtest"
)

// slurmCluster is a real Slurm on this machine alone.
type slurmCluster = slurmtest.Cluster

// startSlurm starts a cluster of that many nodes with four processors each, and stops it when the test ends.
func startSlurm(t testing.TB, nodes int) *slurmCluster {
	t.Helper()
	return slurmtest.Start(t, slurmtest.Nodes(nodes))
}

func TestPartsSlurm(t *testing.T) {
	s := startSlurm(t, 2)
	dir := t.TempDir()
	script := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	lines := func(file string) []string {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Split(strings.TrimSpace(string(text)), "\n")
		all = slices.DeleteFunc(all, func(line string) bool { return strings.HasPrefix(line, "slurmstepd") }) // that the job was requeued
		slices.Sort(all)
		return all
	}
	equal := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}

	// Several tasks on several nodes; the batch script's exit code is sbatch's.
	job, code := s.Sbatch(t, dir, []string{"GREETING=hello"}, "--nodes=2", "--ntasks=4", "--output=tasks.txt",
		script("tasks.sh", `srun sh -c 'echo $GREETING $SLURM_PROCID on $SLURMD_NODENAME'; exit 7`))
	equal("tasks", lines("tasks.txt"), "hello 0 on node0", "hello 1 on node0", "hello 2 on node1", "hello 3 on node1")
	if said := s.Scontrol(t, "show", "job", job, "--oneliner"); code != 7 || !strings.Contains(said, "JobState=FAILED") || !strings.Contains(said, "ExitCode=7:0") {
		t.Errorf("exit code %d, want 7; %s", code, said)
	}

	// An array is as many jobs.
	if _, code = s.Sbatch(t, dir, nil, "--array=0-2", "--output=array-%a.txt", script("array.sh", `echo $SLURM_ARRAY_TASK_ID; exit $SLURM_ARRAY_TASK_ID`)); code != 2 {
		t.Errorf("array: exit code %d, want the highest, 2", code)
	}
	for i := range 3 {
		equal("member", lines(fmt.Sprintf("array-%d.txt", i)), fmt.Sprint(i))
	}

	// A requeued job starts again from the top, under the same id, and counts.
	job, code = s.Sbatch(t, dir, nil, "--requeue", "--open-mode=append", "--output=requeue.txt",
		script("requeue.sh", `echo "restart ${SLURM_RESTART_COUNT:-none}"; [ -n "$SLURM_RESTART_COUNT" ] || { scontrol requeue $SLURM_JOB_ID; sleep 60; }`))
	said := slices.DeleteFunc(lines("requeue.txt"), func(line string) bool { return !strings.HasPrefix(line, "restart ") }) // the shell may tell that it was terminated
	equal("requeued", said, "restart 1", "restart none")
	if shown := s.Scontrol(t, "show", "job", job, "--oneliner"); code != 0 || !strings.Contains(shown, "Restarts=1") {
		t.Errorf("requeued: exit code %d; %s", code, shown)
	}
}
