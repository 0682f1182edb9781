package mlflow

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

const asked = schema.RunID("01ARZ3NDEKTSV4RRFFQ69G5FAV")

func readBack(t *testing.T, dir string, environ ...string) recorder.Tracked {
	t.Helper()
	return (&Tracker{}).ReadBack(t.Context(), recorder.TrackerRequest{Run: asked, WorkDir: dir, Environ: environ, Since: time.Now()})
}

// logged makes a file store in which the run that was asked for logged a run with a nested one, beside a run of somebody else.
func logged(t *testing.T, root string) {
	t.Helper()
	top := fileStore(t, root, "0", "aa11")
	write(t, top+"/tags/"+TagRunID, string(asked))
	write(t, top+"/metrics/loss", "1 0.9 1\n2 nan 2\n")
	nested := fileStore(t, root, "0", "bb22")
	write(t, nested+"/tags/"+TagRunID, string(asked))
	write(t, nested+"/tags/mlflow.parentRunId", "aa11")
	write(t, nested+"/metrics/loss", "1 7 1\n")
	write(t, fileStore(t, root, "0", "cc33")+"/tags/"+TagRunID, "01ARZ3NDEKTSV4RRFFQ69G5FAW")
}

var wantLogged = recorder.Tracked{Labels: map[string]string{LabelRunID: "aa11"}, Metrics: map[string]schema.Text{"loss": "NaN"}}

// TestReadBackFiles: by default, by path, and by URI.
func TestReadBackFiles(t *testing.T) {
	dir := t.TempDir()
	logged(t, dir+"/mlruns")
	logged(t, dir+"/other place")
	for _, environ := range [][]string{nil, {"MLFLOW_TRACKING_URI=other place"}, {"MLFLOW_TRACKING_URI=file://" + strings.ReplaceAll(dir, " ", "%20") + "/other%20place"}, {"MLFLOW_TRACKING_URI=file:mlruns"}} {
		if diff := cmp.Diff(wantLogged, readBack(t, dir, environ...)); diff != "" {
			t.Errorf("%v: %s", environ, diff)
		}
	}
}

// TestNoSignOfMLflow: nobody is asked where nothing changed since the command began, and nothing is said.
func TestNoSignOfMLflow(t *testing.T) {
	dir := t.TempDir()
	logged(t, dir+"/mlruns")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir+"/mlruns/0", old, old); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/mlflow.db", "no database, and old")
	if err := os.Chtimes(dir+"/mlflow.db", old, old); err != nil {
		t.Fatal(err)
	}
	for _, environ := range [][]string{nil, {"MLFLOW_TRACKING_URI=sqlite:///mlflow.db"}, {"MLFLOW_TRACKING_URI=" + dir + "/mlruns"}} {
		if got := readBack(t, dir, environ...); got.Labels != nil || got.Reasons != nil {
			t.Errorf("%v: %+v", environ, got)
		}
	}
}

// TestReadBackDatabase uses the real database, in which a run is given the tag.
func TestReadBackDatabase(t *testing.T) {
	dir := t.TempDir()
	content, err := os.ReadFile("testdata/mlflow.db")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/mlflow.db", string(content))
	tagDatabase(t, dir+"/mlflow.db", strings.Repeat("a1", 16))
	want := recorder.Tracked{Labels: map[string]string{LabelRunID: strings.Repeat("a1", 16)}, Metrics: map[string]schema.Text{"loss": "0.25", "val/acc": "1.0"}}
	for _, environ := range [][]string{nil, {"MLFLOW_TRACKING_URI=sqlite:///mlflow.db"}, {"MLFLOW_TRACKING_URI=sqlite:///" + dir + "/mlflow.db"}} {
		if diff := cmp.Diff(want, readBack(t, dir, environ...)); diff != "" {
			t.Errorf("%v: %s", environ, diff)
		}
	}
	write(t, dir+"/mlflow.db", "it was a database")
	if got := readBack(t, dir); len(got.Reasons) != 1 || got.Reasons[0].Code != "mlflow-not-read-back" {
		t.Errorf("%+v", got)
	}
}

func tagDatabase(t *testing.T, path, run string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO tags (key, value, run_uuid) VALUES ($1, $2, $3)", TagRunID, string(asked), run); err != nil {
		t.Fatal(err)
	}
}

func TestSeveralRunsSideBySide(t *testing.T) {
	var runs []Run
	for i := range maxTied + 2 {
		runs = append(runs, Run{ID: fmt.Sprintf("r%02d", i), Start: int64(i), Metrics: map[string]Metric{"loss": {Value: 1}}})
	}
	got := sum(runs)
	if len(got.Labels) != maxTied || got.Labels[LabelRunID] != "r00" || got.Labels[LabelRunID+".2"] != "r01" || got.Metrics != nil || len(got.Reasons) != 1 {
		t.Errorf("%+v", got)
	}
}

// restServer answers as MLflow's server does (the forms are those of a server of version 3.17).
func restServer(t *testing.T, authorization string) (*httptest.Server, *[]string) {
	t.Helper()
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Path)
		if got := r.Header.Get("Authorization"); got != authorization {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, "got %q", got)
			return
		}
		var question struct {
			IDs    []string `json:"experiment_ids"`
			Filter string   `json:"filter"`
			Token  string   `json:"page_token"`
		}
		_ = json.NewDecoder(r.Body).Decode(&question)
		switch r.URL.Path {
		case "/base/api/2.0/mlflow/experiments/search":
			if question.Token == "" {
				fmt.Fprint(w, `{"experiments":[{"experiment_id":"0","name":"Default"}],"next_page_token":"more"}`)
			} else {
				fmt.Fprint(w, `{"experiments":[{"experiment_id":"7"}]}`)
			}
		case "/base/api/2.0/mlflow/runs/search":
			if strings.Join(question.IDs, ",") != "0,7" || question.Filter != "tags.`runpin.run_id` = '"+string(asked)+"'" {
				t.Errorf("asked for %+v", question)
			}
			fmt.Fprintf(w, `{"runs":[{"info":{"run_id":"aa11","run_uuid":"aa11","start_time":1760000000000},"data":{"metrics":[{"key":"loss","value":"NaN","timestamp":"17","step":"2"},{"key":"acc","value":0.5},{"key":"top","value":"Infinity","step":1}],
				"tags":[{"key":"runpin.run_id","value":%q}]}},{"info":{"run_id":"zz"},"data":{"tags":[{"key":"runpin.run_id","value":"another"}]}}]}`, asked)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server, &seen
}

func TestReadBackServer(t *testing.T) {
	want := recorder.Tracked{Labels: map[string]string{LabelRunID: "aa11"}, Metrics: map[string]schema.Text{"loss": "NaN", "acc": "0.5", "top": "+Inf"}}
	for _, c := range []struct {
		authorization, userInfo string
		environ                 []string
	}{
		{"", "", nil},
		{"Bearer t0ken", "", []string{"MLFLOW_TRACKING_TOKEN=t0ken"}},
		{"Basic dTpwdw==", "", []string{"MLFLOW_TRACKING_USERNAME=u", "MLFLOW_TRACKING_PASSWORD=pw"}},
		{"Basic dTpwdw==", "u:pw@", nil},
	} {
		server, _ := restServer(t, c.authorization)
		uri := strings.Replace(server.URL, "http://", "http://"+c.userInfo, 1) + "/base/"
		if diff := cmp.Diff(want, readBack(t, t.TempDir(), append(c.environ, "MLFLOW_TRACKING_URI="+uri)...)); diff != "" {
			t.Errorf("%+v: %s", c, diff)
		}
	}
}

// TestServerIsNotTrusted: credentials go to no other host, answers are bounded, no answer is waited for, and no failure shows a credential.
func TestServerIsNotTrusted(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the question went elsewhere, with %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	stop := make(chan struct{})
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"denied":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"garbage": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"flood": func(w http.ResponseWriter, _ *http.Request) {
			for range maxAnswer/1024 + 2 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that nobody waits any more
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		},
	} {
		server := httptest.NewServer(answer)
		uri := strings.Replace(server.URL, "http://", "http://ada:hunter2@", 1)
		tracker := Tracker{}
		if name == "silence" {
			tracker.Budget = 100 * time.Millisecond
		}
		got := tracker.ReadBack(context.Background(), recorder.TrackerRequest{Run: asked, WorkDir: t.TempDir(), Environ: []string{"MLFLOW_TRACKING_URI=" + uri}, Since: time.Now()})
		if len(got.Reasons) != 1 || got.Reasons[0].Code != "mlflow-not-read-back" || strings.Contains(got.Reasons[0].Text, "hunter2") || got.Labels != nil {
			t.Errorf("%s: %+v", name, got)
		}
		if name == "silence" {
			close(stop)
		}
		server.Close()
	}
}

func TestStoresThatAreNotReadBack(t *testing.T) {
	for _, uri := range []string{"databricks", "postgresql://u:hunter2@h/db", "sqlite://"} {
		got := readBack(t, t.TempDir(), "MLFLOW_TRACKING_URI="+uri)
		if len(got.Reasons) != 1 || strings.Contains(got.Reasons[0].Text, "hunter2") {
			t.Errorf("%s: %+v", uri, got)
		}
	}
}

// TestLinkOutOfTheStore: a link among the experiments does not lead the reader away.
func TestLinkOutOfTheStore(t *testing.T) {
	dir := t.TempDir()
	logged(t, filepath.Join(dir, "outside"))
	root := filepath.Join(dir, "mlruns")
	write(t, root+"/1/meta.yaml", "name: x\n")
	if err := os.Symlink(filepath.Join(dir, "outside", "0"), filepath.Join(root, "0")); err != nil {
		t.Skip("no symbolic links here")
	}
	if got := readBack(t, dir); got.Labels != nil {
		t.Errorf("%+v", got)
	}
}
