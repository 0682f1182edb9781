package code

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

// TestSilentRemote restores from a remote that takes the connection and says nothing.
func TestSilentRemote(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a.txt", "first\n").Commit("one")
	pin, blobs := capture(t, resolver(false), repo)
	pin.Bundle, pin.Root, pin.Remotes = nil, nil, nil
	pin.Remote = "ssh://git@host.invalid/team/trainer.git"
	t.Setenv("GIT_SSH_COMMAND", "exec 3>&1; exec cat >"+os.DevNull+" #") // its end of the pipe stays open
	t.Setenv("GIT_SSH_VARIANT", "ssh")
	r := New(Options{Now: func() time.Time { return testTime }, NetworkTime: 200 * time.Millisecond})
	if a := r.CheckCode(t.Context(), pin, blobs); a.State != schema.StateUnknown {
		t.Errorf("%+v", a)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	err := r.RestoreCode(t.Context(), pin, blobs, dir)
	if schema.KindOf(err) != schema.Unavailable || !strings.Contains(err.Error(), "sent nothing") {
		t.Errorf("%s: %v", schema.KindOf(err), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
