// Package local answers one question: how is a command run on this host?
//
// It starts the command as a shell would: found on the PATH of the environment that the command gets, in its directory, with stdin, stdout and
// stderr passed through. It imports schema and rerun/launch, whose [launch.Run] does the work.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Launcher runs commands on this host.
type Launcher struct{}

// New gives a launcher.
func New() *Launcher { return &Launcher{} }

// Name is "local".
func (*Launcher) Name() string { return "local" }

// Launch runs job.Argv in job.Dir with job.Env as its whole environment (nil: runpin's own). Job.Image and Job.Mounts must be empty.
//
// A [*launch.StartError] has code 127 when there is no such command, 126 when it cannot be executed, 125 for anything else that kept it from
// being started.
func (*Launcher) Launch(ctx context.Context, job launch.Job) (launch.Exit, error) {
	if len(job.Argv) == 0 || job.Argv[0] == "" {
		return launch.Exit{}, refused(launch.CodeLauncher, "", errors.New("there is no command to run"), "")
	}
	if job.Image != "" || len(job.Mounts) > 0 {
		return launch.Exit{}, refused(launch.CodeLauncher, job.Argv[0], errors.New("an image cannot be run without a container engine"),
			"run it with podman or docker")
	}
	if job.Dir != "" {
		if info, err := os.Stat(job.Dir); err != nil || !info.IsDir() {
			if err == nil {
				err = errors.New("is not a directory")
			}
			return launch.Exit{}, refused(launch.CodeLauncher, job.Dir, cause(err), "")
		}
	}
	path, err := lookup(job.Argv[0], job.Dir, job.Env)
	if err != nil {
		return launch.Exit{}, err
	}
	exit, err := launch.Run(ctx, launch.Process{Path: path, Argv: job.Argv, Dir: job.Dir, Env: job.Env, Stdin: job.Stdin, Stdout: job.Stdout,
		Stderr: job.Stderr, Started: job.Started})
	if err != nil {
		return launch.Exit{}, startError(job.Argv[0], err)
	}
	return exit, nil
}

// startError classes what the operating system says when it does not start a program that is there.
func startError(command string, err error) error {
	hint := ""
	switch {
	case isFormatError(err):
		hint = "a script begins with a line that names its interpreter, such as #!/bin/sh"
	case errors.Is(err, fs.ErrNotExist):
		hint = "the interpreter that its first line names does not exist"
	case isTooLong(err):
		return refused(launch.CodeNotExecutable, command, cause(err), "its arguments and environment are larger than the system allows")
	case !errors.Is(err, fs.ErrPermission):
		return refused(launch.CodeLauncher, command, cause(err), "")
	}
	return refused(launch.CodeNotExecutable, command, cause(err), hint)
}

// cause leaves out what the subject says already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func notFound(command string) error {
	return refused(launch.CodeNotFound, command, errors.New("command not found"), "")
}

func refused(code int, subject string, err error, hint string) error {
	return &launch.StartError{Code: code, Err: &schema.Error{Op: "launch.local", Kind: schema.Invalid, Subject: quoted(subject), Err: err, Hint: hint}}
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%q", schema.Shorten(s, 300))
}
