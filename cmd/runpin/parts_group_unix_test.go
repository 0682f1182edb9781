//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a process that will be started the head of a group, so that killGroup ends all that it starts.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
