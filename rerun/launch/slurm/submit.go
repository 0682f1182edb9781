package slurm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Submit hands the script to sbatch, which gets it byte for byte but for --wait. When sbatch leaves it open whether there is a job, the job is looked for by its
// comment. An error is of kind Invalid where Slurm refuses the script, Unavailable where it cannot be reached, Interrupted when ctx ended; then nothing runs, or the
// error holds [launch.ErrUnsure].
func (l *Launcher) Submit(ctx context.Context, spec launch.Spec) (schema.Launched, error) {
	p, err := l.plan(spec)
	if err != nil {
		return schema.Launched{}, err
	}
	made := false
	if !p.make {
		if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
			return schema.Launched{}, fail(schema.Invalid, shown(p.dir), errors.New("is not a directory of this host"), "give a directory that the nodes see, too")
		}
	}
	if p.make {
		if err := os.MkdirAll(l.filesDir(), 0o755); err != nil {
			return schema.Launched{}, fail(schema.Invalid, shown(l.options.Files), err, "")
		}
		if err := os.Mkdir(p.dir, 0o755); err == nil {
			made = true
		} else if !errors.Is(err, os.ErrExist) {
			return schema.Launched{}, fail(schema.Invalid, shown(p.dir), err, "give a directory that can be written to, and that the nodes see")
		}
	}
	token := ""
	if p.named {
		token = "runpin.dev/run=" + string(spec.Run) + " try=" + nonce()
		comment := token
		if p.tasks != "" {
			comment += " array=" + p.tasks
		}
		p.args = append(p.args, "--comment="+comment)
	}
	job, err := l.sbatch(ctx, shown(spec.Name), token, request{args: p.args, stdin: bytes.NewReader(p.data), env: l.inherited()})
	if err != nil && made && !errors.Is(err, launch.ErrUnsure) { // a job would run elsewhere without it
		_ = os.Remove(p.dir)
	}
	return job, err
}

func (l *Launcher) filesDir() string {
	if l.options.Files == "" {
		return "."
	}
	return l.options.Files
}

func nonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// submitting is how long sbatch gets after the end of ctx: it may be about to say which job it made.
const submitting = 20 * time.Second

// sbatch submits, and knows afterwards whether there is a job. A token in the comment finds one whose id sbatch did not say.
func (l *Launcher) sbatch(ctx context.Context, subject, token string, r request) (schema.Launched, error) {
	if ctx.Err() != nil {
		return schema.Launched{}, fail(schema.Interrupted, subject, ctx.Err(), "")
	}
	cluster, err := l.clusterName(ctx) // before there is a job that could not be named
	if err != nil {
		return schema.Launched{}, l.unavailable(ctx, subject, err)
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		time.Sleep(submitting)
		cancel()
	})()
	r.program, r.within = "sbatch", patience
	out, err := l.call(asking, r)
	id, _, _ := strings.Cut(strings.TrimSpace(out), ";")
	switch {
	case jobID.MatchString(id): // whatever happened to sbatch afterwards
	case err != nil && refusal(err):
		return schema.Launched{}, refused(subject, err)
	default:
		if err == nil {
			err = fmt.Errorf("sbatch gave no job id: %q", schema.Shorten(plain(strings.TrimSpace(out)), 100))
		}
		if id, err = l.find(context.WithoutCancel(ctx), token, err); err != nil {
			if ctx.Err() != nil && errors.Is(err, launch.ErrUnsure) {
				return schema.Launched{}, fail(schema.Interrupted, subject, err, "")
			}
			return schema.Launched{}, l.unavailable(ctx, subject, err)
		}
	}
	job := schema.Launched{On: On, Job: id, Place: cluster}
	if ctx.Err() == nil {
		return job, nil
	}
	if _, err := l.ask(context.WithoutCancel(ctx), patience, "scancel", id); err != nil {
		return schema.Launched{}, fail(schema.Interrupted, subject, fmt.Errorf("%w: job %s could not be cancelled: %w", launch.ErrUnsure, id, err), "scancel "+id)
	}
	return schema.Launched{}, fail(schema.Interrupted, subject, ctx.Err(), "")
}

// find looks for a job by its comment after sbatch did not say whether there is one. The error is the given one, with what is known.
func (l *Launcher) find(ctx context.Context, token string, cause error) (string, error) {
	var missing *schema.Error
	if errors.As(cause, &missing) { // sbatch is not there
		return "", cause
	}
	if token == "" {
		return "", fmt.Errorf("%w; %w: squeue --me", cause, launch.ErrUnsure)
	}
	for try := range 3 {
		if try > 0 {
			time.Sleep(time.Second)
		}
		out, err := l.ask(ctx, patience, "squeue", "--me", "--noheader", "--states=all", "--Format=JobArrayID:40,Comment:400")
		if err != nil {
			continue
		}
		for line := range strings.Lines(out) {
			if id, _, _ := strings.Cut(line, "_"); strings.Contains(line, token) {
				if id = strings.TrimSpace(firstField(id)); jobID.MatchString(id) {
					return id, nil
				}
			}
		}
		return "", cause
	}
	run, _, _ := strings.Cut(strings.TrimPrefix(token, "runpin.dev/run="), " ")
	return "", fmt.Errorf("%w; %w, whose comment names %s: squeue --me -o '%%i %%k'", cause, launch.ErrUnsure, run)
}

func firstField(s string) string {
	if fields := strings.Fields(s); len(fields) > 0 {
		return fields[0]
	}
	return ""
}

// unreachable are words of Slurm's that are about the way to it, and not about the job.
var unreachable = []string{"contact slurm controller", "Connection refused", "timed out", "did not answer", "Socket", "communication", "slurmctld", "Zero Bytes", "configuration source", "fetch config",
	"Unexpected message", "try again", "temporarily", "Resource temporarily", "more than", "Incomplete", "Transport endpoint", "No route to host", "Protocol authentication", "unable to resolve"}

// refusal reports whether sbatch says that the job is not taken, so that there is none.
func refusal(err error) bool {
	said, ok := strings.CutPrefix(err.Error(), "sbatch: ")
	return ok && !containsAny(said, unreachable) && !strings.HasPrefix(said, "exit status") && !strings.HasPrefix(said, "signal:")
}

func containsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

func refused(subject string, err error) error {
	text := err.Error()
	if strings.Contains(text, "limit") || strings.Contains(text, "QOS") || strings.Contains(text, "Access/permission") { // today's, not the script's
		return fail(schema.Unavailable, subject, err, "the account, the partition or the quality of service does not take it now: sacctmgr show assoc, sinfo")
	}
	return fail(schema.Invalid, subject, err, "sbatch --test-only says it again; give other arguments for sbatch, or change the script")
}
