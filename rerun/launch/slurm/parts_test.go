//go:build linux

package slurm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/rerun/launch/slurm/slurmtest"
	"github.com/runpin/runpin/schema"
)

// told collects warnings.
type told struct {
	mu  sync.Mutex
	all []string
}

func (w *told) warn(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

func (w *told) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, "\n")
}

var runs struct {
	sync.Mutex
	n int
}

func newRun() schema.RunID {
	runs.Lock()
	defer runs.Unlock()
	runs.n++
	return schema.DeriveRunID(schema.At(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)), fmt.Sprint(runs.n))
}

// script gives a spec of a new run with a directory of its own.
func script(t *testing.T, text string) launch.Spec {
	return launch.Spec{Name: "train.sbatch", Data: []byte("#!/bin/sh\n" + text), Run: newRun(), Dir: t.TempDir()}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func submitted(t *testing.T, l *Launcher, spec launch.Spec) schema.Launched {
	t.Helper()
	job, err := l.Submit(bounded(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(context.Background(), job); err != nil {
			t.Error(err)
		}
	})
	return job
}

// TestSlurm is all that needs a real Slurm: to start one takes seconds.
func TestSlurm(t *testing.T) {
	s := slurmtest.Start(t, slurmtest.Nodes(2))
	s.Setenv(t)
	t.Run("launcher", func(t *testing.T) {
		launchtest.Launcher(t, launchtest.LauncherHarness{
			Launcher: New(Options{Interval: 100 * time.Millisecond, Args: []string{"--oversubscribe"}}),
			Job: func(t *testing.T) launch.Job {
				return launch.Job{Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH")}}
			},
			Directory: func(t *testing.T, job *launch.Job) string {
				job.Dir = filepath.Join(t.TempDir(), `a 'b' "c" $d`)
				if err := os.Mkdir(job.Dir, 0o755); err != nil {
					t.Fatal(err)
				}
				return job.Dir
			},
			Added: func(name string) bool {
				return strings.HasPrefix(name, "SLURM") || name == "PWD" || name == "TMPDIR" || name == "HOSTNAME" || name == "ENVIRONMENT" || name == "SHLVL" || name == "_"
			},
			Plain:   "/etc/passwd",
			Codes:   []int{0, 1, 53, 124, 125, 126, 127, 128, 255},
			NoStdin: "a job of Slurm's has no stdin",
		})
	})
	t.Run("batch", func(t *testing.T) { batchSuite(t, s) })
	t.Run("arrays", func(t *testing.T) { arrays(t) })
	t.Run("where the output goes", func(t *testing.T) { outputs(t) })
	t.Run("how jobs end", func(t *testing.T) { endings(t) })
	t.Run("requeued", func(t *testing.T) { requeued(t, s) })
	t.Run("directories that a node does not see", func(t *testing.T) { unseen(t) })
	t.Run("a submitter that is killed", func(t *testing.T) { found(t, s) })
	t.Run("reasons to wait", func(t *testing.T) { reasons(t) })
	t.Run("slurmctld is away", func(t *testing.T) { away(t, s) }) // the last, because it comes back in its own time
}

func batchSuite(t *testing.T, s *slurmtest.Cluster) {
	l := New(Options{})
	cluster, err := l.clusterName(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	jobs := func(spec launch.Spec, states string) string {
		out, err := s.Command(context.Background(), "squeue", "--me", "--noheader", "--states="+states, "--format=%i %T %k").Output()
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, string(spec.Run)) {
				found = append(found, line)
			}
		}
		return strings.Join(found, "")
	}
	launchtest.Batch(t, launchtest.BatchHarness{
		New: func(*testing.T) launch.Batch { return New(Options{Interval: 100 * time.Millisecond}) },
		Spec: func(t *testing.T, work launchtest.Work) launch.Spec {
			spec := script(t, "")
			source := filepath.Join(t.TempDir(), "output")
			if err := os.WriteFile(source, []byte(work.Output), 0o644); err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("cat %s\n", source)
			if work.Hold {
				text += "while ! [ -e release ]; do sleep 0.1; done\n"
			}
			spec.Data = fmt.Appendf(spec.Data, "%sexit %d\n", text, work.Code)
			return spec
		},
		Release: func(t *testing.T, spec launch.Spec) {
			if err := os.WriteFile(filepath.Join(spec.Dir, "release"), nil, 0o644); err != nil {
				t.Error(err)
			}
		},
		Left: func(t *testing.T, spec launch.Spec) []string {
			left, _ := filepath.Glob(filepath.Join(spec.Dir, "*runpin*"))
			return left
		},
		Running: func(_ *testing.T, spec launch.Spec) bool {
			return jobs(spec, "PENDING,RUNNING,COMPLETING,SUSPENDED") != ""
		},
		Refused: func(t *testing.T) launch.Spec { return script(t, "#SBATCH --partition=none\necho x\n") },
		Unfollowable: func(t *testing.T) []launch.Spec {
			all := []launch.Spec{
				script(t, "#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n1\necho x\n"), script(t, "#SBATCH -M other\necho x\n"), script(t, "#SBATCH --test-only\necho x\n"),
				script(t, "#SBATCH --array=x\necho x\n"), script(t, "echo x\r\n"), script(t, "#SBATCH -HW\necho x\n"), {Name: "x", Run: newRun(), Data: []byte("echo x\n")},
			}
			return append(all, launch.Spec{Name: "x", Run: newRun(), Dir: "/tmp/100%", Data: all[0].Data[:10]})
		},
		Gone: schema.Launched{On: "slurm", Job: "987654", Place: cluster},
	})
}

func arrays(t *testing.T) {
	l := New(Options{})
	job := submitted(t, l, script(t, "#SBATCH --array=0-4%2\nfor i in 1 2 3; do echo \"$SLURM_ARRAY_TASK_ID line $i\"; done; [ $SLURM_ARRAY_TASK_ID = 3 ] && kill -9 $$; exit $SLURM_ARRAY_TASK_ID\n"))
	var out strings.Builder
	outcome, err := l.Wait(bounded(t), job, &out)
	if err != nil || outcome.Exit != (launch.Exit{Code: 137, Signal: "SIGKILL"}) || !strings.HasPrefix(outcome.Why, "4 of the 5 tasks of job "+job.Job) {
		t.Errorf("%+v %v", outcome, err)
	}
	for task := range 5 {
		var lines []string
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, fmt.Sprint(task)) {
				lines = append(lines, line)
			}
		}
		if want := fmt.Sprintf("%[1]d line 1\n%[1]d line 2\n%[1]d line 3\n", task); strings.Join(lines, "") != want {
			t.Errorf("task %d prints %q", task, lines)
		}
	}
	// One that is cancelled before all its tasks have begun.
	job = submitted(t, l, script(t, "#SBATCH --array=0-99%1\nsleep 60\n"))
	if err := l.Stop(bounded(t), job); err != nil {
		t.Fatal(err)
	}
	if outcome, err := l.Wait(bounded(t), job, nil); err != nil || outcome.Exit.Code == 0 {
		t.Errorf("%+v %v", outcome, err)
	}
}

// The script's own --output and --error are followed, whatever Slurm replaces in them; an original's is not written over.
func outputs(t *testing.T) {
	for _, directives := range []string{
		"-o out.txt", "--output=%x-%j.out", "--output %A_%a-%u-%n-%t.log", "-o sub/%5j.%%.out", "-o with\\%j", "-o out.txt -e err.txt", "-o %N.out --error=%j.err", "-J 'a b\tc' -o '%x.out'", "--open-mode=append -o out.txt",
		"--chdir=sub -o here.txt",
	} {
		spec := script(t, "#SBATCH "+directives+"\necho to stdout; echo to stderr >&2; exit 3\n")
		if err := os.Mkdir(filepath.Join(spec.Dir, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		var w told
		l := New(Options{Warn: w.warn, Settle: 2 * time.Second})
		job := submitted(t, l, spec)
		var out strings.Builder
		outcome, err := l.Wait(bounded(t), job, &out)
		if err != nil || outcome.Exit.Code != 3 || !strings.Contains(out.String(), "to stdout\n") || !strings.Contains(out.String(), "to stderr\n") || out.Len() != 20 {
			if !strings.Contains(directives, "%N") || !strings.Contains(w.String(), "does not show up") { // the node's name is not its host's here
				t.Errorf("%s: %+v %v %q %s", directives, outcome, err, out.String(), &w)
			}
		}
		if err := l.Remove(bounded(t), job); err != nil {
			t.Error(err)
		}
		if files, _ := os.ReadDir(spec.Dir); len(files) < 2 {
			t.Errorf("%s: the script's own output was removed", directives)
		}
	}
	original := filepath.Join(t.TempDir(), "train.log")
	if err := os.WriteFile(original, []byte("of the original\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := New(Options{})
	spec := script(t, "#SBATCH --output="+original+"\n#SBATCH -e "+original+"\necho new\n")
	if lines, err := l.Plan(spec); err != nil || !strings.Contains(strings.Join(lines, "\n"), "the file is there already") {
		t.Errorf("%q %v", lines, err)
	}
	job := submitted(t, l, spec)
	var out strings.Builder
	if outcome, err := l.Wait(bounded(t), job, &out); err != nil || outcome.Exit.Code != 0 || out.String() != "new\n" {
		t.Errorf("%+v %v %q", outcome, err, out.String())
	}
	if text, err := os.ReadFile(original); err != nil || string(text) != "of the original\n" {
		t.Errorf("the original's output is %q", text)
	}
	// A directory of its own.
	files := t.TempDir()
	l = New(Options{Files: files})
	spec = script(t, "pwd\n")
	spec.Dir = ""
	job = submitted(t, l, spec)
	out.Reset()
	if _, err := l.Wait(bounded(t), job, &out); err != nil || out.String() != filepath.Join(files, "runpin-"+string(spec.Run))+"\n" {
		t.Errorf("%q %v", out.String(), err)
	}
	if err := New(Options{}).Remove(bounded(t), job); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(files); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

func endings(t *testing.T) {
	l := New(Options{})
	for text, want := range map[string]launch.Outcome{
		"kill -9 $$\n":                      {Exit: launch.Exit{Code: 137, Signal: "SIGKILL"}, Why: "FAILED"},
		"#SBATCH --wait\nexit 5\n":          {Exit: launch.Exit{Code: 5}, Why: "FAILED"},
		"scancel $SLURM_JOB_ID; sleep 60\n": {Exit: launch.Exit{Code: 143, Signal: "SIGTERM"}, Why: "CANCELLED"},
		"trap 'exit 0' TERM; scancel $SLURM_JOB_ID; while :; do sleep 0.1; done\n": {Exit: launch.Exit{Code: 1}, Why: "CANCELLED"},
		"scontrol update JobId=$SLURM_JOB_ID EndTime=now-1minutes; sleep 100\n":    {Exit: launch.Exit{Code: 143, Signal: "SIGTERM"}, Why: "TIMEOUT"},
	} {
		job := submitted(t, l, script(t, text))
		outcome, err := l.Wait(bounded(t), job, nil)
		if err != nil || outcome.Exit != want.Exit && outcome.Exit.Code != 1 || outcome.Exit.Code == 0 || !strings.Contains(outcome.Why, "job "+job.Job+": "+want.Why) {
			t.Errorf("%s%+v %v, want %+v", text, outcome, err, want)
		}
	}
}

// A job that is requeued goes on under its id; its output begins anew.
func requeued(t *testing.T, s *slurmtest.Cluster) {
	spec := script(t, "#SBATCH --requeue\necho \"try ${SLURM_RESTART_COUNT:-0}\"; [ -n \"$SLURM_RESTART_COUNT\" ] && exit 4; touch first; sleep 100\n")
	l := New(Options{})
	job := submitted(t, l, spec)
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for range 600 {
			if _, err := os.Stat(filepath.Join(spec.Dir, "first")); err == nil {
				s.Scontrol(t, "requeue", job.Job)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Error("it does not start")
	}()
	var out strings.Builder
	outcome, err := l.Wait(bounded(t), job, &out)
	<-seen
	if err != nil || outcome.Exit.Code != 4 || !strings.Contains(out.String(), "try 0\n") || !strings.HasSuffix(out.String(), "try 1\n") {
		t.Errorf("%+v %v %q", outcome, err, out.String())
	}
}

// A directory that is here and not on the node: here and there are one machine, so that it is taken away while the job waits.
func unseen(t *testing.T) {
	spec := script(t, "#SBATCH --hold\n#SBATCH --output="+filepath.Join(t.TempDir(), "elsewhere.out")+"\npwd\n")
	l := New(Options{Settle: time.Second})
	job := submitted(t, l, spec)
	if err := os.Remove(spec.Dir); err != nil {
		t.Fatal(err)
	}
	release := func(id string) {
		if _, err := l.ask(bounded(t), patience, "scontrol", "release", id); err != nil {
			t.Error(err)
		}
	}
	release(job.Job)
	if _, err := l.Wait(bounded(t), job, nil); schema.KindOf(err) != schema.Drift || !strings.Contains(err.Error(), "does not see its directory "+spec.Dir) {
		t.Error(err)
	}
	spec = script(t, "#SBATCH --hold\necho it runs\n")
	job = submitted(t, l, spec)
	if err := os.Remove(spec.Dir); err != nil {
		t.Fatal(err)
	}
	release(job.Job)
	if outcome, err := l.Wait(bounded(t), job, nil); err != nil || outcome.Exit.Code != 125 || !strings.Contains(outcome.Why, "could not open its output file") {
		t.Errorf("%+v %v", outcome, err)
	}
	// A command: its directory is there, and not the one that it was given.
	command := launch.Job{Argv: []string{"sh", "-c", "echo it runs"}, Dir: t.TempDir()}
	moved := command.Dir + ".moved"
	var w told
	l = New(Options{Settle: time.Second, Args: []string{"--hold"}, Interval: 100 * time.Millisecond, Warn: func(format string, args ...any) {
		w.warn(format, args...)
		if err := os.Rename(command.Dir, moved); err == nil { // told that it is held
			if err := os.Mkdir(command.Dir, 0o755); err != nil {
				t.Error(err)
			}
			release(strings.Fields(w.String())[1])
		}
	}})
	var out strings.Builder
	command.Stdout = &out
	_, err := l.Launch(bounded(t), command)
	if start, ok := err.(*launch.StartError); !ok || start.Code != 125 || schema.KindOf(err) != schema.Invalid || !strings.Contains(err.Error(), "does not see it") || out.Len() > 0 {
		t.Errorf("%v %q", err, out.String())
	}
}

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
	if _, err := impatient.Submit(bounded(t), script(t, "exit 0\n")); schema.KindOf(err) != schema.Unavailable {
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
