package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/schema"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "-as-helper" {
		os.Exit(helper(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// helper is what the tests run in place of runpin: it launches its arguments and exits as they did.
func helper(mode string, argv []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if mode == "nohup" {
		signal.Ignore(syscall.SIGHUP)
	}
	job := launch.Job{Argv: argv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if mode == "cancel" { // when told to
		job.Stdin = nil
		go func() {
			os.Stdin.Read(make([]byte, 1))
			cancel()
		}()
	}
	exit, err := New().Launch(ctx, job)
	var start *launch.StartError
	if errors.As(err, &start) {
		os.Stderr.WriteString(err.Error() + "\n")
		return start.Code
	}
	return exit.Code
}

func needShell(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs sh")
	}
}

func run(t *testing.T, job launch.Job) (launch.Exit, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return New().Launch(ctx, job)
}

func TestLauncher(t *testing.T) {
	needShell(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	launchtest.Launcher(t, launchtest.LauncherHarness{
		Launcher: New(),
		Job:      func(*testing.T) launch.Job { return launch.Job{Env: []string{"PATH=" + os.Getenv("PATH")}} },
		Directory: func(t *testing.T, job *launch.Job) string {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			job.Dir = dir
			return dir
		},
		Added: func(string) bool { return false },
		Plain: plain,
	})
}

// A file is the process's own: it shares the offset and nothing is copied.
func TestFilesAreHandedOver(t *testing.T) {
	needShell(t)
	path := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("a")
	if _, err := run(t, launch.Job{Argv: []string{"sh", "-c", "printf b; printf c >&2"}, Stdout: f, Stderr: f}); err != nil {
		t.Fatal(err)
	}
	f.WriteString("d")
	if got, _ := os.ReadFile(path); string(got) != "abcd" {
		t.Errorf("got %q", got)
	}
}

func TestStarted(t *testing.T) {
	needShell(t)
	var pid int
	var out bytes.Buffer
	if _, err := run(t, launch.Job{Argv: []string{"sh", "-c", "echo $$"}, Stdout: &out, Started: func(p int) { pid = p }}); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); pid == 0 || got != strconv.Itoa(pid) {
		t.Errorf("told %d, is %s", pid, got)
	}
}

func TestCannotStart(t *testing.T) {
	needShell(t)
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("plain", "#!/bin/sh\n", 0o644)
	odd := write("odd", "no first line\n", 0o755)
	lost := write("lost", "#!/no/such/interpreter\n", 0o755)
	for _, tc := range []struct {
		job  launch.Job
		code int
		want string
	}{
		{launch.Job{}, 125, "there is no command to run"},
		{launch.Job{Argv: []string{"no-such-command-here"}}, 127, `"no-such-command-here": command not found`},
		{launch.Job{Argv: []string{"sh"}, Env: []string{"PATH=/nowhere"}}, 127, `"sh": command not found`},
		{launch.Job{Argv: []string{"sh"}, Env: []string{}}, 127, `"sh": command not found`},
		{launch.Job{Argv: []string{dir + "/none"}}, 127, `command not found`},
		{launch.Job{Argv: []string{plain + "/x"}}, 127, `command not found`},
		{launch.Job{Argv: []string{plain}}, 126, `permission denied`},
		{launch.Job{Argv: []string{"plain"}, Env: []string{"PATH=" + dir}}, 126, `permission denied`},
		{launch.Job{Argv: []string{dir}}, 126, `is a directory`},
		{launch.Job{Argv: []string{odd}}, 126, `exec format error`},
		{launch.Job{Argv: []string{lost}}, 126, `no such file`},
		{launch.Job{Argv: []string{"sh"}, Dir: dir + "/none"}, 125, `none": no such file`},
		{launch.Job{Argv: []string{"sh"}, Dir: plain}, 125, `is not a directory`},
		{launch.Job{Argv: []string{"sh", strings.Repeat("x", 8<<20)}}, 126, `argument list too long`},
		{launch.Job{Argv: []string{"sh"}, Image: "x"}, 125, `without a container engine`},
	} {
		tc.job.Started = func(int) { t.Error("started") }
		_, err := run(t, tc.job)
		var start *launch.StartError
		if !errors.As(err, &start) || start.Code != tc.code || !strings.Contains(err.Error(), tc.want) || schema.KindOf(err) != schema.Invalid {
			t.Errorf("%.80q: got %v", tc.job.Argv, err)
		}
	}
}

// A name with a slash is looked up from the directory of the command, as is a relative entry of its PATH.
func TestLookupFromDirectory(t *testing.T) {
	needShell(t)
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/sub/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sh, dir+"/sub/bin/tool"); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, job := range []launch.Job{
		{Argv: []string{"bin/tool", "-c", "exit 6"}, Dir: "sub"},
		{Argv: []string{"./bin/tool", "-c", "exit 6"}, Dir: dir + "/sub"},
		{Argv: []string{"sub/bin/tool", "-c", "exit 6"}},
		{Argv: []string{"tool", "-c", "exit 6"}, Dir: "sub", Env: []string{"PATH=nowhere:bin"}},
	} {
		if exit, err := run(t, job); err != nil || exit.Code != 6 {
			t.Errorf("%v in %q: %v %v", job.Argv, job.Dir, exit, err)
		}
	}
}
