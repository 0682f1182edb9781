package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// How long one program of Slurm may take to answer, and how much it may say.
const (
	patience      = 60 * time.Second
	probePatience = 10 * time.Second
	maxAnswer     = 16 << 20
	maxComplaint  = 64 << 10
)

// look finds a program of Slurm's.
func (l *Launcher) look(program string) (string, error) {
	if l.options.Path == "" {
		if path, err := exec.LookPath(program); err == nil {
			return path, nil
		}
	}
	for _, dir := range filepath.SplitList(l.options.Path) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fail(schema.Unavailable, program, errors.New("is not installed"), "run it where Slurm's programs are on the PATH, such as a login node of the cluster")
}

// request is one call of a program of Slurm's.
type request struct {
	program string
	args    []string
	stdin   io.Reader
	env     []string // nil: runpin's own, less what would steer the program
	extra   []*os.File
	within  time.Duration
}

func (l *Launcher) ask(ctx context.Context, within time.Duration, program string, args ...string) (string, error) {
	return l.call(ctx, request{program: program, args: args, within: within})
}

// call gives what the program printed. An error has the last thing that it said.
func (l *Launcher) call(ctx context.Context, r request) (string, error) {
	path, err := l.look(r.program)
	if err != nil {
		return "", err
	}
	timed, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	cmd := exec.CommandContext(timed, path, r.args...)
	cmd.WaitDelay = time.Second
	cmd.Stdin, cmd.Env, cmd.ExtraFiles = r.stdin, r.env, r.extra
	if cmd.Env == nil {
		cmd.Env = ownEnv()
	}
	out, said := limited{room: maxAnswer, ends: true}, limited{room: maxComplaint}
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	switch {
	case out.cut:
		return "", fmt.Errorf("%s says more than %d MiB", r.program, maxAnswer>>20)
	case err == nil:
		return out.kept.String(), nil
	case ctx.Err() != nil:
		return out.kept.String(), ctx.Err()
	case timed.Err() != nil:
		return out.kept.String(), fmt.Errorf("%s did not answer within %s", r.program, r.within)
	}
	if line := complaint(said.kept.String()); line != "" {
		return out.kept.String(), fmt.Errorf("%s: %s", r.program, line)
	}
	return out.kept.String(), fmt.Errorf("%s: %w", r.program, err)
}

// complaint gives the last line of what a program of Slurm's says, without its own name, fit for a terminal.
func complaint(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	line := strings.TrimSpace(lines[len(lines)-1])
	for _, prefix := range []string{"sbatch: ", "squeue: ", "scancel: ", "scontrol: ", "sacct: ", "sinfo: ", "error: ", "fatal: "} {
		line = strings.TrimPrefix(line, prefix)
	}
	return schema.Shorten(plain(line), 300)
}

// plain keeps text of Slurm's, in which users have a say, from steering a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\ufffd' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// ownEnv is runpin's environment without what would make the programs answer in another form, or for another cluster, submit another thing than is said, or hand the
// identity of a job in which runpin runs to the one that it starts.
func ownEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if steers(name) && name != "SLURM_CONF" && name != "SLURM_CONF_SERVER" {
			continue
		}
		env = append(env, kv)
	}
	return env
}

// inherited is what a batch job finds in its environment of the submitter's.
func (l *Launcher) inherited() []string {
	env := ownEnv()
	if l.options.Hide == nil {
		return env
	}
	return slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return l.options.Hide(name)
	})
}

func steers(name string) bool {
	switch name {
	case "SBATCH_ARRAY_INX", "SBATCH_CLUSTERS", "SBATCH_WAIT", "SBATCH_OUTPUT", "SBATCH_ERROR", "SBATCH_INPUT", "SBATCH_COMMENT", "SBATCH_TEST_ONLY", "SBATCH_EXPORT":
		return true
	}
	for _, prefix := range []string{"SLURM", "SQUEUE_", "SACCT_", "SINFO_", "SCANCEL_", "SCONTROL_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// limited keeps what it has room for. The rest is passed over, or ends the program, which nobody listens to any more. The buffer is not embedded: its ReadFrom
// would be taken in place of Write, and knows no bounds.
type limited struct {
	kept bytes.Buffer
	room int
	ends bool
	cut  bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := l.room - l.kept.Len()
	if len(p) > room {
		l.cut = true
	}
	l.kept.Write(p[:min(len(p), room)])
	if l.cut && l.ends {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
