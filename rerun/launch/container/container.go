package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// The engines.
const (
	Podman = "podman"
	Docker = "docker"
)

// Options are what a user can set.
type Options struct {
	Args     []string  // more arguments for the engine's create, such as --device nvidia.com/gpu=all or --network none
	Progress io.Writer // what the engine says while it pulls; nil for nowhere
	Program  string    // path of the engine's program; "" to look it up
}

// Launcher runs commands in containers.
type Launcher struct {
	engine  string
	program string
	options Options
}

// New gives a launcher for podman or docker. An error has kind Invalid for another engine, Unavailable when the engine is not installed.
func New(engine string, options Options) (*Launcher, error) {
	if engine != Podman && engine != Docker {
		return nil, &schema.Error{Op: "launch.container", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(engine, 100)),
			Err: errors.New("is not a container engine that runpin knows"), Hint: "the engines are podman and docker"}
	}
	l := &Launcher{engine: engine, program: options.Program, options: options}
	if l.program == "" {
		path, err := exec.LookPath(engine)
		if err != nil {
			return nil, &schema.Error{Op: "launch.container", Kind: schema.Unavailable, Subject: engine, Err: errors.New("is not installed"),
				Hint: "install " + engine + ", or put it on the PATH"}
		}
		l.program = path
	}
	return l, nil
}

// Name is "podman" or "docker".
func (l *Launcher) Name() string { return l.engine }

// Launch runs job.Argv as the arguments of job.Image's entrypoint (alone where the image has none), in job.Dir of the container, with job.Env
// added to the image's environment and job.Mounts in place. Job.Image must name a digest, and the image must be there: see
// [Launcher.EnsureImage]. A terminal is allocated when stdin, stdout and stderr all are one.
//
// A [*launch.StartError] has code 127 or 126 when the image has no such command or cannot execute it, 125 for anything else that the engine
// refused. The container is removed at the end; one that a killed recorder leaves behind has the label runpin.dev/run.
func (l *Launcher) Launch(ctx context.Context, job launch.Job) (launch.Exit, error) {
	if err := ctx.Err(); err != nil {
		return launch.Exit{}, &launch.StartError{Code: launch.CodeLauncher,
			Err: &schema.Error{Op: "launch.container", Kind: schema.Interrupted, Subject: job.Image, Err: err}}
	}
	tty := isTerminal(job.Stdin) && isTerminal(job.Stdout) && isTerminal(job.Stderr)
	args, env, err := l.createArgs(job, tty, l.user(ctx))
	if err != nil {
		return launch.Exit{}, startError(launch.CodeLauncher, err)
	}
	// A client that is killed while it creates a container would leave it behind: the end of ctx waits for its word.
	quiet := context.WithoutCancel(ctx)
	created, err := l.run(quiet, env, args...)
	if err != nil {
		return launch.Exit{}, startError(launch.CodeLauncher, l.engineError(job.Image, err))
	}
	id := lastLine(created)
	if !isID(id) {
		return launch.Exit{}, startError(launch.CodeLauncher, l.engineError(job.Image, fmt.Errorf("gave no container id: %q", schema.Shorten(id, 200))))
	}
	defer l.remove(id)
	if l.engine == Podman { // finds out whether the command can be executed, and says why not where we can hear it
		if _, err := l.run(quiet, nil, "init", id); err != nil {
			return launch.Exit{}, startError(codeOf(err.Error()), l.engineError(job.Image, err))
		}
	}
	if err := ctx.Err(); err != nil {
		return launch.Exit{}, startError(launch.CodeLauncher, l.engineError(job.Image, err))
	}
	return l.start(ctx, id, job, tty)
}

// CreateArgs gives the command line with which [Launcher.Launch] would create the container, without the values of variables.
func (l *Launcher) CreateArgs(ctx context.Context, job launch.Job) ([]string, error) {
	args, _, err := l.createArgs(job, false, l.user(ctx))
	for i := 1; i < len(args)-len(job.Argv); i++ {
		if args[i-1] == "--env" {
			args[i], _, _ = strings.Cut(args[i], "=")
		}
	}
	return append([]string{l.engine}, args...), err
}

// start starts the container and waits for its end.
func (l *Launcher) start(ctx context.Context, id string, job launch.Job, tty bool) (launch.Exit, error) {
	argv := []string{l.engine, "start", "--attach", "--interactive"}
	if tty && l.engine == Podman {
		argv = append(argv, "--detach-keys=") // every key is the command's
	}
	var once sync.Once
	started := func(pid int) {
		once.Do(func() {
			if job.Started != nil {
				job.Started(pid)
			}
		})
	}
	client := 0
	watching, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	exit, err := launch.Run(ctx, launch.Process{Path: l.program, Argv: append(argv, id), Stdin: job.Stdin, Stdout: job.Stdout, Stderr: job.Stderr,
		Started: func(pid int) {
			client = pid
			watch.Go(func() { l.watch(watching, id, client, started) })
		}})
	stop()
	watch.Wait()
	if err != nil {
		return launch.Exit{}, startError(launch.CodeLauncher, l.engineError(job.Image, err))
	}
	state, err := l.finalState(id)
	switch {
	case err != nil && (exit.Code < launch.CodeLauncher || exit.Code > launch.CodeNotFound): // the client's word is all we have
		started(client)
		return launch.Exit{Code: exit.Code}, nil
	case err != nil:
		return launch.Exit{}, startError(launch.CodeLauncher, l.engineError(job.Image, fmt.Errorf("does not say how the command ended: %w", err)))
	case !state.ran():
		cause := state.Error
		if cause == "" {
			cause = fmt.Sprintf("did not start the container (exit code %d)", exit.Code)
		}
		return launch.Exit{}, startError(state.startCode(cause), l.engineError(job.Image, errors.New(cause)))
	}
	started(client)
	return launch.Exit{Code: state.ExitCode}, nil
}

// watch tells when the container runs.
func (l *Launcher) watch(ctx context.Context, id string, client int, started func(int)) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		state, err := l.state(ctx, id)
		if err != nil || !state.ran() {
			continue
		}
		pid := state.Pid
		if pid == 0 {
			pid = client
		}
		started(pid)
		return
	}
}

// remove removes the container with its anonymous volumes. That it fails hurts nobody but the disk.
func (l *Launcher) remove(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = l.run(ctx, nil, "rm", "--volumes", id)
}

// user gives the user that a container must run as for its files to be the caller's, or "". Podman without root maps the container's root to
// the caller, as does docker without root; docker with root does not.
func (l *Launcher) user(ctx context.Context) string {
	uid := os.Getuid()
	if l.engine != Docker || uid <= 0 {
		return ""
	}
	options, err := l.run(ctx, nil, "info", "--format", "{{.SecurityOptions}}")
	if err != nil || strings.Contains(options, "rootless") {
		return ""
	}
	return fmt.Sprintf("%d:%d", uid, os.Getgid())
}

// run runs the engine's client, with env added to runpin's own environment, and gives what it printed. An error has what it said.
func (l *Launcher) run(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.WaitDelay = 5 * time.Second
	if len(env) > 0 {
		cmd.Env = append(os.Environ(), env...)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if said := lastLine(errs.String()); said != "" {
			return "", errors.New(said)
		}
		return "", err
	}
	return out.String(), nil
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && file != nil && term.IsTerminal(int(file.Fd()))
}

// lastLine gives the last line of what an engine says, without the word that marks it as an error.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	line := strings.TrimSpace(lines[len(lines)-1])
	for _, prefix := range []string{"Error response from daemon: ", "Error: ", "docker: "} {
		line = strings.TrimPrefix(line, prefix)
	}
	return schema.Shorten(line, 2000)
}

func isID(s string) bool {
	return len(s) == 64 && schema.Digest("sha256:"+s).Valid()
}

// engineError classes a refusal of the engine.
func (l *Launcher) engineError(image string, err error) error {
	kind := schema.Unavailable
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = schema.Interrupted
	}
	return &schema.Error{Op: "launch." + l.engine, Kind: kind, Subject: image, Err: fmt.Errorf("%s: %w", l.engine, err)}
}

func startError(code int, err error) error {
	if code != launch.CodeLauncher {
		var e *schema.Error
		if errors.As(err, &e) {
			e.Kind = schema.Invalid
		}
	}
	return &launch.StartError{Code: code, Err: err}
}
