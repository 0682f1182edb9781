package container

import (
	"context"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Left is a container of a run that is still there.
type Left struct {
	ID     string
	Status string // in the engine's words: "Up 3 minutes"
}

// Left finds the containers that were created for a run, be they running or not. The launcher removes its own: what is there while no recorder is was left behind
// by one that was killed.
func (l *Launcher) Left(ctx context.Context, run schema.RunID) ([]Left, error) {
	out, err := l.run(ctx, nil, "ps", "--all", "--no-trunc", "--filter", "label=runpin.dev/run="+string(run), "--format", "{{.ID}} {{.Status}}")
	if err != nil {
		return nil, l.engineError("containers of run "+run.Short(), err)
	}
	var left []Left
	for line := range strings.Lines(out) {
		id, status, _ := strings.Cut(strings.TrimSpace(line), " ")
		if isID(id) {
			left = append(left, Left{id, schema.Shorten(status, 80)})
		}
	}
	return left, nil
}
