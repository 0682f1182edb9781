package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch/launchtest"
)

// fromVenv gives a program of the virtual environment that .ci/parts makes (mlflow, papermill), and that environment's python.
func fromVenv(t testing.TB, program string) (path, python string) {
	t.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, ".cache")
	}
	bin := filepath.Join(cache, "runpin-parts", "mlflow", "bin")
	// "installed" is written last: what was stopped in the middle is not there.
	if _, err := os.Stat(filepath.Join(bin, "..", "installed")); err == nil {
		if path, err := exec.LookPath(filepath.Join(bin, program)); err == nil {
			return path, filepath.Join(bin, "python")
		}
	}
	launchtest.Missing(t, program, "is not in "+bin+" (.ci/parts installs it on Debian)")
	return "", ""
}

// startMLflow starts MLflow's tracking server over a SQLite file in dir and gives its address.
func startMLflow(t testing.TB, dir string) (url string) {
	t.Helper()
	mlflow, _ := fromVenv(t, "mlflow")
	var err error
	for range 3 { // Another process may take the port between our look and the start.
		if url, err = tryMLflow(t, mlflow, dir); err == nil {
			return url
		}
	}
	t.Fatalf("mlflow server did not start: %v", err)
	return ""
}

func tryMLflow(t testing.TB, mlflow, dir string) (string, error) {
	addr := freePort(t)
	host, port, _ := strings.Cut(addr, ":")
	log := new(lockedBuffer)
	cmd := exec.Command(mlflow, "server", "--host", host, "--port", port, "--workers", "1",
		"--backend-store-uri", "sqlite:///"+filepath.Join(dir, "mlflow.db"), "--artifacts-destination", filepath.Join(dir, "artifacts"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = log, log, time.Second
	ownGroup(cmd) // It starts workers, which end with it.
	if err := cmd.Start(); err != nil {
		return "", err
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	stop := func() { killGroup(cmd); <-exited }
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-exited:
			return "", fmt.Errorf("it exited: %s", log)
		default:
		}
		if resp, err := http.Get("http://" + addr + "/version"); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				t.Cleanup(stop)
				return "http://" + addr, nil
			}
		}
	}
	stop()
	return "", fmt.Errorf("no answer within two minutes: %s", log)
}

// TestPartsMLflow: MLflow's own client logs a run to the server, and the server gives it back.
func TestPartsMLflow(t *testing.T) {
	dir := t.TempDir()
	url := startMLflow(t, dir)
	_, python := fromVenv(t, "mlflow")
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import mlflow
with mlflow.start_run() as run:
    mlflow.log_param("rate", "0.1")
    mlflow.log_metric("loss", 0.25, step=3)
got = mlflow.get_run(run.info.run_id)
print(got.info.status, got.data.params["rate"], got.data.metrics["loss"])
`)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+url, "MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "FINISHED 0.1 0.25") {
		t.Errorf("%v\n%s", err, out)
	}
}
