package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Launch runs job.Argv in job.Dir on a node, with job.Env as its environment (nil: runpin's own) and what Slurm sets besides: SLURM_* variables are Slurm's to set.
// Its stdin is empty. It is never requeued. Job.Image and Job.Mounts must be empty.
//
// job.Dir, or Options.Files where there is one, must be on a file system that the node shares: the output comes through files in it, which are gone in the end. A node
// that does not see them refuses: a [*launch.StartError] of code 125. Code 127 or 126 says that there is no such command there, or that it cannot be executed. Where
// Slurm does not say how the command ended, that is a StartError of code 125 too, which names the job.
func (l *Launcher) Launch(ctx context.Context, job launch.Job) (launch.Exit, error) {
	c, err := l.command(job)
	if err != nil {
		return launch.Exit{}, start(launch.CodeLauncher, err)
	}
	if ctx.Err() != nil {
		return launch.Exit{}, start(launch.CodeLauncher, fail(schema.Interrupted, c.subject, ctx.Err(), ""))
	}
	defer c.remove()
	if err := writeNew(c.file("job"), c.work()); err != nil {
		return launch.Exit{}, start(launch.CodeLauncher, fail(schema.Invalid, shown(c.files), err, "give a directory that can be written to, and that the nodes see"))
	}
	handle, err := c.submit(ctx)
	if err != nil {
		return launch.Exit{}, start(launch.CodeLauncher, err)
	}
	return c.wait(ctx, handle.Job)
}

// command is one command that is run as a job.
type command struct {
	launcher *Launcher
	job      launch.Job
	subject  string
	dir      string
	files    string // the directory of our files
	prefix   string // their common beginning
	odd      []string
	env      []string
	withheld []string // variables that Slurm does not get
	keep     bool     // the job may go on
	started  sync.Once
}

// command checks what can be checked here.
func (l *Launcher) command(job launch.Job) (*command, error) {
	if len(job.Argv) == 0 || job.Argv[0] == "" {
		return nil, fail(schema.Invalid, "", errors.New("there is no command to run"), "")
	}
	c := &command{launcher: l, job: job, subject: fmt.Sprintf("%q", schema.Shorten(job.Argv[0], 300)), dir: job.Dir, files: l.options.Files}
	invalid := func(subject, reason, hint string) error {
		return fail(schema.Invalid, subject, errors.New(reason), hint)
	}
	if job.Image != "" || len(job.Mounts) > 0 {
		return nil, invalid(c.subject, "an image cannot be run without a container engine", "run it with podman or docker, or write a batch script that starts the image")
	}
	for _, arg := range job.Argv {
		if strings.ContainsRune(arg, 0) {
			return nil, invalid(c.subject, "has an argument with a NUL byte, which no system can pass", "")
		}
	}
	var err error
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return nil, fail(schema.Invalid, shown(job.Dir), err, "")
	}
	if info, err := os.Stat(c.dir); err != nil || !info.IsDir() {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		} else {
			err = errors.New("is not a directory")
		}
		return nil, fail(schema.Invalid, fmt.Sprintf("%q", schema.Shorten(job.Dir, 300)), err, "")
	}
	if c.files == "" {
		c.files = c.dir
	} else if c.files, err = filepath.Abs(c.files); err != nil {
		return nil, fail(schema.Invalid, shown(l.options.Files), err, "")
	}
	if strings.ContainsAny(c.files, "%\\\n\r") {
		return nil, invalid(fmt.Sprintf("%q", c.files), "has a character in its path that means something to Slurm: % or \\ or a line end", "run it in another directory")
	}
	c.prefix = filepath.Join(c.files, ".runpin-slurm-"+nonce())
	return c, c.environment()
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment sorts the variables: the last of a name wins, Slurm's are left to Slurm, and those whose name a shell drops, such as functions of bash, are put back by env.
func (c *command) environment() error {
	env := c.job.Env
	if env == nil {
		env = os.Environ()
	}
	seen := map[string]bool{}
	for _, kv := range slices.Backward(env) {
		name, value, ok := strings.Cut(kv, "=")
		if strings.ContainsRune(kv, 0) {
			return fail(schema.Invalid, fmt.Sprintf("%q", schema.Shorten(name, 100)), errors.New("is a variable with a NUL byte, which no system can pass"), "")
		}
		if !ok || name == "" || seen[name] || strings.HasPrefix(name, "SLURM") {
			continue
		}
		seen[name] = true
		switch {
		case !variable.MatchString(name):
			c.odd = append(c.odd, name+"="+value)
		case slices.Contains(c.job.Withheld, name):
			c.withheld = append(c.withheld, name+"="+value)
		default:
			c.env = append(c.env, name+"="+value)
		}
	}
	slices.Reverse(c.env)
	if name := c.job.Argv[0]; name[0] == '-' || len(c.odd) > 0 && strings.Contains(name, "=") {
		return fail(schema.Invalid, c.subject, errors.New("has a name that a shell and env would take for something else"), "give its path")
	}
	return nil
}

func (c *command) file(kind string) string { return c.prefix + "." + kind }

// script has the node's shell do the work. It says by its files what has become of that, because an exit code alone may be the command's own. It uses nothing but
// the shell itself. Slurm shows a batch script to whoever may ask, and can keep it for ever: so what the command is given, which may be a secret, is not in it.
func (c *command) script() []byte {
	var s strings.Builder
	s.WriteString("#!/bin/sh\n# made by runpin: it runs one command\n")
	fmt.Fprintf(&s, "cd -- %s 2>/dev/null && [ -e %s ] || exit %d\n", quote(c.dir), quote(c.file("job")), launch.CodeLauncher)
	fmt.Fprintf(&s, "refused() { : >%s; }\ntrap refused 0\n", quote(c.file("refused")))
	fmt.Fprintf(&s, "echo $$ >%s || exit %d\n", quote(c.file("started")), launch.CodeLauncher)
	if !slices.ContainsFunc(c.env, func(kv string) bool { return strings.HasPrefix(kv, "OLDPWD=") }) {
		s.WriteString("unset OLDPWD\n")
	}
	fmt.Fprintf(&s, ". %s\n", quote(c.file("job")))
	return []byte(s.String())
}

// work is the shell's part of a file that only the user can read: it execs the command. A shell reads all between the braces before it begins, so the file can be
// emptied first.
func (c *command) work() []byte {
	var s strings.Builder
	fmt.Fprintf(&s, "{\ncommand : 2>/dev/null >%s\n", quote(c.file("job")))
	for _, kv := range c.withheld {
		name, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&s, "command export %s=%s 2>/dev/null\n", name, quote(value))
	}
	if len(c.odd) > 0 { // env would fail in the command's name
		if name := quote(c.job.Argv[0]); strings.Contains(c.job.Argv[0], "/") {
			fmt.Fprintf(&s, "[ -e %s ] || exit %d\n[ -x %s ] && ! [ -d %s ] || exit %d\n", name, launch.CodeNotFound, name, name, launch.CodeNotExecutable)
		} else {
			fmt.Fprintf(&s, "command -v %s >/dev/null || exit %d\n", name, launch.CodeNotFound)
		}
	}
	s.WriteString("exec")
	if len(c.odd) > 0 {
		s.WriteString(" env")
		for _, kv := range c.odd {
			s.WriteString(" " + quote(kv))
		}
	}
	for _, arg := range c.job.Argv {
		s.WriteString(" " + quote(arg))
	}
	s.WriteString("\n}\n")
	return []byte(s.String())
}

// writeNew writes a file that nobody else can read, and that was not there.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// quote quotes any bytes but NUL for a shell. sbatch takes a script with \r\n for one of DOS wherever these stand, so they are parted.
func quote(s string) string {
	s = strings.ReplaceAll(s, "'", `'\''`)
	return "'" + strings.ReplaceAll(s, "\r\n", "\r''\n") + "'"
}

func (c *command) submit(ctx context.Context) (schema.Launched, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return schema.Launched{}, fail(schema.Internal, c.subject, err, "")
	}
	defer read.Close()
	var feeding sync.WaitGroup
	feeding.Go(func() {
		defer write.Close()
		_, _ = io.WriteString(write, strings.Join(c.env, "\x00")+"\x00") // what sbatch did not read, the job has not got; it then was refused
	})
	token := "try=" + nonce()
	for _, kv := range c.env {
		if id, ok := strings.CutPrefix(kv, "RUNPIN_RUN_ID="); ok {
			if _, err := schema.ParseRunID(id); err == nil {
				token = "runpin.dev/run=" + id + " " + token
			}
		}
	}
	args := append(slices.Clone(c.launcher.options.Args), "--parsable", "--chdir="+c.dir, "--job-name="+jobName(c.job.Argv[0]), "--comment="+token,
		"--no-requeue", "--export-file=3", "--input=/dev/null", "--output="+c.file("out"))
	if !c.together() {
		args = append(args, "--error="+c.file("err"))
	}
	handle, err := c.launcher.sbatch(ctx, c.subject, token, request{args: args, stdin: bytes.NewReader(c.script()), extra: []*os.File{read}})
	read.Close()
	feeding.Wait()
	return handle, err
}

// together reports whether both outputs go to one writer, so that their order is to be kept.
func (c *command) together() (is bool) {
	defer func() { _ = recover() }() // some types cannot be compared
	return c.job.Stdout == c.job.Stderr
}

func (c *command) wait(ctx context.Context, id string) (launch.Exit, error) {
	p := place{out: c.file("out"), dir: c.dir}
	w := c.launcher.watch(id, "")
	if w.out.to = c.job.Stdout; !c.together() {
		p.err, w.err = c.file("err"), &sink{to: c.job.Stderr}
	}
	w.place, w.wake = &p, ctx.Done()
	w.gate = c.ran
	w.shows = func() bool {
		return exists(c.file("started")) || exists(c.file("refused")) || !w.known[id].begun() || w.known[id].noOutput()
	}
	asked := false
	w.onState = func(asking context.Context, all map[string]task) {
		if c.ran() {
			c.tellStarted()
		}
		if ctx.Err() != nil && !asked {
			asked = c.launcher.asksToEnd(asking, id, all[id])
		}
	}
	if err := w.follow(context.WithoutCancel(ctx)); err != nil {
		c.keep = true
		return launch.Exit{}, start(launch.CodeLauncher, err)
	}
	t := w.known[id]
	if c.ran() {
		c.tellStarted()
		if t.state != "COMPLETED" && t.state != "FAILED" && t.state != "CANCELLED" {
			c.launcher.options.Warn("job %s: %s", id, t.why())
		}
		return t.exit(), nil
	}
	return launch.Exit{}, c.neverRan(ctx, t)
}

// ran reports whether the command was executed, as far as it shows here.
func (c *command) ran() bool { return exists(c.file("started")) && !exists(c.file("refused")) }

func exists(path string) bool {
	file, err := os.Open(path) // makes a network file system look again
	if err == nil {
		file.Close()
	}
	return err == nil
}

func (c *command) tellStarted() {
	c.started.Do(func() {
		if c.job.Started != nil {
			text, _ := os.ReadFile(c.file("started"))
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			c.job.Started(pid)
		}
	})
}

// neverRan says why.
func (c *command) neverRan(ctx context.Context, t task) error {
	exit := t.exit()
	shared := "give a directory on a file system that the nodes share"
	switch {
	case exists(c.file("refused")):
		code, said := exit.Code, errors.New("could not be started")
		switch code {
		case launch.CodeNotFound:
			said = errors.New("command not found")
		case launch.CodeNotExecutable:
			said = errors.New("cannot be executed")
		default:
			code = launch.CodeLauncher
		}
		if words := c.lastWords(); words != "" {
			said = fmt.Errorf("%w on %s: %s", said, nodeOr(t.node), words)
		}
		return start(code, fail(schema.Invalid, c.subject, said, ""))
	case ctx.Err() != nil:
		return start(launch.CodeLauncher, fail(schema.Interrupted, c.subject, ctx.Err(), ""))
	case t.noOutput() || exit.Code == launch.CodeLauncher && exit.Signal == "":
		return start(launch.CodeLauncher, fail(schema.Invalid, shown(c.files), fmt.Errorf("%s does not see it, so that job %s ran nothing", nodeOr(t.node), t.id), shared))
	}
	return start(launch.CodeLauncher, fail(schema.Unavailable, "job "+t.id, fmt.Errorf("ended before the command began: %s", t.why()), shared))
}

// lastWords gives what the shell said when it could not execute the command.
func (c *command) lastWords() string {
	path := c.file("err")
	if c.together() {
		path = c.file("out")
	}
	file, _, err := open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, maxComplaint))
	line := complaint(string(text))
	if _, after, ok := strings.Cut(line, "exec: "); ok {
		line = after
	}
	return line
}

// remove takes our files away.
func (c *command) remove() {
	if c.keep {
		return
	}
	for _, kind := range []string{"job", "started", "refused", "out", "err"} {
		_ = os.Remove(c.file(kind))
	}
}

func start(code int, err error) error { return &launch.StartError{Code: code, Err: err} }
