package code

import (
	"context"
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

// TestRemotesAreAskedAtTheSameTime: one that takes the connection and says nothing does not keep another from saying that it has the commit, and one that has it
// spares the others the question.
func TestRemotesAreAskedAtTheSameTime(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a.txt", "first\n").Commit("one")
	bare := repo.Remote()
	pin, blobs := capture(t, resolver(false), repo)
	has, asked := "file://"+bare, filepath.Join(t.TempDir(), "asked")
	const silent = "ssh://git@host.invalid/team/trainer.git"
	pin.Bundle, pin.Root = nil, nil
	t.Setenv("GIT_SSH_COMMAND", "echo x >> "+asked+"; exec 3>&1; exec cat >"+os.DevNull+" #") // its end of the pipe stays open
	t.Setenv("GIT_SSH_VARIANT", "ssh")
	check := func(first string, alone time.Duration, others map[string]string) schema.Availability {
		pin.Remote, pin.Remotes = first, others
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // far less than it waits for the silent one
		defer cancel()
		return New(Options{Now: func() time.Time { return testTime }, NetworkTime: time.Hour, firstAlone: alone}).CheckCode(ctx, pin, blobs)
	}
	if a := check(has, time.Hour, map[string]string{"a": silent}); a.State != schema.StateAvailable || a.How != "ls-remote" {
		t.Errorf("%+v", a)
	}
	if _, err := os.Stat(asked); !os.IsNotExist(err) {
		t.Errorf("the second was asked about what the first has: %v", err)
	}
	away := map[string]string{"a": "file://" + bare + "/nowhere", "b": silent + "2", "c": silent + "3", "d": has}
	if a := check(silent, 0, away); a.State != schema.StateAvailable || a.How != "ls-remote" {
		t.Errorf("%+v", a)
	}
	if _, err := os.Stat(asked); err != nil {
		t.Errorf("the first was not asked: %v", err)
	}
	// Only those that have nothing: it is gone. One that does not answer among them: that is not known.
	codetest.Rewrite(t, bare, "main")
	if a := check(has, 0, map[string]string{"a": "file://" + bare + "/nowhere"}); a.State != schema.StateGone {
		t.Errorf("%+v", a)
	}
	pin.Remote, pin.Remotes = has, map[string]string{"a": silent}
	r := New(Options{Now: func() time.Time { return testTime }, NetworkTime: 200 * time.Millisecond})
	if a := r.CheckCode(t.Context(), pin, blobs); a.State != schema.StateUnknown {
		t.Errorf("%+v", a)
	}
}
