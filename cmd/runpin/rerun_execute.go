package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// executeFlags are those that have a meaning beside --execute alone.
func executeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "on", Usage: "`WHERE` to run: local, podman, docker, slurm; a job spec runs on the scheduler it was made for, kubernetes or slurm (default: as recorded)"},
		&cli.StringFlag{Name: "workdir", Usage: "restore into `DIR`, which must not exist, be empty, or be what an interrupted rerun of the same run left; of several runs each gets a directory in it (default: a fresh one in the cache)"},
		&cli.BoolFlag{Name: "dry-run", Usage: "look whether it could be run, and say step by step what would be done; nothing is written or started"},
		&cli.IntFlag{Name: "jobs", Usage: "run `N` at a time", Value: 1},
		&cli.BoolFlag{Name: "fail-fast", Usage: "of several runs, begin no other after one that was refused or came out different"},
		&cli.BoolFlag{Name: "rm", Usage: "remove the directory when the result is identical"},
		&cli.StringSliceFlag{Name: "tolerance", Usage: "accept a metric within: `METRIC=1e-3` or METRIC=1%, besides or instead of what was recorded"},
		&cli.StringSliceFlag{Name: "compare", Usage: "how an output is compared: " + compareUsage},
		&cli.BoolFlag{Name: "deep", Usage: "read every byte of every data set, also where its files look untouched"},
		&cli.BoolFlag{Name: "copy", Usage: "copy every data set; without it those over 64 MiB or 2,000 files are links, and a command that writes into their files writes into the original's"},
		&cli.BoolFlag{Name: "detach", Usage: "leave it running; `runpin verify` judges it later"},
		&cli.BoolFlag{Name: "keep-job", Usage: "leave the job where it is when it has ended"},
		&cli.StringSliceFlag{Name: "env-file", Usage: "give the command the variables of `FILE` (lines NAME=value, or NAME for this environment's); their values are not recorded"},
		&cli.StringSliceFlag{Name: "without", Usage: "run without the variable `NAME`, which the original had from a file of variables or which was withheld as a secret"},
		&cli.BoolFlag{Name: "overwrite-outputs", Usage: "write over outputs of the original that have no other place"},
		&cli.StringFlag{Name: "gpus", Usage: "give the container `GPUS`: all, none, a number or device=0,1 (default: what the original's was given)"},
		kubeconfigFlag(), contextFlag(),
	}
}

func flagNames(flags []cli.Flag) (names []string) {
	for _, f := range flags {
		names = append(names, f.Names()[0])
	}
	return names
}

func runExecute(env *Env, c *cli.Context, w *wiring, run schema.Run) error {
	defer survivePipe()()
	report, isDetached := detachedReport()
	if c.Bool("detach") && isCommand(run) && !isDetached {
		return runDetached(env, c, run)
	}
	req, err := executeRequest(env, c, w, run)
	if err != nil {
		return err
	}
	if err := w.store.writable(c.Context); err != nil {
		return err
	}
	var made bool
	if req.Dir, made, err = rerunDir(env, c, w, run, false); err != nil {
		return err
	}
	env.say("rerunning %s in %s", run.ID, req.Dir)
	if isDetached {
		report.follow(env, w, req.Dir)
	}
	written := w.written
	var id schema.RunID
	w.written = func(new schema.RunID) {
		id = new
		if written != nil {
			written(new)
		}
	}
	result, err := w.rerunner.Execute(c.Context, req)
	w.progress.clear()
	tidy(c, result, made, err)
	if err != nil {
		if id != "" {
			env.say("what became of it is recorded as run %s; its directory is %s", id, req.Dir)
		}
		return err
	}
	if c.Bool("json") {
		if err := env.printJSON(rerunJSON{Run: result.Run.ID, Of: run.ID, Verdict: result.Verdict, Pins: result.Preflight, Dir: result.Dir}); err != nil {
			return err
		}
	} else {
		if result.Verdict != nil {
			env.showVerdict(result.Run, *result.Verdict)
		}
		fmt.Fprintln(env.Out, result.Run.ID)
	}
	if result.Verdict == nil {
		env.say("%s runs on as %s; runpin verify %s%s looks at it", result.Run.ID.Short(), launchedText(*result.Run.Launched), result.Run.ID.Short(), clusterSettings(c))
		return nil
	}
	return verdictStatus(*result.Verdict)
}

// isCommand tells a run that was recorded from a command from one that was recorded from a job spec.
func isCommand(run schema.Run) bool { return len(run.CommandTemplate) > 0 || run.Job == nil }

// tidy takes away a directory of ours in which there is nothing, and with --rm one whose outputs are known to be those of the original.
func tidy(c *cli.Context, result rerun.Result, made bool, err error) {
	if err == nil && c.Bool("rm") && result.Verdict != nil && result.Verdict.Result == schema.Identical {
		rerun.Clear(result.Dir, made)
		_ = os.Remove(filepath.Join(result.Dir, rerun.LogName))
	}
	if made {
		_ = os.Remove(result.Dir) // fails where something is in it
	}
}

// rerunJSON is what `rerun --execute --json` prints for each run.
type rerunJSON struct {
	Run     schema.RunID          `json:"run,omitempty"`
	Of      schema.RunID          `json:"rerun_of"`
	Verdict *schema.Verdict       `json:"verdict,omitempty"`
	Pins    []schema.Availability `json:"pins"`
	Dir     string                `json:"dir,omitempty"`
	Seconds float64               `json:"seconds,omitempty"`
	Error   *jsonFailures         `json:"error,omitempty"`
	Log     string                `json:"log,omitempty"`
	State   string                `json:"state,omitempty"`
}

// executeRequest reads the flags. Dir is for the caller to choose: nothing is made for a command line that is refused.
func executeRequest(env *Env, c *cli.Context, w *wiring, run schema.Run) (req rerun.Request, err error) {
	req.Run, req.On, req.Deep, req.Environ = run, c.String("on"), c.Bool("deep"), env.Environ()
	req.Copy = c.Bool("copy")
	req.Name, req.Detach, req.Keep, req.Output = c.String("name"), c.Bool("detach"), c.Bool("keep-job"), lateWriter{env}
	if req.Set, err = readSettings(c); err != nil {
		return req, err
	}
	if req.At, err = w.readPlaces(c); err != nil {
		return req, err
	}
	if req.Secrets, err = readSecrets(c); err != nil {
		return req, err
	}
	if err = readNeeds(env, c, &req); err != nil {
		return req, err
	}
	req.Tolerances, err = readTolerances(c)
	return req, err
}

// lateWriter writes to where stderr goes by then.
type lateWriter struct{ env *Env }

func (l lateWriter) Write(b []byte) (int, error) { return l.env.Err.Write(b) }

// abandonedAfter is when what a killed rerun left in the cache is removed.
const abandonedAfter = 24 * time.Hour

// rerunDir names the directory of a rerun: what --workdir says (below it where there are several runs), or a fresh one. made is true when it is ours to remove.
func rerunDir(env *Env, c *cli.Context, w *wiring, run schema.Run, several bool) (dir string, made bool, err error) {
	if dir = c.String("workdir"); dir != "" {
		if dir, err = filepath.Abs(dir); several {
			dir = filepath.Join(dir, string(run.ID))
		}
		_, missing := os.Lstat(dir)
		return dir, missing != nil, err
	}
	base, err := freshBase(env)
	if err != nil {
		return "", false, err
	}
	if !several {
		if n := w.rerunner.Prune(base, abandonedAfter); n > 0 {
			env.say("removed %s that killed reruns left half restored", directories(n))
		}
	}
	if dir, err = os.MkdirTemp(base, strings.ToLower(run.ID.Short())+"-"); err != nil {
		return "", false, noDirectory(base, err)
	}
	return dir, true, nil
}

func directories(n int) string {
	if n == 1 {
		return "a directory"
	}
	return fmt.Sprintf("%d directories", n)
}

// cacheOfReruns is where reruns have their directories.
func cacheOfReruns(env *Env) string {
	base := env.cacheDir()
	if base == "" {
		base = filepath.Join(os.TempDir(), "runpin")
	}
	return filepath.Join(base, "reruns")
}

func freshBase(env *Env) (string, error) {
	base := cacheOfReruns(env)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", noDirectory(base, err)
	}
	return base, nil
}

func noDirectory(base string, err error) error {
	return &schema.Error{Op: "rerun.dir", Kind: schema.Unavailable, Subject: base, Err: err, Hint: "name another place: --workdir DIR"}
}
