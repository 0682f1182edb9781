package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/local"
	"github.com/runpin/runpin/schema"
)

// compareTimeout is how long a compare command may take, unless RUNPIN_COMPARE_TIMEOUT says otherwise; compareGrace what it has to end after SIGTERM.
const (
	compareTimeout = 10 * time.Minute
	compareGrace   = 5 * time.Second
)

// compareRunner runs the commands that compare outputs, on this machine and without a shell.
type compareRunner struct{ env *Env }

// RunCompare implements rerun.CompareRunner. What the command writes goes to files, so that nothing it leaves behind can hold runpin up.
func (r compareRunner) RunCompare(ctx context.Context, argv []string, dir string) (rerun.Compared, error) {
	most := duration(r.env, "RUNPIN_COMPARE_TIMEOUT")
	if most <= 0 {
		most = compareTimeout
	}
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	nothing, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return rerun.Compared{}, err
	}
	defer closeQuietly(nothing)
	said, err := os.CreateTemp("", "runpin-compare-*")
	if err != nil {
		return rerun.Compared{}, err
	}
	defer func() { closeQuietly(said); _ = os.Remove(said.Name()) }()
	var process atomic.Int64
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
			return
		case <-limited.Done():
		}
		select {
		case <-ended:
		case <-time.After(compareGrace):
			if p, err := os.FindProcess(int(process.Load())); err == nil && process.Load() > 0 {
				_ = p.Kill()
			}
		}
	}()
	exit, err := local.New().Launch(limited, launch.Job{Argv: argv, Dir: dir, Env: r.env.Environ(), Stdin: nothing, Stdout: nothing, Stderr: said,
		Started: func(pid int) { process.Store(int64(pid)) }})
	close(ended)
	switch {
	case err != nil:
		return rerun.Compared{}, err
	case ctx.Err() != nil:
		return rerun.Compared{}, errInterrupted
	case limited.Err() != nil:
		return rerun.Compared{}, fmt.Errorf("it was stopped after %s; RUNPIN_COMPARE_TIMEOUT gives it longer", most)
	}
	return rerun.Compared{Code: exit.Code, Said: lastLine(said)}, nil
}

// lastLine gives the last line that is not empty of what a command wrote.
func lastLine(file *os.File) string {
	const most = 4096
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	tail := make([]byte, min(end, most))
	if _, err := file.ReadAt(tail, end-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(tail)), "\n")
	line := schema.Shorten(strings.TrimSpace(lines[len(lines)-1]), 500)
	if _, secret := redact.Content([]byte(line)); secret {
		return "" // what it said goes into the record
	}
	return line
}
