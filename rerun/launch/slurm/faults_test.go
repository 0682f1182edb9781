//go:build linux

package slurm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/rerun/launch/slurm/slurmtest"
	"github.com/runpin/runpin/schema"
)

// The submitter is killed before it can say which job it made, or sbatch does not say it: the job is found by its comment.
func found(t *testing.T, s *slurmtest.Cluster) {
	real, err := New(Options{}).look("sbatch")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []string{"exit 1", "kill -9 $$", "echo garbage", "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1"} {
		l := New(Options{Path: programs(t, map[string]string{"sbatch": fmt.Sprintf("%s \"$@\" >/dev/null; %s", real, fault)}) + ":" + os.Getenv("PATH")})
		spec := script(t, "exit 5\n")
		job := submitted(t, l, spec)
		if outcome, err := l.Wait(bounded(t), job, nil); err != nil || outcome.Exit.Code != 5 {
			t.Errorf("%s: %+v %v", fault, outcome, err)
		}
		out, err := s.Command(t.Context(), "squeue", "--me", "--states=all", "-h", "-o", "%i %k").Output()
		if err != nil || !strings.Contains(string(out), job.Job+" runpin.dev/run="+string(spec.Run)) {
			t.Errorf("squeue says %v %s", err, out)
		}
	}
	// It is cancelled while sbatch runs: the job that there is by then is taken back.
	ctx, cancel := context.WithCancel(bounded(t))
	dir := t.TempDir()
	l := New(Options{Path: programs(t, map[string]string{"sbatch": fmt.Sprintf("touch %s/now; sleep 1; exec %s \"$@\"", dir, real)}) + ":" + os.Getenv("PATH")})
	go func() {
		defer cancel()
		for range 600 {
			if _, err := os.Stat(filepath.Join(dir, "now")); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	spec := script(t, "sleep 100\n")
	if _, err := l.Submit(ctx, spec); schema.KindOf(err) != schema.Interrupted {
		t.Error(err)
	}
	out, err := s.Command(t.Context(), "squeue", "--me", "--states=all", "-h", "-o", "%i %T %k").Output()
	if err != nil || !strings.Contains(string(out), "CANCELLED runpin.dev/run="+string(spec.Run)) {
		t.Errorf("squeue says %v %s", err, out)
	}
}

// The job outlives a process that waits for it and is killed; another process waits on.
func killed(t *testing.T, s *slurmtest.Cluster) {
	spec := script(t, "echo begun; while ! [ -e release ]; do sleep 0.1; done; echo released; exit 6\n")
	job := submitted(t, New(Options{}), spec)
	waiter := exec.Command(os.Args[0], "-as-waiter", job.Job, job.Place)
	waiter.Stdout = launchtest.OnOutput("begun\n", func() { waiter.Process.Kill() })
	waiter.Stderr = os.Stderr
	if err := waiter.Run(); err == nil || waiter.ProcessState.ExitCode() != -1 {
		t.Fatalf("it was not killed: %v %v", err, waiter.Stdout)
	}
	if out, err := s.Command(t.Context(), "squeue", "-h", "-j", job.Job, "-o", "%T").Output(); err != nil || string(out) != "RUNNING\n" {
		t.Fatalf("the job does not go on: %q %v", out, err)
	}
	second := exec.Command(os.Args[0], "-as-waiter", job.Job, job.Place)
	out := launchtest.OnOutput("begun\n", func() {
		if err := os.WriteFile(filepath.Join(spec.Dir, "release"), nil, 0o644); err != nil {
			t.Error(err)
		}
	})
	second.Stdout, second.Stderr = out, os.Stderr
	if err := second.Run(); err != nil || !strings.HasPrefix(out.String(), "begun\nreleased\n{{6 }") {
		t.Errorf("%v %q", err, out.String())
	}
}

func neverRun(t *testing.T, s *slurmtest.Cluster) {
	l := New(Options{})
	for _, job := range []launch.Job{{}, {Argv: []string{""}}, {Argv: []string{"-x"}}, {Argv: []string{"sh", "a\x00b"}}, {Argv: []string{"sh"}, Env: []string{"A=\x00"}}, {Argv: []string{"sh"}, Image: "x"},
		{Argv: []string{"sh"}, Mounts: []launch.Mount{{}}}, {Argv: []string{"sh"}, Dir: "/etc/passwd"}, {Argv: []string{"a=b"}, Env: []string{"odd.name=1"}}} {
		job.Started = func(int) { t.Error("started") }
		_, err := l.Launch(bounded(t), job)
		if start, ok := err.(*launch.StartError); !ok || start.Code != 125 || schema.KindOf(err) != schema.Invalid {
			t.Errorf("%q: %v", job.Argv, err)
		}
	}
	// One whose context ends while it waits is taken back.
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	dir := t.TempDir()
	l = New(Options{Args: []string{"--hold"}, Warn: func(string, ...any) { cancel() }})
	_, err := l.Launch(ctx, launch.Job{Argv: []string{"sh"}, Dir: dir, Env: []string{"RUNPIN_RUN_ID=01M8H29CMFAMZH478YSVSA2X1C", "PATH=/bin"}})
	if start, ok := err.(*launch.StartError); !ok || start.Code != 125 || schema.KindOf(err) != schema.Interrupted {
		t.Error(err)
	}
	out, err := s.Command(t.Context(), "squeue", "-h", "--states=all", "-o", "%T %k").Output()
	if err != nil || !strings.Contains(string(out), "CANCELLED runpin.dev/run=01M8H29CMFAMZH478YSVSA2X1C") {
		t.Errorf("%v %s", err, out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

func reasons(t *testing.T) {
	var w told
	l := New(Options{Warn: w.warn, Interval: 100 * time.Millisecond})
	first := submitted(t, l, script(t, "exit 1\n"))
	if _, err := l.Wait(bounded(t), first, nil); err != nil {
		t.Fatal(err)
	}
	job := submitted(t, l, script(t, "#SBATCH --hold\nexit 1\n"))
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	waited := make(chan error, 1)
	go func() {
		_, err := l.Wait(ctx, job, nil)
		waited <- err
	}()
	for range 600 {
		if strings.Contains(w.String(), "JobHeldUser") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	if err := <-waited; schema.KindOf(err) != schema.Interrupted || strings.Count(w.String(), "job "+job.Job+" waits, and Slurm's reason is JobHeldUser") != 1 {
		t.Errorf("%v %q", err, w.String())
	}
	if err := l.Stop(bounded(t), job); err != nil {
		t.Error(err)
	}
	if outcome, err := l.Wait(bounded(t), job, nil); err != nil || outcome.Exit.Code != 1 || !strings.Contains(outcome.Why, "CANCELLED") {
		t.Errorf("%+v %v", outcome, err)
	}
}

// Whoever waits bears with a slurmctld that is away for a while, and learns how the job ended meanwhile.
func away(t *testing.T, s *slurmtest.Cluster) {
	var w told
	l := New(Options{Warn: w.warn, Interval: 100 * time.Millisecond})
	spec := script(t, "echo begun; while ! [ -e release ]; do sleep 0.1; done; echo done; exit 6\n")
	job := submitted(t, l, spec)
	var out strings.Builder
	done := make(chan launch.Outcome, 1)
	go func() {
		outcome, err := l.Wait(bounded(t), job, &out)
		if err != nil {
			t.Error(err)
		}
		done <- outcome
	}()
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 1200 {
			if ok() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("in vain: %s; %s", what, &w)
	}
	until("it runs", func() bool {
		files, _ := filepath.Glob(filepath.Join(spec.Dir, "runpin-*"))
		return len(files) > 0
	})
	s.StopController(t)
	until("that is told", func() bool { return strings.Contains(w.String(), "does not answer") })
	impatient := New(Options{Patience: time.Millisecond, Interval: time.Millisecond})
	if _, err := impatient.Wait(bounded(t), job, nil); schema.KindOf(err) != schema.Unavailable || !strings.Contains(err.Error(), "the job may go on") {
		t.Error(err)
	}
	if err := impatient.Probe(bounded(t), launch.Spec{}); schema.KindOf(err) != schema.Unavailable {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(spec.Dir, "release"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.StartController(t)
	if outcome := <-done; outcome.Exit.Code != 6 || out.String() != "begun\ndone\n" || !strings.Contains(w.String(), "answers again") {
		t.Errorf("%+v %q %s", outcome, out.String(), &w)
	}
}
