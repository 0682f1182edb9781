package launch

import (
	"context"
	"io"
)

// Launcher starts a command somewhere and waits for it.
type Launcher interface {
	// Name is what a record calls the place: local, podman, docker, slurm.
	Name() string
	// Launch returns how the command ended, whatever its exit code. An error is a [*StartError]: the command never ran. When ctx ends the
	// command is asked to stop (SIGTERM) and waited for; it is never killed.
	Launch(ctx context.Context, job Job) (Exit, error)
}

// Job is one command to run.
type Job struct {
	Argv []string
	Dir  string   // where it runs: on the host for local, in the container for containers
	Env  []string // NAME=value; the whole environment for local, additions only for containers
	// Withheld names variables of Env whose values no scheduler may keep.
	Withheld []string
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Image    string // for containers: repository@sha256:…, or sha256:… of an image that only this engine has
	Mounts   []Mount
	GPUs     string        // for containers: all, a number or device=ID,…; "" for none
	Started  func(pid int) // called once, when the process exists; may be nil
}

// Mount makes a host path visible in a container.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
}

// Exit is how a command ended: its code (128+n after signal n, whose name is Signal).
type Exit struct {
	Code   int
	Signal string
}

// The exit codes of a command that could not be started, as shells, env and nohup give them (POSIX.1-2017, Shell & Utilities §2.8.2), and
// that of a launcher that failed itself, as podman and docker give it.
const (
	CodeLauncher      = 125
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// StartError says that the command never ran. Code is what to exit with. Err is a [*schema.Error].
type StartError struct {
	Code int
	Err  error
}

// Error gives the cause.
func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }
