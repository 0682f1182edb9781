//go:build !unix

package main

import (
	"errors"
	"os"
	"os/exec"

	"github.com/runpin/runpin/schema"
)

var terminationSignal = os.Kill

// ownSession: this system has no sessions that a process could leave behind a command in.
func ownSession(*exec.Cmd) error {
	return &schema.Error{Op: "rerun.detach", Kind: schema.Invalid, Subject: "--detach", Err: errors.New("a command cannot be left running on this system"),
		Hint: "leave out --detach and start runpin in the background; a job spec can be detached"}
}

func keepToOneself(*os.File) {}

func takeStreams(*os.File) error { return errors.ErrUnsupported }
