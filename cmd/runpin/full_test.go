package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFullDisk keeps the store on a file system of one megabyte. A report that does not fit is refused before the command starts; once a command runs, a full
// store costs it nothing, and what the store could not take waits nowhere half-written: the store still verifies.
func TestFullDisk(t *testing.T) {
	requirePart(t, "mount", "git")
	small := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small).CombinedOutput(); err != nil {
		if wanted := os.Getenv("RUNPIN_TEST_REQUIRE"); wanted == "all" || strings.Contains(wanted, "mount") {
			t.Fatalf("mount: %v\n%s", err, out)
		}
		t.Skip("mounting needs root; RUNPIN_TEST_REQUIRE would make this a failure")
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", small).Run() })
	dir := t.TempDir()
	runGit(t, dir, "init", "--quiet")
	env := append(os.Environ(), "HOME="+dir, "RUNPIN_STORE="+filepath.Join(small, "runpin.db"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "RUNPIN_USER=f")
	runpin := func(args ...string) (int, string) {
		cmd := exec.CommandContext(t.Context(), "runpin", args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if code, out := runpin("record", "--no-code", "--", "true"); code != 0 {
		t.Fatalf("record into a small store: %d\n%s", code, out)
	}
	random := make([]byte, 4<<20)
	seed := uint32(1)
	for i := range random { // incompressible, and the same each time
		seed = seed*1664525 + 1013904223
		random[i] = byte(seed >> 24)
	}
	if err := os.WriteFile(filepath.Join(dir, "big.bin"), random, 0o644); err != nil {
		t.Fatal(err)
	}
	code, out := runpin("record", "--", "touch", "started")
	if code != exitRefused || !strings.Contains(out, "full") || !strings.Contains(out, "hint") {
		t.Errorf("a report that does not fit: exit code %d\n%s", code, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "started")); err == nil {
		t.Error("the command was started although its plan could not be kept")
	}
	if code, out := runpin("record", "--no-code", "--", "sh", "-c", "head -c 4000000 /dev/zero > "+filepath.Join(small, "fill"+"er")+"; exit 7"); code != 7 {
		t.Errorf("a disk that fills while the command runs: exit code %d, want the command's 7\n%s", code, out)
	}
	if err := os.Remove(filepath.Join(small, "filler")); err != nil {
		t.Fatal(err)
	}
	if code, out := runpin("import"); code != 0 || !strings.Contains(out, "imported 1 report") {
		t.Errorf("import: %d\n%s", code, out)
	}
	if code, out := runpin("show", "latest"); code != 0 || !strings.Contains(out, "exit code 7") {
		t.Errorf("the run that filled the disk: %d\n%s", code, out)
	}
	if code, out := runpin("store", "check"); code != 0 {
		t.Errorf("store check: %d\n%s", code, out)
	}
}
