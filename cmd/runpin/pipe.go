package main

import (
	"os"
	"os/signal"
	"syscall"
)

// survivePipe keeps a closed stdout or stderr from ending the program before it has written its report; undo restores the default, by which
// `runpin list | head` ends quietly. The signal is taken, not ignored: a command that is started would inherit that.
func survivePipe() (undo func()) {
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, syscall.SIGPIPE)
	return func() { signal.Stop(taken) }
}
