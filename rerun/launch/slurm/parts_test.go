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
	t.Run("a process that waits is killed", func(t *testing.T) { killed(t, s) })
	t.Run("commands that never run", func(t *testing.T) { neverRun(t, s) })
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

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "-as-waiter" {
		outcome, err := New(Options{}).Wait(context.Background(), schema.Launched{On: "slurm", Job: os.Args[2], Place: os.Args[3]}, os.Stdout)
		fmt.Println(outcome, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}
