package launch

import (
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Process is one process of this host.
type Process struct {
	Path    string   // of the program
	Argv    []string // Argv[0] is what the program sees as its name
	Dir     string
	Env     []string // nil: runpin's own
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Started func(pid int)
}

// stopGrace is how long the end of a context waits to see whether it was a signal that ended it, which the process then has got already.
const stopGrace = 250 * time.Millisecond

// Run starts the process and waits for it. An error says that it did not start; it is the operating system's own.
//
// The process stays in runpin's process group and session, so that a terminal treats it like any command, and it does not die with runpin.
// Files are handed over as they are: a terminal stays a terminal, and no byte passes through runpin. Signals that runpin gets while the
// process runs are passed on to it (signal_unix.go) and have no effect on runpin. The end of ctx sends SIGTERM, unless a signal that stops
// processes was passed on just before; nothing is ever killed.
func Run(ctx context.Context, p Process) (Exit, error) {
	cmd := &exec.Cmd{Path: p.Path, Args: p.Argv, Dir: p.Dir, Env: p.Env, Stdout: sturdy(p.Stdout)}
	if cmd.Stderr = cmd.Stdout; !same(p.Stdout, p.Stderr) { // one writer is written to by one goroutine
		cmd.Stderr = sturdy(p.Stderr)
	}
	feed, err := stdin(cmd, p.Stdin)
	if err != nil {
		return Exit{}, err
	}
	signals := catch() // before the process exists: a signal that comes now is for it
	defer signals.release()
	if err := cmd.Start(); err != nil {
		feed.abandon()
		return Exit{}, err
	}
	feed.start()
	ended := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() { pass(ctx, cmd.Process, signals, ended) })
	if p.Started != nil {
		p.Started(cmd.Process.Pid)
	}
	_ = cmd.Wait() // what it says beyond the state is about copying output, which is not the process's business
	close(ended)
	passing.Wait()
	return exitOf(cmd.ProcessState), nil
}

// pass passes signals on to the process until it ended.
func pass(ctx context.Context, process *os.Process, signals *signals, ended <-chan struct{}) {
	done := ctx.Done()
	var stop <-chan time.Time
	stopped := false
	for {
		select {
		case <-ended:
			return
		case sig := <-signals.ch:
			stopped = stopped || stops(sig)
			if !reachedByTerminal(sig) {
				_ = process.Signal(sig)
			}
		case <-done:
			done, stop = nil, time.After(stopGrace)
		case <-stop:
			stop = nil
			if !stopped {
				terminate(process)
			}
		}
	}
}

// feeder copies a reader that is no file to the process. Unlike os/exec it does not hold up the end of the process until the reader ends.
type feeder struct {
	from        io.Reader
	read, write *os.File
}

func stdin(cmd *exec.Cmd, from io.Reader) (*feeder, error) {
	if file, ok := from.(*os.File); ok || from == nil {
		if file != nil {
			cmd.Stdin = file
		}
		return &feeder{}, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin = read
	return &feeder{from, read, write}, nil
}

func (f *feeder) start() {
	if f.from == nil {
		return
	}
	f.read.Close()
	go func() {
		_, _ = io.Copy(f.write, f.from) // fails with EPIPE when the process does not want more
		f.write.Close()
	}()
}

func (f *feeder) abandon() {
	if f.from != nil {
		f.read.Close()
		f.write.Close()
	}
}

// sturdy keeps a process from feeling that a writer of ours fails: it would get SIGPIPE. Files are passed as they are.
func sturdy(w io.Writer) io.Writer {
	if file, ok := w.(*os.File); ok {
		if file == nil {
			return nil
		}
		return file
	}
	if w == nil {
		return nil
	}
	return &sturdyWriter{to: w}
}

// same reports whether two writers are one; some types cannot be compared.
func same(a, b io.Writer) (is bool) {
	defer func() { _ = recover() }()
	return a == b
}

type sturdyWriter struct {
	to     io.Writer
	failed bool
}

func (s *sturdyWriter) Write(b []byte) (int, error) {
	if !s.failed {
		if _, err := s.to.Write(b); err != nil {
			s.failed = true
		}
	}
	return len(b), nil
}
