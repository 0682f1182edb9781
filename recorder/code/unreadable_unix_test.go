//go:build unix

package code

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

// TestUnreadableFile runs again as nobody when it is run as root, who reads everything.
func TestUnreadableFile(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	repo := codetest.New(t)
	repo.Write("a", "a").Commit("first")
	repo.Write("locked.py", "s").Chmod("locked.py", 0)
	eachJudge(t, func(t *testing.T, r *Resolver) {
		if err := refused(t, r, repo); schema.KindOf(err) != schema.Unpinnable || !strings.Contains(err.Error(), `"locked.py"`) || !strings.Contains(err.Error(), "permission denied") || schema.HintOf(err) == "" {
			t.Errorf("%v", err)
		}
	})
}

func asNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "nobody-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	binary := filepath.Join(dir, "test")
	to, err := os.OpenFile(binary, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	to.Close()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func TestFIFOInPlaceOfAFile(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "a").Commit("first")
	repo.Remove("a")
	if err := syscall.Mkfifo(repo.Path("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	eachJudge(t, func(t *testing.T, r *Resolver) {
		if err := refused(t, r, repo); schema.KindOf(err) != schema.Unpinnable || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("%v", err)
		}
	})
}
