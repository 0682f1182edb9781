package local

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal.
func terminal(t *testing.T) (control, tty *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	number, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	t.Cleanup(func() { control.Close(); tty.Close() })
	return control, tty
}

// A terminal stays a terminal for the command, and Ctrl-C reaches it once.
func TestTerminal(t *testing.T) {
	control, tty := terminal(t)
	cmd := exec.Command(os.Args[0], "-as-helper", "run", "sh", "-c",
		"test -t 0 && test -t 1 && test -t 2 && echo tty; n=0; trap 'n=$((n+1))' INT; trap 'echo ints $n; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	out := bufio.NewReader(control)
	if got := line(t, out); got != "tty" {
		t.Fatalf("got %q", got)
	}
	if got := line(t, out); got != "ready" {
		t.Fatalf("got %q", got)
	}
	control.Write([]byte{3})
	for n := 0; ; n++ { // the signal is there when the shell has gone round its loop; TERM asks what it counted
		if b, err := out.Peek(2); err == nil && string(b) == "^C" {
			break
		}
		if n == 100 {
			t.Fatal("no echo of Ctrl-C")
		}
	}
	cmd.Process.Signal(unix.SIGTERM)
	if got := line(t, out); !strings.HasSuffix(got, "ints 1") {
		t.Errorf("got %q", got)
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Error(cmd.ProcessState)
	}
}
