package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// A command with --detach is followed by a runpin of its own: the same command line, in a session of its own, with detachedVariable set. Until everything is in
// place it shares this process's terminal, so that a refusal is seen where it was asked for; then its output goes to rerun.log in the directory, and once the
// command runs this process ends. What the two have to say to each other goes through a pipe, line by line.

// detachedVariable is set for the runpin that stays. It is internal, and nothing that it starts sees it.
const detachedVariable = "RUNPIN_DETACHED"

// detachedStep is one line of the pipe.
type detachedStep struct {
	Dir     string       `json:"dir,omitempty"`     // everything is in place there, and from here on there is a log
	Run     schema.RunID `json:"run,omitempty"`     // it is written down
	Started bool         `json:"started,omitempty"` // its command runs
}

// runDetached leaves the command running and returns when it does, or when it was refused.
func runDetached(env *Env, c *cli.Context, run schema.Run) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: program, Args: os.Args, Env: append(env.Environ(), detachedVariable+"=1"), Stdin: env.In, Stdout: env.Out, Stderr: env.Err, ExtraFiles: []*os.File{write}}
	if err := ownSession(cmd); err != nil {
		return err
	}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return &schema.Error{Op: "rerun.detach", Kind: schema.Unavailable, Subject: program, Err: err}
	}
	told := make(chan struct{})
	defer close(told)
	go func() {
		select {
		case <-c.Context.Done(): // the terminal's Ctrl-C does not reach another session
			_ = cmd.Process.Signal(terminationSignal)
		case <-told:
		}
	}()
	var all detachedStep
	steps := json.NewDecoder(read)
	for steps.Decode(&all) == nil { // each adds to what is known
	}
	log := filepath.Join(all.Dir, rerun.LogName)
	if !all.Started {
		err := cmd.Wait()
		if all.Dir != "" {
			copyLog(env.Err, log)
		}
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() > 0:
			return &statusOnly{exit.ExitCode()}
		case err != nil:
			return &schema.Error{Op: "rerun.detach", Kind: schema.Internal, Subject: "the runpin that was to stay", Err: err}
		}
		return &schema.Error{Op: "rerun.detach", Kind: schema.Internal, Subject: "the runpin that was to stay", Err: errors.New("ended without a word")}
	}
	env.say("%s runs on; its output goes to %s, and runpin verify %s looks at it", all.Run.Short(), log, all.Run.Short())
	if c.Bool("json") {
		return env.printJSON(rerunJSON{Run: all.Run, Of: run.ID, Pins: []schema.Availability{}, Dir: all.Dir, Log: log})
	}
	_, err = fmt.Fprintln(env.Out, all.Run)
	return err
}

func copyLog(to io.Writer, path string) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = io.Copy(to, io.LimitReader(file, 1<<20))
}

// detached is the end of the pipe that belongs to the runpin that stays.
type detached struct{ pipe *os.File }

// detachedReport finds the pipe, when this is the runpin that stays. What it starts gets neither the pipe nor the variable.
func detachedReport() (detached, bool) {
	if os.Getenv(detachedVariable) == "" {
		return detached{}, false
	}
	_ = os.Unsetenv(detachedVariable)
	pipe := os.NewFile(3, "pipe")
	if pipe == nil {
		return detached{}, false
	}
	if info, err := pipe.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return detached{}, false
	}
	keepToOneself(pipe)
	return detached{pipe}, true
}

func (d detached) say(step detachedStep) {
	b, _ := json.Marshal(step)
	_, _ = d.pipe.Write(append(b, '\n')) // whoever asked may be gone: the run goes on
}

// follow has the rerun tell how far it is.
func (d detached) follow(env *Env, w *wiring, dir string) {
	w.inPlace = func() error {
		w.progress.clear()
		log, err := openLog(dir)
		if err != nil {
			return err
		}
		if err := takeStreams(log); err != nil {
			return &schema.Error{Op: "rerun.detach", Kind: schema.Unavailable, Subject: log.Name(), Err: err}
		}
		env.OutTTY, env.ErrTTY, env.Color = false, false, false
		d.say(detachedStep{Dir: dir})
		return nil
	}
	w.written = func(id schema.RunID) { d.say(detachedStep{Run: id}) }
	w.started = func() { d.say(detachedStep{Started: true}); d.pipe.Close() }
}

// openLog opens the log of a rerun in its directory, to write at its end.
func openLog(dir string) (*os.File, error) {
	path := filepath.Join(dir, rerun.LogName)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		if info, statErr := os.Lstat(path); statErr == nil && !info.Mode().IsRegular() {
			err = errors.New("it is not a regular file")
		}
	}
	var log *os.File
	if err == nil {
		log, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	if err != nil {
		return nil, &schema.Error{Op: "rerun.log", Kind: schema.Unavailable, Subject: path, Err: err, Hint: "name another place: --workdir DIR"}
	}
	return log, nil
}
