//go:build unix

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// killWorld is a checkout with changes, data that is linked and data that is copied, and a store, for reruns that are killed.
type killWorld struct {
	t    *testing.T
	dir  string
	env  []string
	runs map[schema.RunID]bool // known before
}

func newKillWorld(t *testing.T, env ...string) *killWorld {
	w := &killWorld{t: t, dir: t.TempDir(), runs: map[schema.RunID]bool{}}
	w.env = append(append(os.Environ(), gitEnv()...), "HOME="+w.dir, "RUNPIN_STORE="+filepath.Join(w.dir, "runpin.db"), "XDG_CACHE_HOME="+filepath.Join(w.dir, "cache"), "RUNPIN_USER=k", "RUNPIN_RETRY_BUDGET=5s")
	w.env = append(w.env, env...)
	w.write("project/train.sh", "cat inside/x ../data-beside-it/y changed.txt > inside/model.txt\n")
	w.write("project/.gitignore", "inside/\n")
	runGit(t, w.dir, "init", "--quiet", "--initial-branch=main", "project")
	runGit(t, filepath.Join(w.dir, "project"), "add", "-A")
	runGit(t, filepath.Join(w.dir, "project"), "commit", "--quiet", "--message", "train")
	w.write("project/changed.txt", "not committed\n")
	w.write("project/inside/x", strings.Repeat("x\n", 1<<20))
	w.write("data-beside-it/y", "y\n")
	return w
}

func (w *killWorld) write(path, content string) {
	w.t.Helper()
	full := filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *killWorld) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), "runpin", args...)
	cmd.Dir, cmd.Env = filepath.Join(w.dir, "project"), append(slices.Clip(w.env), env...)
	cmd.WaitDelay = time.Second // a command that outlives runpin may hold the pipes
	return cmd
}

// runpin runs the program to its end.
func (w *killWorld) runpin(args ...string) (code int, out string) {
	w.t.Helper()
	cmd := w.command(nil, args...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

func (w *killWorld) list() []schema.Run {
	w.t.Helper()
	cmd := w.command(nil, "list", "--json", "--limit", "0")
	out, err := cmd.Output()
	var runs []schema.Run
	if err == nil {
		err = json.Unmarshal(out, &runs)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return runs
}

// remember takes all runs that there are for known.
func (w *killWorld) remember() {
	for _, run := range w.list() {
		w.runs[run.ID] = true
	}
}

// fresh gives the runs that are not known.
func (w *killWorld) fresh() []schema.Run {
	return slices.DeleteFunc(w.list(), func(run schema.Run) bool { return w.runs[run.ID] })
}

// await waits until a file is there, which the process that is started makes.
func (w *killWorld) await(path string, cmd *exec.Cmd, said *lockedBuffer) {
	w.t.Helper()
	for range 6000 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("%s was never made:\n%s", filepath.Base(path), said)
}

// stopAt starts runpin, sends it the signal when it has come to the stage, and gives its exit code (-1 when it was killed) and what it said.
func (w *killWorld) stopAt(stage string, signal syscall.Signal, args ...string) (code int, out string) {
	w.t.Helper()
	reached := filepath.Join(w.dir, "reached-"+stage)
	_ = os.Remove(reached)
	cmd := w.command([]string{"RUNPIN_TEST_STALL=" + stage + " " + reached, "REACHED=" + reached}, args...)
	said := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.await(reached, cmd, said)
	if err := cmd.Process.Signal(signal); err != nil {
		w.t.Fatal(err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), said.String()
}

func (w *killWorld) storeIsWhole() {
	w.t.Helper()
	if code, out := w.runpin("store", "check"); code != 0 {
		w.t.Errorf("store check: exit code %d\n%s", code, out)
	}
}

// leftovers finds what only an unfinished restore has.
func leftovers(t *testing.T, dir string) (found []string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if name := filepath.Base(path); err == nil && path != dir && (strings.HasPrefix(name, ".runpin-") && name != ".runpin-rerun.json") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// TestRerunKilledAtEveryStage kills a rerun with SIGKILL at each stage. Afterwards the store is whole; nothing half restored is taken for restored, and the same
// command goes on from there; a run whose rerun was killed is lost, or was never begun.
func TestRerunKilledAtEveryStage(t *testing.T) {
	w := newKillWorld(t)
	if code, out := w.runpin("record", "--name", "one", "--dataset", "inside=inside", "--dataset", "data=../data-beside-it", "--output", "model=inside/model.txt", "--", "sh", "train.sh"); code != 0 {
		t.Fatalf("record: exit code %d\n%s", code, out)
	}
	_ = os.Remove(filepath.Join(w.dir, "project/inside/model.txt")) // the original changed its own data: the verdict says so, and that is all it can say
	w.remember()
	for _, c := range []struct {
		stage string
		begun bool          // the new run is written down
		ends  schema.Status // of the new run
	}{
		{"preflight", false, ""}, {"code", false, ""}, {"copying", false, ""}, {"placed", false, ""}, {"restored", false, ""},
		{"hashing", true, schema.Lost}, {"verdict", true, schema.Succeeded},
	} {
		t.Run(c.stage, func(t *testing.T) {
			w := *w
			w.t = t
			dir := filepath.Join(w.dir, "again-"+c.stage)
			args := []string{"rerun", "one", "--execute", "--workdir", dir}
			if code, out := w.stopAt(c.stage, syscall.SIGKILL, args...); code != -1 {
				t.Fatalf("it was not killed: exit code %d\n%s", code, out)
			}
			w.storeIsWhole()
			fresh := w.fresh()
			var copied os.FileInfo
			if c.stage == "placed" {
				copied, _ = os.Stat(filepath.Join(dir, "code/inside/x"))
			}
			code, out := w.runpin(args...)
			if !c.begun {
				if len(fresh) != 0 {
					t.Errorf("%d runs were begun", len(fresh))
				}
				if code != exitNotComparable || !strings.Contains(out, "changed while the original used it") {
					t.Errorf("going on: exit code %d\n%s", code, out)
				}
				if again := w.fresh(); len(again) != 1 || again[0].Status != schema.Succeeded || again[0].Outputs[0].FileDigest == "" {
					t.Errorf("going on gave %+v", again)
				}
				if left := leftovers(t, dir); len(left) > 0 {
					t.Errorf("left over: %q", left)
				}
				if now, err := os.Stat(filepath.Join(dir, "code/inside/x")); c.stage == "placed" && (copied == nil || err != nil || !os.SameFile(copied, now)) {
					t.Errorf("what was copied whole was copied again: %v", err)
				}
				w.remember()
				code, out = w.runpin(args...)
			} else if len(fresh) != 1 || fresh[0].Status != c.ends || fresh[0].RerunOf == "" || fresh[0].Verdict != nil {
				t.Errorf("the new run: %+v", fresh)
			}
			if code != exitConflict || !strings.Contains(out, "it was restored, and run as") {
				t.Errorf("a directory that was run in: exit code %d\n%s", code, out)
			}
			if c.begun {
				if code, out := w.runpin("verify", string(fresh[0].ID)); code != exitNotComparable {
					t.Errorf("verify: exit code %d\n%s", code, out)
				}
			}
			w.remember()
		})
	}
}

// TestRerunIsStopped: SIGTERM ends a rerun at any stage with exit code 130. What was restored is taken back, and a command that ran is recorded as stopped.
func TestRerunIsStopped(t *testing.T) {
	w := newKillWorld(t)
	if code, out := w.runpin("record", "--name", "one", "--dataset", "data=../data-beside-it", "--output", "model.txt", "--", "sh", "-c",
		`cat ../data-beside-it/y > model.txt; [ -z "$REACHED" ] || { touch "$REACHED"; exec sleep 600; }`); code != 0 {
		t.Fatalf("record: exit code %d\n%s", code, out)
	}
	w.remember()
	for _, stage := range []string{"code", "placed", "restored"} {
		dir := filepath.Join(w.dir, "stopped-"+stage)
		if code, out := w.stopAt(stage, syscall.SIGTERM, "rerun", "one", "--execute", "--workdir", dir); code != exitInterrupted {
			t.Errorf("%s: exit code %d\n%s", stage, code, out)
		}
		if fresh := w.fresh(); len(fresh) != 0 {
			t.Errorf("%s: a run was begun: %+v", stage, fresh)
		}
		if _, err := os.Stat(dir); stage != "restored" && !os.IsNotExist(err) {
			t.Errorf("%s: the directory is still there", stage)
		}
	}
	if code, out := w.runpin("record", "--name", "two", "--", "true"); code != 0 {
		t.Fatalf("record: exit code %d\n%s", code, out)
	}
	w.remember()
	for _, args := range [][]string{{"rerun", "one", "--execute"}, {"rerun", "one", "two", "--execute"}} {
		code, out := w.stopAt("running", syscall.SIGTERM, args...)
		fresh := w.fresh()
		if code != exitInterrupted || len(fresh) != 1 {
			t.Fatalf("%q: exit code %d, runs %+v\n%s", args, code, fresh, out)
		}
		if run := fresh[0]; run.Status != schema.Failed || run.Signal != "SIGTERM" || !strings.Contains(run.Why, "interrupted") || run.Verdict != nil || !strings.Contains(out, string(run.ID)) {
			t.Errorf("%q: recorded as %s %s %q\n%s", args, run.Status, run.Signal, run.Why, out)
		}
		if len(args) == 4 && !strings.Contains(out, "of 2 runs: 1 interrupted, 1 not started") {
			t.Errorf("%q does not say what was not started:\n%s", args, out)
		}
		w.remember()
	}
}

// TestRerunLeavesNothingUnnamed kills a rerun while its command runs: the run is lost, and show names the process that goes on.
func TestRerunLeavesNothingUnnamed(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("this system does not show the environment of processes")
	}
	w := newKillWorld(t)
	if code, out := w.runpin("record", "--name", "one", "--output", "model.txt", "--", "sh", "-c",
		`echo m > model.txt; [ -z "$REACHED" ] || { touch "$REACHED"; exec sleep 600; }`); code != 0 {
		t.Fatalf("record: exit code %d\n%s", code, out)
	}
	w.remember()
	w.stopAt("running", syscall.SIGKILL, "rerun", "one", "--execute")
	w.storeIsWhole()
	fresh := w.fresh()
	if len(fresh) != 1 || fresh[0].Status != schema.Lost {
		t.Fatalf("%+v", fresh)
	}
	_, out := w.runpin("show", string(fresh[0].ID))
	left := regexp.MustCompile(`left +process \d+ \(sleep\); kill (\d+) stops it`).FindStringSubmatch(out)
	if left == nil {
		t.Fatalf("the process is not named:\n%s", out)
	}
	if b, err := exec.Command("kill", left[1]).CombinedOutput(); err != nil {
		t.Fatalf("kill: %v\n%s", err, b)
	}
	for range 500 {
		if _, out = w.runpin("show", string(fresh[0].ID)); !strings.Contains(out, "left ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("it is still named:\n%s", out)
}
