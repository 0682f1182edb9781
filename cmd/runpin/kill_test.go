package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// TestKilledAtEveryStep kills the recorder with SIGKILL at growing delays, from before it has opened the store to after the command has ended. Afterwards the
// store verifies, every run in it is whole, and none is running: a run whose recorder is gone is lost until a late finish says otherwise.
func TestKilledAtEveryStep(t *testing.T) {
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "RUNPIN_STORE="+filepath.Join(dir, "runpin.db"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "RUNPIN_USER=k")
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	runpin := func(args ...string) ([]byte, int) {
		cmd := exec.CommandContext(t.Context(), "runpin", args...)
		cmd.Env, cmd.Dir = env, dir
		out, _ := cmd.Output()
		return out, cmd.ProcessState.ExitCode()
	}
	if _, code := runpin("record", "--no-code", "--", "true"); code != 0 {
		t.Fatalf("record: exit code %d", code)
	}
	for i := range 40 {
		cmd := exec.CommandContext(t.Context(), "runpin", "record", "--no-code", "--dataset", "d=data", "--output", "o=out.txt", "--", "sh", "-c", "sleep 0.03; echo done > out.txt")
		cmd.Env, cmd.Dir = env, dir
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 4 * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	time.Sleep(50 * time.Millisecond) // commands that outlived their recorder end
	if out, code := runpin("store", "check"); code != 0 {
		t.Errorf("store check: exit code %d\n%s", code, out)
	}
	out, code := runpin("list", "--json", "--limit", "0")
	if code != 0 {
		t.Fatalf("list: exit code %d", code)
	}
	var runs []schema.Run
	if err := json.Unmarshal(out, &runs); err != nil {
		t.Fatal(err)
	}
	counts := map[schema.Status]int{}
	for _, run := range runs {
		counts[run.Status]++
		switch {
		case run.Status == schema.Running || run.Status == schema.Planned:
			t.Errorf("run %s is %s although its recorder is dead", run.ID, run.Status)
		case run.Status == schema.Succeeded && len(run.DeclaredOutputs) == 1 && (len(run.Outputs) != 1 || run.Outputs[0].FileDigest == ""):
			t.Errorf("run %s ended without its output: half a report", run.ID)
		case len(run.DeclaredOutputs) == 1 && (len(run.Datasets) != 1 || run.Datasets[0].ContentDigest == ""):
			t.Errorf("run %s has half a plan", run.ID)
		}
	}
	t.Logf("%d runs of 40 killed ones: %v", len(runs)-1, counts)
	if counts[schema.Lost] == 0 {
		t.Error("no recorder was killed while its command ran: the delays no longer cover the run")
	}
	for _, run := range runs {
		if run.Status == schema.Lost {
			if _, code := runpin("finish", string(run.ID), "--status", "succeeded"); code != 0 {
				t.Errorf("a late finish of a lost run: exit code %d", code)
			}
			break
		}
	}
}
