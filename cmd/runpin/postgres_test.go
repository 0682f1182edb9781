package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/store/postgres/postgrestest"
)

// TestPostgresStore types what a user does with a store in PostgreSQL: record, join, list, show, and behind a server. The password in the location shows nowhere.
func TestPostgresStore(t *testing.T) {
	location := postgrestest.Database(t)
	password := strings.SplitN(strings.SplitN(location, "@", 2)[0], ":", 3)[2]
	dir := t.TempDir()
	runpin := func(want int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "runpin", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "XDG_DATA_HOME="+filepath.Join(dir, "data"), "RUNPIN_STORE="+location, "RUNPIN_USER=p")
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Fatalf("runpin %q: exit code %d, want %d: %s", args, got, want, errs.String())
		}
		if strings.Contains(out.String()+errs.String(), password) {
			t.Errorf("runpin %q shows the password", args)
		}
		return out.String() + errs.String()
	}
	if out := runpin(0, "list"); strings.TrimSpace(out) != "" {
		t.Errorf("an empty database lists %q", out)
	}
	runpin(10, "show", "latest")
	runpin(0, "record", "--no-code", "--name", "one", "--param", "lr=0.1", "--output", "o.txt", "--", "sh", "-c", "echo hello > o.txt")
	if out := runpin(0, "list", "--param", "lr=0.10", "--json"); !strings.Contains(out, `"name": "one"`) || !strings.Contains(out, `"succeeded"`) {
		t.Errorf("list: %s", out)
	}
	if out := runpin(0, "show", "one", "--json"); !strings.Contains(out, `"outputs"`) {
		t.Errorf("show: %s", out)
	}
	// A child reaches the store by the same location.
	runpin(0, "record", "--no-code", "--name", "outer", "--", "runpin", "note", "one", "from within")
	if out := runpin(0, "show", "one"); !strings.Contains(out, "from within") {
		t.Errorf("the child's note is not there: %s", out)
	}
	runpin(0, "store", "check")
	runpin(0, "env")
	runpin(2, "store", "backup", "x.db")
	runpin(0, "store", "migrate", filepath.Join(dir, "copy.db"))
	if out := runpin(0, "show", "one", "--store", filepath.Join(dir, "copy.db")); !strings.Contains(out, "from within") {
		t.Errorf("the copy: %s", out)
	}
}
