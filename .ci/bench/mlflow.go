package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/runpin/runpin/store/storetest"
)

// mlflowClient speaks the part of MLflow's REST API that logging a run takes: https://mlflow.org/docs/latest/rest-api.html.
type mlflowClient struct {
	base string
	http *http.Client
}

// log logs the nth typical run: it begins, its params, tags and metrics in one batch, its end.
func (c mlflowClient) log(ctx context.Context, n int) error {
	run, _, ended := storetest.Typical(n)
	now := time.Now().UnixMilli()
	var created struct {
		Run struct {
			Info struct {
				RunID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	tags := []map[string]any{{"key": "mlflow.source.git.commit", "value": run.Plan.Code[0].Commit}, {"key": "mlflow.user", "value": run.Plan.User}}
	if err := c.post(ctx, "runs/create", map[string]any{"experiment_id": "0", "start_time": now, "tags": tags}, &created); err != nil {
		return err
	}
	id := created.Run.Info.RunID
	var params, metrics []map[string]any
	for key, value := range run.Plan.Params {
		params = append(params, map[string]any{"key": key, "value": string(value)})
	}
	for key, value := range ended[0].Output.Metrics {
		metrics = append(metrics, map[string]any{"key": key, "value": json.Number(value), "timestamp": now, "step": 0})
	}
	if err := c.post(ctx, "runs/log-batch", map[string]any{"run_id": id, "params": params, "metrics": metrics}, nil); err != nil {
		return err
	}
	return c.post(ctx, "runs/update", map[string]any{"run_id": id, "status": "FINISHED", "end_time": now}, nil)
}

func (c mlflowClient) post(ctx context.Context, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, firstLine(string(got)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}

// venvProgram gives a program of the virtual environment that .ci/parts makes, or "".
func venvProgram(name string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	venv := filepath.Join(cache, "runpin-parts", "mlflow")
	for _, file := range []string{filepath.Join(venv, "installed"), filepath.Join(venv, "bin", name)} {
		if _, err := os.Stat(file); err != nil {
			return ""
		}
	}
	return filepath.Join(venv, "bin", name)
}
