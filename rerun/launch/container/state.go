package container

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/runpin/runpin/rerun/launch"
)

// state is how the engine sees a container.
type state struct {
	Status    string
	Running   bool
	Pid       int
	ExitCode  int
	Error     string
	StartedAt time.Time
}

// ran reports whether the command was executed, be it over or not.
func (s state) ran() bool { return s.StartedAt.Year() > 1 }

// startCode gives the exit code of a command that could not be executed.
func (s state) startCode(cause string) int {
	if s.ExitCode == launch.CodeNotFound || s.ExitCode == launch.CodeNotExecutable {
		return s.ExitCode
	}
	return codeOf(cause)
}

// codeOf reads out of an engine's words why it could not execute the command. Engines tell it in no other way: podman's own exit code differs
// between its versions.
func codeOf(said string) int {
	switch {
	case !strings.Contains(said, "exec"):
		return launch.CodeLauncher
	case strings.Contains(said, "executable file not found"), strings.Contains(said, "no such file or directory"):
		return launch.CodeNotFound
	case strings.Contains(said, "permission denied"), strings.Contains(said, "exec format error"), strings.Contains(said, "is a directory"):
		return launch.CodeNotExecutable
	default:
		return launch.CodeLauncher
	}
}

func (l *Launcher) state(ctx context.Context, id string) (state, error) {
	out, err := l.run(ctx, nil, "container", "inspect", "--format", "{{json .State}}", id)
	if err != nil {
		return state{}, err
	}
	var s state
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return state{}, fmt.Errorf("container inspect: %w", err)
	}
	return s, nil
}

// finalState gives the state once the container has ended. It waits for that when the engine's client ended before: it was killed, or lost its
// daemon. That the context of the launch ended does not matter: the command then was asked to stop, and has its own time for it.
func (l *Launcher) finalState(id string) (state, error) {
	ctx := context.Background()
	for try := 0; ; try++ {
		s, err := l.state(ctx, id)
		switch {
		case err != nil && try < 5:
			time.Sleep(200 * time.Millisecond)
		case err != nil:
			return s, err
		case s.Running:
			if _, err := l.run(ctx, nil, "wait", id); err != nil {
				time.Sleep(time.Second)
			}
		default:
			return s, nil
		}
	}
}
