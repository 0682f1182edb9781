//go:build unix

package slurm

import "golang.org/x/sys/unix"

// nonBlocking keeps the opening of a pipe from waiting for its other end.
const nonBlocking = unix.O_NONBLOCK

func signalName(n int) string { return unix.SignalName(unix.Signal(n)) }
