//go:build unix

package file

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

func makeFifo(t testing.TB, path string) {
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Error(err)
	}
}

func processorTime(children bool) time.Duration {
	who := syscall.RUSAGE_SELF
	if children {
		who = syscall.RUSAGE_CHILDREN
	}
	var r syscall.Rusage
	if syscall.Getrusage(who, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestSpecialFiles: none is opened (a fifo would wait for ever), each is named.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "s")
	l, err := net.Listen("unix", sock)
	must(t, err)
	defer l.Close()
	makeFifo(t, filepath.Join(dir, "f"))
	b := New(dataset.Options{})
	for name, plantIt := range map[string]func(root string){
		"pipe":     func(root string) { makeFifo(t, filepath.Join(root, "pipe")) },
		"tosocket": func(root string) { must(t, os.Symlink(sock, filepath.Join(root, "tosocket"))) },
		"topipe":   func(root string) { must(t, os.Symlink(filepath.Join(dir, "f"), filepath.Join(root, "topipe"))) },
		"tonull":   func(root string) { must(t, os.Symlink("/dev/zero", filepath.Join(root, "tonull"))) },
		"dangling": func(root string) { must(t, os.Symlink("../.git/annex/objects/X", filepath.Join(root, "dangling"))) },
		"loop":     func(root string) { must(t, os.Symlink("loop", filepath.Join(root, "loop"))) },
		"sub/pipe2": func(root string) {
			must(t, os.Mkdir(filepath.Join(root, "sub"), 0o777))
			makeFifo(t, filepath.Join(root, "sub/pipe2"))
		},
	} {
		root := plant(t, map[string]string{"a": "1"})
		pin := mustPin(t, b, root)
		plantIt(root)
		_, err := b.Resolve(t.Context(), request(root))
		hint := "exclude"
		if name == "dangling" {
			hint = "git annex get"
		}
		wantKind(t, err, schema.Unpinnable, filepath.Join(root, name), hint)
		if a := check(t, b, pin, false); a.State != schema.StateChanged || !strings.Contains(a.Reason, name) {
			t.Errorf("%s: %+v", name, a)
		}
		req := request(root)
		req.Exclude = []string{name}
		if _, err := b.Resolve(t.Context(), req); err != nil {
			t.Errorf("%s excluded: %v", name, err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "f"), sock, "/dev/null"} {
		_, err := b.Resolve(t.Context(), request(path))
		wantKind(t, err, schema.Unpinnable, path, "socket, fifo or device")
	}
}

// TestUnreadable runs as another user where this one is root, who can read everything.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() != 0 {
		unreadable(t, t.TempDir())
		return
	}
	dir, err := os.MkdirTemp("", "unreadable")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o777))
	binary := filepath.Join(dir, "test") // the test binary itself may lie where that user cannot go
	data, err := os.ReadFile("/proc/self/exe")
	requirePart(t, "proc", err != nil)
	must(t, os.WriteFile(binary, data, 0o755))
	cmd := exec.Command(binary, "-test.run=^TestUnreadableAsUser$", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"RUNPIN_TEST_DIR=" + dir, "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestUnreadableAsUser") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUnreadableAsUser(t *testing.T) {
	dir := os.Getenv("RUNPIN_TEST_DIR")
	if dir == "" {
		return // TestUnreadable starts it again, as another user
	}
	unreadable(t, dir)
}

func unreadable(t *testing.T, dir string) {
	b := New(dataset.Options{})
	root := filepath.Join(dir, "data")
	must(t, os.Mkdir(root, 0o755))
	plantIn(t, root, map[string]string{"open": "1", "secret": "2", "closed/x": "3"})
	pin := mustPin(t, b, root)
	must(t, os.Chmod(filepath.Join(root, "secret"), 0))
	_, err := b.Resolve(t.Context(), request(root))
	wantKind(t, err, schema.Unpinnable, filepath.Join(root, "secret"), "permission denied", "exclude")
	must(t, os.Chmod(filepath.Join(root, "closed"), 0))
	_, err = b.Resolve(t.Context(), request(root))
	wantKind(t, err, schema.Unpinnable, filepath.Join(root, "closed"), "permission denied", "1 more")
	if a := check(t, b, pin, true); a.State != schema.StateUnknown || !strings.Contains(a.Reason, "permission denied") {
		t.Errorf("check: %+v", a)
	}
	must(t, os.Chmod(root, 0))
	_, err = b.Resolve(t.Context(), request(root))
	wantKind(t, err, schema.Unpinnable, root, "permission denied")
	must(t, os.Chmod(root, 0o755))
	must(t, os.Chmod(filepath.Join(root, "closed"), 0o755))
	must(t, os.Chmod(filepath.Join(root, "secret"), 0o644))
}
