package slurm

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// leftPatience is how long Slurm may take to say what it has of a run.
const leftPatience = 5 * time.Second

// Left is a job of a run that has not ended.
type Left struct {
	Job   string
	State string // in Slurm's words: RUNNING
}

// Left finds the caller's jobs that were submitted for a run and have not ended, by their comment.
func (l *Launcher) Left(ctx context.Context, run schema.RunID) ([]Left, error) {
	said, err := l.ask(ctx, leftPatience, "squeue", "--me", "--noheader", "--format=%i|%T|%k")
	if err != nil {
		return nil, fail(schema.Unavailable, "jobs of run "+run.Short(), err, "")
	}
	var left []Left
	for line := range strings.Lines(said) {
		fields := strings.SplitN(plain(strings.TrimRight(line, "\n")), "|", 3)
		if len(fields) == 3 && slices.ContainsFunc(strings.Fields(fields[2]), func(word string) bool { return word == string(run) || word == "runpin.dev/run="+string(run) }) {
			left = append(left, Left{schema.Shorten(fields[0], 40), schema.Shorten(fields[1], 40)})
		}
	}
	return left, nil
}
