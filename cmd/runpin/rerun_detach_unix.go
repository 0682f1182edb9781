//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const terminationSignal = syscall.SIGTERM

// ownSession lets the process outlive this one's terminal.
func ownSession(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return nil
}

func keepToOneself(pipe *os.File) { unix.CloseOnExec(int(pipe.Fd())) }

// takeStreams lets go of the terminal: nothing is read any more, and what is printed goes to the log.
func takeStreams(log *os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd, file := range []*os.File{null, log, log} {
		if err := unix.Dup2(int(file.Fd()), fd); err != nil {
			return err
		}
	}
	return nil
}
