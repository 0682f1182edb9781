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
		&cli.StringSliceFlag{Name: "tolerance", Usage: "accept a metric within: `METRIC=1e-3` or METRIC=1%, besides or instead of what was recorded"},
		&cli.StringSliceFlag{Name: "compare", Usage: "how an output is compared: " + compareUsage},
		&cli.BoolFlag{Name: "deep", Usage: "read every byte of every data set, also where its files look untouched"},
		&cli.BoolFlag{Name: "detach", Usage: "leave it running; `runpin verify` judges it later"},
		&cli.BoolFlag{Name: "keep-job", Usage: "leave the job where it is when it has ended"},
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
	req.Tolerances, err = readTolerances(c)
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
