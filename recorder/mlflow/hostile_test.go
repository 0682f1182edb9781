//go:build unix

package mlflow

import (
	"database/sql"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runpin/runpin/schema"
)

// TestHostileFiles: what lies in a directory of others can neither lead out of it, hold the reader up nor fill its memory; and the rest of the run is read.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.txt")
	write(t, secret, "outside")
	root := filepath.Join(dir, "mlruns")
	run := fileStore(t, root, "0", "aa11")
	write(t, run+"/params/lr", "0.1")
	write(t, run+"/params/huge", strings.Repeat("x", maxValue+1))
	write(t, run+"/metrics/bad", "not a metric line\n")
	write(t, run+"/metrics/loss", "1 0.5 1\n1 0.25 2\n")
	write(t, run+"/metrics/torn", "1 0.5 1\n1 0.2")
	write(t, run+"/metrics/empty", "")
	link(t, secret, run+"/params/leak")
	link(t, dir, run+"/tags")
	link(t, "/dev/zero", run+"/metrics/zero")
	if err := syscall.Mkfifo(run+"/params/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, dir, filepath.Join(root, "elsewhere"))
	broken := fileStore(t, root, "0", "bb22")
	write(t, broken+"/meta.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c\n")
	far := fileStore(t, root, "0", "cc33")
	write(t, far+"/meta.yaml", "status: 3\nstart_time: 99999999999999999\nend_time: -5\n")
	write(t, filepath.Join(root, "0", "not a run", "meta.yaml"), "status: 3\n")

	runs, h := readAllRuns(t, root, Options{})
	if len(runs) != 3 {
		t.Fatalf("%d runs: %v", len(runs), runs)
	}
	got := runs["aa11"]
	if got.Params["lr"] != "0.1" || got.Metrics["loss"].Value != 0.25 || got.Metrics["torn"].Value != 0.5 { // a line cut short is one without its step
		t.Errorf("the good parts were not read: %+v", got)
	}
	for _, absent := range []string{"leak", "huge", "fifo"} {
		if v, ok := got.Params[absent]; ok {
			t.Errorf("param %s was read: %.40q", absent, v)
		}
	}
	if len(got.Tags) != 0 {
		t.Errorf("the link out of the directory was followed: %v", got.Tags)
	}
	for _, part := range []string{"params/leak", "params/huge", "params/fifo", "metrics/bad", "metrics/zero", "metrics/empty", "tags"} {
		found := false
		for _, p := range got.Problems {
			found = found || string(p.Subject) == part
		}
		if !found {
			t.Errorf("nothing is said of %s: %v", part, got.Problems)
		}
	}
	for _, r := range runs { // whatever it is, it becomes a record
		docs := Converter{Version: "test", Starts: h.Starts()}.Documents(r)
		for _, d := range docs {
			if _, err := d.Encode(); err != nil {
				t.Errorf("%s: %v", r.ID, err)
			}
		}
		if _, err := schema.Fold(docs); err != nil {
			t.Errorf("%s: %v", r.ID, err)
		}
	}
	if len(runs["bb22"].Problems) == 0 || runs["cc33"].Start != 0 {
		t.Errorf("%+v %+v", runs["bb22"], runs["cc33"])
	}
}

func link(t *testing.T, target, at string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, at); err != nil {
		t.Fatal(err)
	}
}

// TestOldAndOddDatabases: an older schema lacks tables and columns, and any column may hold anything.
func TestOldAndOddDatabases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old name?.db")
	db, err := sql.Open("sqlite", "file:"+strings.ReplaceAll(path, "?", "%3F"))
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE experiments (experiment_id INTEGER, name TEXT)",
		"CREATE TABLE runs (run_uuid TEXT, status TEXT, start_time BIGINT, end_time BIGINT, experiment_id INTEGER, lifecycle_stage TEXT)",
		"CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT)",
		"CREATE TABLE latest_metrics (key TEXT, value FLOAT, timestamp BIGINT, step BIGINT, is_nan BOOLEAN, run_uuid TEXT)",
		"INSERT INTO experiments VALUES (0, 'Default')",
		"INSERT INTO runs VALUES ('aa11', 'FINISHED', 1760000000000, 1760000001000, 0, 'active'), ('../evil', 'FINISHED', 1, 2, 0, 'active'), ('bb22', x'00ff', 'soon', NULL, 9, NULL)",
		"INSERT INTO params VALUES ('lr', '0.1', 'aa11'), ('blob', x'ff00', 'aa11'), (x'ff', 'v', 'aa11'), ('big', hex(zeroblob(70000)), 'aa11')",
		"INSERT INTO latest_metrics VALUES ('loss', 0.30000000000000004, 1, 1, 0, 'aa11'), ('nan', 0, 1, 1, 1, 'aa11'), ('text', 'many', 1, 1, 0, 'aa11')",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	db.Close()
	runs, h := readAllRuns(t, path, Options{})
	got := runs["aa11"]
	if len(runs) != 2 || got.Experiment != "Default" || got.Params["lr"] != "0.1" || got.Metrics["loss"].Value != 0.30000000000000004 || !math.IsNaN(got.Metrics["nan"].Value) {
		t.Errorf("%+v", runs)
	}
	if m, ok := got.Metrics["text"]; ok {
		t.Errorf("a text was read as the number %v", m.Value)
	}
	if _, ok := got.Params["big"]; ok || len(got.Problems) < 2 {
		t.Errorf("problems: %v", got.Problems)
	}
	for _, r := range runs {
		for _, d := range (Converter{Version: "test", Starts: h.Starts()}).Documents(r) {
			if _, err := d.Encode(); err != nil {
				t.Errorf("%s: %v", r.ID, err)
			}
		}
	}
}
