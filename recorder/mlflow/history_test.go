package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
)

// The fixtures are made by the real MLflow: testdata/make.sh. Both hold the same runs.
var fixtures = []string{"testdata/mlruns", "testdata/mlflow.db"}

func readAllRuns(t *testing.T, path string, options Options) (map[string]Run, History) {
	t.Helper()
	h, err := Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	runs := map[string]Run{}
	if err := h.Each(t.Context(), func(batch []Run) error {
		for _, r := range batch {
			runs[r.ID] = r
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return runs, h
}

// TestBothFormsSayTheSame: a history reads the same from the directory and from the database, but for the names of places.
func TestBothFormsSayTheSame(t *testing.T) {
	files, _ := readAllRuns(t, fixtures[0], Options{Deleted: true})
	database, _ := readAllRuns(t, fixtures[1], Options{Deleted: true})
	if len(files) != 4 {
		t.Fatalf("%d runs", len(files))
	}
	for _, runs := range []map[string]Run{files, database} {
		for id, r := range runs {
			r.ExperimentID, r.ArtifactURI = "", ""
			for k, m := range r.Metrics { // infinity is the greatest double in a database
				m.Value = 0
				r.Metrics[k] = m
			}
			runs[id] = r
		}
	}
	if diff := cmp.Diff(files, database); diff != "" {
		t.Errorf("mlruns (-) and mlflow.db (+):\n%s", diff)
	}
}

// TestGolden holds what a history becomes: the fold of the documents, run by run.
func TestGolden(t *testing.T) {
	for _, fixture := range fixtures {
		t.Run(filepath.Base(fixture), func(t *testing.T) {
			runs, h := readAllRuns(t, fixture, Options{Deleted: true})
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			for _, id := range []string{"a1", "b2", "c3", "d4"} {
				docs := Converter{Version: "test", Starts: h.Starts()}.Documents(runs[strings.Repeat(id, 16)])
				for _, d := range docs {
					if _, err := d.Encode(); err != nil {
						t.Fatal(err)
					}
				}
				run, err := schema.Fold(docs)
				if err != nil {
					t.Fatal(err)
				}
				if fp, _ := run.Fingerprinted(); fp != "" || run.Fingerprint != "" {
					t.Errorf("%s: a run of which so little is known has the fingerprint %s", id, fp)
				}
				if err := enc.Encode(run); err != nil {
					t.Fatal(err)
				}
			}
			for _, secret := range []string{"hunter2secret", "sk-live-", "00ff00ff"} {
				if strings.Contains(got.String(), secret) {
					t.Errorf("the record holds %q", secret)
				}
			}
			golden := filepath.Join("testdata", "golden", filepath.Base(fixture)+".json")
			if os.Getenv("RUNPIN_TEST_UPDATE") != "" {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestTrashIsPassedOver(t *testing.T) {
	for _, fixture := range fixtures {
		if runs, _ := readAllRuns(t, fixture, Options{}); len(runs) != 3 {
			t.Errorf("%s: %d runs, want the three that are not deleted", fixture, len(runs))
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "mlflow.db")
	write(t, text, "not a database at all")
	for _, path := range []string{filepath.Join(dir, "absent"), text, t.TempDir()} {
		if _, err := Open(t.Context(), path, Options{}); schema.KindOf(err) != schema.Invalid || schema.HintOf(err) == "" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestOpenFindsWhatLiesInADirectory(t *testing.T) {
	dir := t.TempDir()
	content, err := os.ReadFile("testdata/mlflow.db")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "mlflow.db"), string(content))
	if runs, _ := readAllRuns(t, dir, Options{}); len(runs) != 3 {
		t.Errorf("%d runs from the database in the directory", len(runs))
	}
	run := fileStore(t, dir+"/mlruns", "0", "e5e5")
	write(t, run+"/params/lr", "0.5\n")
	if runs, _ := readAllRuns(t, dir, Options{}); runs["e5e5"].Params["lr"] != "0.5" {
		t.Errorf("a directory mlruns stands over a database: %v", runs)
	}
}

// TestReadingChangesNothing: a history is somebody's only copy.
func TestReadingChangesNothing(t *testing.T) {
	before := digest(t, "testdata/mlflow.db")
	readAllRuns(t, "testdata/mlflow.db", Options{})
	if digest(t, "testdata/mlflow.db") != before || exists("testdata/mlflow.db-wal") || exists("testdata/mlflow.db-journal") {
		t.Error("reading the database has written to it")
	}
}

func digest(t *testing.T, path string) schema.Digest {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return schema.SHA256(content)
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fileStore makes a run by hand and gives its directory.
func fileStore(t testing.TB, root, experiment, id string) string {
	t.Helper()
	write(t, filepath.Join(root, experiment, "meta.yaml"), "experiment_id: '"+experiment+"'\nname: hand\nlifecycle_stage: active\n")
	dir := filepath.Join(root, experiment, id)
	write(t, filepath.Join(dir, "meta.yaml"), "run_id: "+id+"\nrun_name: made\nstatus: 3\nstart_time: 1760000000000\nend_time: 1760000001000\nuser_id: ada\nlifecycle_stage: active\n")
	return dir
}

func TestCancelledImportStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, fixture := range fixtures {
		h, err := Open(ctx, fixture, Options{})
		if err == nil {
			err = h.Each(ctx, func([]Run) error { return nil })
			h.Close()
		}
		if err == nil {
			t.Errorf("%s: it went on", fixture)
		}
	}
}
