//go:build unix

package launch

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that are passed on: those with which people, shells, schedulers (Slurm's --signal, Kubernetes' SIGTERM) and service
// managers talk to a training.
var passedOn = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH}

type signals struct{ ch chan os.Signal }

// catch takes over the signals. One that is ignored stays so, because the process inherits that: nohup works. SIGPIPE is caught and dropped:
// when nobody reads runpin's own output any more, runpin must live on to write the record.
func catch() *signals {
	s := &signals{ch: make(chan os.Signal, 64)}
	take := []os.Signal{unix.SIGPIPE}
	for _, sig := range passedOn {
		if !signal.Ignored(sig) {
			take = append(take, sig)
		}
	}
	signal.Notify(s.ch, take...)
	return s
}

func (s *signals) release() { signal.Stop(s.ch) }

// reachedByTerminal reports whether the process has got the signal by itself, or must not get it. A terminal sends SIGINT (Ctrl-C), SIGQUIT
// (Ctrl-\) and SIGWINCH to every process of its foreground group, to runpin and to the process alike; passing it on would deliver it twice,
// and the second SIGINT breaks off the clean-up that the first began. Go does not tell who sent a signal, so while runpin is in the foreground
// of its terminal these three are taken to come from there: a SIGINT sent to runpin alone with kill is then not passed on; SIGTERM always is.
func reachedByTerminal(sig os.Signal) bool {
	switch sig {
	case unix.SIGPIPE, unix.SIGURG:
		return true
	case unix.SIGINT, unix.SIGQUIT, unix.SIGWINCH:
		return inForeground()
	default:
		return false
	}
}

// inForeground reports whether runpin's process group is the foreground group of its controlling terminal.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// stops reports whether the signal asks a process to end.
func stops(sig os.Signal) bool {
	return sig == unix.SIGINT || sig == unix.SIGTERM || sig == unix.SIGHUP || sig == unix.SIGQUIT
}

func terminate(process *os.Process) { _ = process.Signal(unix.SIGTERM) }

// exitOf gives the exit code as a shell does: 128+n after signal n.
func exitOf(state *os.ProcessState) Exit {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return Exit{Code: 128 + int(status.Signal()), Signal: unix.SignalName(status.Signal())}
	}
	return Exit{Code: state.ExitCode()}
}
