package sqlite

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFileSystemOfALink: what is not there yet lies where its link leads.
func TestFileSystemOfALink(t *testing.T) {
	want, yes := OnEphemeral("/dev/shm")
	dir := t.TempDir()
	here, _ := OnEphemeral(dir)
	if !yes || here == want {
		t.Skip("this machine has no second file system that is told apart")
	}
	for name, target := range map[string]string{"absolute.db": "/dev/shm/not-there/s.db", "relative.db": "absolute.db", "loop.db": "loop.db"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, on := range map[string]string{"absolute.db": want, "relative.db": want, "relative.db/deeper": want} {
		if got, yes := OnEphemeral(filepath.Join(dir, name)); !yes || got != on {
			t.Errorf("%s is on %q, want %q", name, got, on)
		}
	}
	if got, _ := OnEphemeral(filepath.Join(dir, "loop.db")); got != here {
		t.Errorf("a link to itself is on %q, want %q", got, here)
	}
}
