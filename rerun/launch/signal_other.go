//go:build !unix

package launch

import (
	"os"
	"os/signal"
)

type signals struct{ ch chan os.Signal }

// catch keeps Ctrl-C from ending runpin. The console sends it to every process of its group, the command included, so there is nothing to pass on.
func catch() *signals {
	s := &signals{ch: make(chan os.Signal, 64)}
	signal.Notify(s.ch, os.Interrupt)
	return s
}

func (s *signals) release() { signal.Stop(s.ch) }

func reachedByTerminal(os.Signal) bool { return true }

func stops(os.Signal) bool { return true }

// terminate does nothing: there is no way to ask a process of another program to end, and killing is not ours to do.
func terminate(*os.Process) {}

func exitOf(state *os.ProcessState) Exit { return Exit{Code: state.ExitCode()} }
