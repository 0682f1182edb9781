package code

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder/code/codetest"
)

// TestDamagedClone gives the clone, under the id of a file or of a directory, the bytes of another: the objects are copied out of it unread, so the proof of the
// restored tree has to find it, wherever it is.
func TestDamagedClone(t *testing.T) {
	for _, spec := range []string{"HEAD:a.txt", "HEAD:sub", "HEAD^{tree}", "HEAD:sub/b.txt"} {
		t.Run(spec, func(t *testing.T) {
			repo := codetest.New(t)
			repo.Write("a.txt", "first\n").Write("sub/b.txt", "second\n").Write("other/c.txt", "third\n").Commit("one")
			bare := filepath.Join(t.TempDir(), "remote.git")
			repo.Git("clone", "--quiet", "--bare", "file://"+repo.Dir, bare)
			repo.Git("remote", "add", "origin", "file://"+bare)
			pin, blobs := capture(t, resolver(false), repo)
			alone := pin // the clone is all there is
			alone.Bundle, alone.Remote, alone.Remotes = nil, "", nil
			with := map[bool]string{true: "HEAD:other", false: "HEAD:other/c.txt"}[!strings.HasSuffix(spec, ".txt")]
			object := func(name string) string {
				id := repo.Git("rev-parse", name)
				return filepath.Join(repo.Dir, ".git", "objects", id[:2], id[2:])
			}
			lie, err := os.ReadFile(object(with))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(object(spec), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(object(spec), lie, 0o644); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "restored")
			if err := resolver(false).RestoreCode(t.Context(), alone, blobs, dir); err == nil {
				t.Error("it was restored, and it is not what was recorded")
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "*")); len(left) > 0 {
				t.Errorf("it left %q", left)
			}
			if err := resolver(false).RestoreCode(t.Context(), pin, blobs, dir); err != nil {
				t.Errorf("from the remote: %v", err)
			}
		})
	}
}

// TestManyObjects restores from a clone that is not copied whole: it has too many loose objects, and its history stays where it is.
func TestManyObjects(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("old.txt", "what was once there\n").Commit("zero")
	old := repo.Git("rev-parse", "HEAD:old.txt")
	for i := range 600 {
		repo.Write(fmt.Sprintf("f%03d.txt", i), fmt.Sprintf("%d\n", i))
	}
	repo.Remove("old.txt").Commit("one")
	pin, blobs := capture(t, resolver(false), repo)
	pin.Bundle = nil
	dir := restore(t, resolver(false), pin, blobs)
	if diff := cmp.Diff(codetest.Files(t, repo.Dir), codetest.Files(t, dir)); diff != "" {
		t.Error(diff)
	}
	for object, want := range map[string]bool{"HEAD:f000.txt": true, old: false} {
		cmd := exec.Command("git", "cat-file", "-e", object)
		cmd.Dir = dir
		if has := cmd.Run() == nil; has != want {
			t.Errorf("the restored repository has %s: %t, want %t", object, has, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".git", "objects", "info", "alternates")); err == nil {
		t.Error("the restored repository leans on the clone")
	}
}
