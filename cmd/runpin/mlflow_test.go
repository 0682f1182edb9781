package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
)

// mlflowPython gives a Python that can import mlflow: $RUNPIN_TEST_MLFLOW, or the one that .ci/parts made.
func mlflowPython(t *testing.T) string {
	t.Helper()
	if python := os.Getenv("RUNPIN_TEST_MLFLOW"); python != "" {
		return python
	}
	_, python := fromVenv(t, "mlflow")
	return python
}

const mlflowTraining = `
import mlflow
with mlflow.start_run(run_name="outer") as run:
    mlflow.log_param("lr", 0.1)
    mlflow.log_metric("loss", 0.5, step=1)
    mlflow.log_metric("loss", 0.25, step=2)
    mlflow.log_metric("bad", float("nan"))
    with mlflow.start_run(nested=True):
        mlflow.log_metric("loss", 9)
`

// TestRealMLflow: the real client takes the tags over, what it logged is read back, and its store comes in as a history; kept in files and in a database.
func TestRealMLflow(t *testing.T) {
	python := mlflowPython(t)
	for _, kept := range []string{"mlruns", "mlflow.db"} {
		t.Run(kept, func(t *testing.T) {
			dir := t.TempDir()
			uri := "sqlite:///mlflow.db"
			if kept == "mlruns" {
				uri = "file:mlruns"
			}
			env := append(os.Environ(), "HOME="+dir, "RUNPIN_STORE="+filepath.Join(dir, "store", "s.db"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "RUNPIN_USER=m", "MLFLOW_TRACKING_URI="+uri,
				"MLFLOW_ALLOW_FILE_STORE=true", "MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet", "GIT_CONFIG_GLOBAL=/dev/null", `MLFLOW_RUN_CONTEXT={"team":"vision"}`)
			work := filepath.Join(dir, "work")
			run := func(program string, args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), program, args...)
				cmd.Dir, cmd.Env = work, env
				var errs strings.Builder
				cmd.Stderr = &errs
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s %v: %v\n%s", program, args, err, errs.String())
				}
				return string(out)
			}
			for name, content := range map[string]string{"train.py": mlflowTraining, "data.txt": "data"} {
				if err := os.MkdirAll(work, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			run("git", "init", "-q", ".")
			run("git", "add", ".")
			run("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "first")
			commit := strings.TrimSpace(run("git", "rev-parse", "HEAD"))
			run("runpin", "record", "--name", "one", "--dataset", "data=data.txt", "--", python, "train.py")

			show := func(name string) (r schema.Run) {
				t.Helper()
				if err := json.Unmarshal([]byte(run("runpin", "show", name, "--json")), &r); err != nil {
					t.Fatal(err)
				}
				return r
			}
			recorded := show("one")
			if diff := cmp.Diff(map[string]schema.Text{"loss": "0.25", "bad": "NaN"}, recorded.Metrics); diff != "" {
				t.Errorf("metrics: %s", diff)
			}
			id := recorded.Labels["mlflow.run_id"]
			if id == "" || len(recorded.Labels) != 1 {
				t.Fatalf("labels: %v, observations: %+v", recorded.Labels, recorded.Observations)
			}
			if got := show("mlflow:" + id[:8]); got.ID != recorded.ID {
				t.Errorf("mlflow:%s is %s", id[:8], got.ID)
			}
			var tags map[string]string
			if err := json.Unmarshal([]byte(run(python, "-c", "import json, sys, mlflow; print(json.dumps(mlflow.get_run(sys.argv[1]).data.tags))", id)), &tags); err != nil {
				t.Fatal(err)
			}
			for k, want := range map[string]string{"runpin.run_id": string(recorded.ID), "runpin.code.tree": string(recorded.Code[0].Tree), "runpin.code.dirty": "false", "mlflow.source.git.commit": commit,
				"runpin.dataset.data": string(recorded.Datasets[0].ContentDigest), "runpin.fingerprint": string(recorded.Fingerprint), "team": "vision"} {
				if tags[k] != want || want == "" {
					t.Errorf("tag %s is %q, want %q", k, tags[k], want)
				}
			}

			// Its nested run is the one that the store does not have yet; and it is a part of the recorded run.
			var report struct{ Runs, New, Recorded int }
			if err := json.Unmarshal([]byte(run("runpin", "import", "mlflow", kept, "--json")), &report); err != nil || report.Runs != 2 || report.New != 1 || report.Recorded != 1 {
				t.Errorf("%v: %+v", err, report)
			}
			if children := strings.Fields(run("runpin", "list", "-q", "--parent", string(recorded.ID))); len(children) != 1 {
				t.Errorf("%d children", len(children))
			} else if child := show(children[0]); child.Metrics["loss"] != "9.0" || child.Status != schema.Succeeded || string(child.Code[0].Commit) != commit {
				t.Errorf("%+v", child)
			}
		})
	}
}
