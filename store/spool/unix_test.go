//go:build linux

package spool_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/storetest"
)

// TestClosedSpool runs as another user where this one is root, who can read and write everything.
func TestClosedSpool(t *testing.T) {
	if os.Geteuid() != 0 {
		closedSpool(t)
		return
	}
	dir := must(os.MkdirTemp("", "closed"))
	defer os.RemoveAll(dir)
	must(0, os.Chmod(dir, 0o777))
	binary := filepath.Join(dir, "test") // the test binary itself may lie where that user cannot go
	must(0, os.WriteFile(binary, must(os.ReadFile("/proc/self/exe")), 0o755))
	cmd := exec.Command(binary, "-test.run=^TestClosedSpoolAsUser$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"RUNPIN_TEST_AS_USER=1", "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestClosedSpoolAsUser") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestClosedSpoolAsUser(t *testing.T) {
	if os.Getenv("RUNPIN_TEST_AS_USER") != "" { // TestClosedSpool starts it again, as another user
		closedSpool(t)
	}
}

func closedSpool(t *testing.T) {
	s, into := openSpool(t), openStore(t)
	node := must(spool.Open(filepath.Join(s.Dir(), "node1")))
	mustSave(t, node, storetest.Report(storetest.NewSample(9).Base()))
	for i := range 5 {
		mustSave(t, s, report(i))
	}
	first := files(t, s)[0]
	must(0, os.Chmod(first, 0))
	must(0, os.Chmod(node.Dir(), 0))
	must(0, os.Chmod(s.Dir(), 0o500))
	t.Cleanup(func() { _ = os.Chmod(s.Dir(), 0o700); _ = os.Chmod(node.Dir(), 0o700) })
	// What cannot be read is named and counted, and neither that nor a spool that cannot be written to keeps the rest from being imported.
	done, err := spool.Import(ctx, s.Dir(), into, spool.ImportOptions{})
	if done.Reports != 4 || done.InPlace != 4 || done.Left != 2 || done.Refused != 0 || schema.KindOf(err) != schema.Invalid {
		t.Errorf("%+v, %v", done, err)
	}
	for _, name := range []string{filepath.Base(first), "node1"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
	must(0, os.Chmod(first, 0o600))
	must(0, os.Chmod(node.Dir(), 0o700))
	must(0, os.Chmod(s.Dir(), 0o700))
	done, err = spool.Import(ctx, s.Dir(), into, spool.ImportOptions{})
	if err != nil || done.Reports != 6 || done.InPlace != 0 || *done.Already != 4 || len(files(t, s)) != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}
