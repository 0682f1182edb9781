//go:build unix

package local

import (
	"bufio"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// as starts this test binary in place of runpin, launching a shell script, in a session of its own: without a terminal.
func as(t *testing.T, mode, script string, stdin ...*os.File) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-as-helper", mode, "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	for _, f := range stdin {
		cmd.Stdin = f
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the whole session: a test that waits in vain ends
	late := time.AfterFunc(time.Minute, stop)
	t.Cleanup(func() { late.Stop(); stop() })
	return cmd, bufio.NewReader(out)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return strings.TrimSpace(s)
}

// waits is a script that says when it is ready and which signals it gets, and ends with 7 on the given one.
func waits(end string) string {
	script := "for s in INT TERM HUP QUIT USR1 USR2; do trap \"echo got $s\" $s; done; trap 'echo got " + end + "; exit 7' " + end +
		"; echo ready; while :; do sleep 0.05; done"
	return script
}

// What is sent to runpin alone reaches the command, once, and its exit code comes back.
func TestSignalsArePassedOn(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2} {
		name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
		if signal.Ignored(sig) {
			t.Logf("%s is ignored here (nohup), and a shell cannot trap it", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			cmd, out := as(t, "run", waits(name))
			if got := line(t, out); got != "ready" {
				t.Fatal(got)
			}
			cmd.Process.Signal(sig)
			if got := line(t, out); got != "got "+name {
				t.Fatal(got)
			}
			if cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
				t.Error(cmd.ProcessState)
			}
		})
	}
}

// A command that survives a signal goes on, and so does runpin.
func TestSignalThatDoesNotEndTheCommand(t *testing.T) {
	cmd, out := as(t, "run", waits("TERM"))
	line(t, out)
	for range 3 {
		cmd.Process.Signal(unix.SIGINT)
		if got := line(t, out); got != "got INT" {
			t.Fatal(got)
		}
	}
	cmd.Process.Signal(unix.SIGTERM)
	if got := line(t, out); got != "got TERM" {
		t.Fatal(got)
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Error(cmd.ProcessState)
	}
}

func TestCancelSendsSIGTERM(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd, out := as(t, "cancel", waits("TERM"), read)
	if got := line(t, out); got != "ready" {
		t.Fatal(got)
	}
	write.Close()
	if got := line(t, out); got != "got TERM" {
		t.Fatal(got)
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Error(cmd.ProcessState)
	}
}

// The command outlives a recorder that is killed.
func TestKilledRecorder(t *testing.T) {
	cmd, out := as(t, "run", "echo ready; sleep 0.3; echo still here")
	line(t, out)
	cmd.Process.Kill()
	if got := line(t, out); got != "still here" {
		t.Errorf("got %q", got)
	}
	cmd.Wait()
}

// nohup's ignored SIGHUP stays ignored.
func TestIgnoredSignalStaysIgnored(t *testing.T) {
	cmd, out := as(t, "nohup", "kill -HUP $$; echo still here; exit 3")
	if got := line(t, out); got != "still here" {
		t.Error(got)
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Error(cmd.ProcessState)
	}
}

// Nobody reads runpin's stdout: the command gets SIGPIPE as it would without runpin, and runpin lives to tell its end.
func TestClosedPipe(t *testing.T) {
	cmd := exec.Command("sh", "-c", `{ "$0" -as-helper run sh -c 'trap "" PIPE; sleep 0.2; echo x 2>/dev/null; exit 8'; echo $? >&2; } | true`, os.Args[0])
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "8" {
		t.Errorf("%v %q", err, out)
	}
}
