package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/schema"
)

// patience is how long one program of Slurm may take to answer.
const patience = 60 * time.Second

// Ask asks Slurm for a job: sacct first, and scontrol where there are no accounts or they do not know the job yet. Errors are of kind Unavailable when Slurm cannot be asked, and Invalid
// when it knows no such job.
func Ask(ctx context.Context, id string) ([]collect.Try, error) {
	if !JobID(id) {
		return nil, &schema.Error{Op: "collect.slurm", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(id, 60)), Err: errors.New("not the id of a Slurm job")}
	}
	out, errAccounts := output(ctx, "sacct", "-j", id, "--parsable2", "--noheader", "--duplicates", "--format="+SacctFormat)
	if errAccounts == nil && len(bytes.TrimSpace(out)) > 0 {
		return ReadJobs(bytes.NewReader(out), "sacct")
	}
	out, err := output(ctx, "scontrol", "show", "job", "-o", id)
	if err == nil {
		return ReadJobs(bytes.NewReader(out), "scontrol")
	}
	if strings.Contains(err.Error(), "Invalid job id") {
		return nil, &schema.Error{Op: "collect.slurm", Kind: schema.Invalid, Subject: "job " + id, Err: errors.New("there is no such job in Slurm"),
			Hint: "without accounting Slurm forgets a job minutes after its end (MinJobAge); say it yourself: runpin finish RUN --status"}
	}
	return nil, &schema.Error{Op: "collect.slurm", Kind: schema.Unavailable, Subject: "job " + id, Err: errors.Join(errAccounts, err), Hint: "run it where sacct or scontrol is installed, or pass their output: --slurm FILE"}
}

func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "SLURM_TIME_FORMAT=%s")
	cmd.WaitDelay = time.Second
	var out, said limited
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if first, _, _ := strings.Cut(strings.TrimSpace(said.kept.String()), "\n"); first != "" {
			return nil, fmt.Errorf("%s: %s", program, schema.Shorten(first, 200))
		}
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return out.kept.Bytes(), nil
}

// limited keeps what ReadJobs would read at most. The buffer is not embedded: its ReadFrom would be taken in place of Write, and knows no bounds.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := MaxFileBytes + 1 - l.kept.Len(); room > 0 {
		_, _ = l.kept.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
