//go:build linux

package slurm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/rerun/launch/slurm/slurmtest"
	"github.com/runpin/runpin/schema"
)

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
		here, _ := filepath.Glob(filepath.Join(spec.Dir, "*"))
		below, _ := filepath.Glob(filepath.Join(spec.Dir, "sub", "*"))
		if len(here)+len(below) < 2 {
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
		"kill -9 $$\n":                           {Exit: launch.Exit{Code: 137, Signal: "SIGKILL"}, Why: "FAILED"},
		"#SBATCH --wait\nexit 5\n":               {Exit: launch.Exit{Code: 5}, Why: "FAILED"},
		"scancel $SLURM_JOB_ID; exec sleep 60\n": {Exit: launch.Exit{Code: 143, Signal: "SIGTERM"}, Why: "CANCELLED"},
		"trap 'exit 0' TERM; scancel $SLURM_JOB_ID; while :; do sleep 0.1; done\n":   {Exit: launch.Exit{Code: 1}, Why: "CANCELLED"},
		"trap '' TERM; scancel $SLURM_JOB_ID; while :; do sleep 0.1; done\n":         {Exit: launch.Exit{Code: 137, Signal: "SIGKILL"}, Why: "CANCELLED"},
		"scontrol update JobId=$SLURM_JOB_ID EndTime=now+1seconds; exec sleep 100\n": {Exit: launch.Exit{Code: 143, Signal: "SIGTERM"}, Why: "TIMEOUT"},
	} {
		job := submitted(t, l, script(t, text))
		outcome, err := l.Wait(bounded(t), job, nil)
		if err != nil || outcome.Exit != want.Exit || !strings.Contains(outcome.Why, "job "+job.Job+": "+want.Why) {
			t.Errorf("%s%+v %v, want %+v", text, outcome, err, want)
		}
	}
}

// A job that is requeued goes on under its id; its output begins anew.
func requeued(t *testing.T, s *slurmtest.Cluster) {
	spec := script(t, "#SBATCH --requeue\necho \"try ${SLURM_RESTART_COUNT:-0}\"; [ -n \"$SLURM_RESTART_COUNT\" ] && exit 4; sleep 100\n")
	l := New(Options{})
	job := submitted(t, l, spec)
	out := launchtest.OnOutput("try 0\n", func() { s.Scontrol(t, "requeue", job.Job) })
	outcome, err := l.Wait(bounded(t), job, out)
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
