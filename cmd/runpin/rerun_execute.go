package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// executeFlags are those that have a meaning beside --execute alone.
func executeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "on", Usage: "`WHERE` to run: local, podman, docker, slurm; a job spec runs where it was made for (default: as recorded)"},
		&cli.StringFlag{Name: "workdir", Usage: "restore into `DIR`, which must not exist or be empty (default: a fresh one in the cache)"},
		&cli.StringSliceFlag{Name: "tolerance", Usage: "accept a metric within: `METRIC=1e-3` or METRIC=1%"},
		&cli.BoolFlag{Name: "deep", Usage: "read every byte of every data set, also where its files look untouched"},
		&cli.BoolFlag{Name: "detach", Usage: "leave it running; `runpin verify` judges it later"},
		&cli.BoolFlag{Name: "keep-job", Usage: "leave the job where it is when it has ended"},
		&cli.StringSliceFlag{Name: "env-file", Usage: "give the command the variables of `FILE` (lines NAME=value, or NAME for this environment's); their values are not recorded"},
		&cli.BoolFlag{Name: "overwrite-outputs", Usage: "write over outputs of the original that have no other place"},
		&cli.StringFlag{Name: "gpus", Usage: "give the container `GPUS`: all, none, a number or device=0,1 (default: what the original's was given)"},
		&cli.StringFlag{Name: "kubeconfig", Usage: "`FILE` that says how the cluster is reached (default: $KUBECONFIG, ~/.kube/config, or the account of the pod)"},
		&cli.StringFlag{Name: "context", Usage: "`NAME` of a context in the kubeconfig"},
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
	req, err := executeRequest(env, c, run)
	if err != nil {
		return err
	}
	if !c.IsSet("workdir") {
		if req.Dir, err = freshDir(env, run.ID); err != nil {
			return err
		}
	}
	env.say("rerunning %s in %s", run.ID, req.Dir)
	result, err := w.rerunner.Execute(c.Context, req)
	w.progress.clear()
	if err != nil {
		if !c.IsSet("workdir") {
			_ = os.Remove(req.Dir) // when it was refused there is nothing in it
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
		env.say("%s runs on as %s; runpin verify %s looks at it", result.Run.ID.Short(), result.Run.Launched.Job, result.Run.ID.Short())
		return nil
	}
	return verdictStatus(*result.Verdict)
}

// rerunJSON is what `rerun --execute --json` prints.
type rerunJSON struct {
	Run     schema.RunID          `json:"run"`
	Of      schema.RunID          `json:"rerun_of"`
	Verdict *schema.Verdict       `json:"verdict,omitempty"`
	Pins    []schema.Availability `json:"pins"`
	Dir     string                `json:"dir"`
}

func executeRequest(env *Env, c *cli.Context, run schema.Run) (req rerun.Request, err error) {
	req.Run, req.On, req.Dir, req.Deep, req.Environ = run, c.String("on"), c.String("workdir"), c.Bool("deep"), env.Environ()
	req.Name, req.Detach, req.Keep, req.Output = c.String("name"), c.Bool("detach"), c.Bool("keep-job"), env.Err
	if req.Dir != "" {
		if req.Dir, err = filepath.Abs(req.Dir); err != nil {
			return req, err
		}
	}
	if req.Set, err = readSettings(c); err != nil {
		return req, err
	}
	if req.At, err = keyValues("at", c.StringSlice("at")); err != nil {
		return req, err
	}
	if req.Secrets, err = readSecrets(c); err != nil {
		return req, err
	}
	if err = readNeeds(env, c, &req); err != nil {
		return req, err
	}
	tolerances, err := keyValues("tolerance", c.StringSlice("tolerance"))
	if err != nil {
		return req, err
	}
	req.Tolerances, err = parseTolerances(tolerances)
	return req, err
}

// freshDir names a directory for a rerun that does not exist yet.
func freshDir(env *Env, id schema.RunID) (string, error) {
	base := env.cacheDir()
	if base == "" {
		base = filepath.Join(os.TempDir(), "runpin")
	}
	base = filepath.Join(base, "reruns")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", &schema.Error{Op: "rerun.dir", Kind: schema.Unavailable, Subject: base, Err: err, Hint: "name another place: --workdir DIR"}
	}
	return os.MkdirTemp(base, strings.ToLower(id.Short())+"-")
}

// showVerdict tells a person on stderr how the rerun went; stdout has the new run's id.
func (e *Env) showVerdict(run schema.Run, v schema.Verdict) {
	colors := map[schema.Result]string{schema.Identical: green, schema.Equivalent: green, schema.Differs: red, schema.CannotBeCompared: yellow}
	text := "verdict: " + e.paint(e.Err, colors[v.Result], string(v.Result))
	if v.Cause != "" {
		text += ": " + v.Cause
	}
	e.say("%s", text)
	for _, o := range v.Outputs {
		line := fmt.Sprintf("output %s: %s", o.Name, o.Result)
		if o.Result == schema.Identical {
			line += " " + o.Want.Short()
		} else if o.Want != "" && o.Got != "" {
			line += fmt.Sprintf(" (%s, was %s)", o.Got.Short(), o.Want.Short())
		}
		e.say("  %s", line)
	}
	for _, m := range v.Metrics {
		if m.Result != schema.Identical {
			e.say("  metric %s: %s (%s, was %s)", m.Name, m.Result, orNone(string(m.Got)), m.Want)
		}
	}
	for _, r := range run.Relaxed {
		e.say("  relaxed: %s %s", r.Subject, r.Text)
	}
}

func verdictStatus(v schema.Verdict) error {
	switch v.Result {
	case schema.Differs:
		return &statusOnly{exitDifferent}
	case schema.CannotBeCompared:
		return &statusOnly{exitNotComparable}
	}
	return nil
}
