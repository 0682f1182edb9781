package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

func verifyCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "did a run give the same result as another?", ArgsUsage: "<new-run>",
		Description: `Compares outputs bit for bit, directories file by file, and metrics as text or within a tolerance, and appends the verdict to the new run, with what
differs between the two runs and could explain another result. How a metric or an output is compared was said when recording; --tolerance and --compare stand over it.
Without --against the run is compared with the one that it is a rerun of. Exit code 0 for identical or equivalent, 13 different, 16 not comparable; 15 when one
of the two has not ended yet. A rerun of a job that was left running, or killed before it could name its job, is looked for on its scheduler first:
--context names the cluster.

` + examples("runpin verify latest", "runpin verify 5Q0M8C1A --against 9D2KX0PT --tolerance loss=1e-3", "runpin verify 5Q0M8C1A --against 9D2KX0PT --compare table=tolerance:1e-6"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "against", Usage: "`RUN` to compare with"},
			&cli.StringSliceFlag{Name: "tolerance", Usage: "accept a metric within: `METRIC=1e-3` or METRIC=1%, besides or instead of what was recorded"},
			&cli.StringSliceFlag{Name: "compare", Usage: "how an output is compared: " + compareUsage},
			&cli.BoolFlag{Name: "run-compare-commands", Usage: "run the commands that the records name to compare outputs, in the current directory"},
			kubeconfigFlag(), contextFlag(),
			&cli.StringFlag{Name: "namespace", Usage: "`NAME` of the namespace, where neither the record nor the job spec names one"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			given, err := readTolerances(c)
			if err != nil {
				return err
			}
			w, err := openWiring(c.Context, env, c, forWriting)
			if err != nil {
				return err
			}
			defer w.close()
			runs, err := w.runs(c, 1, 1)
			if err != nil {
				return err
			}
			old, err := w.original(c.Context, runs[0], c.String("against"))
			if err != nil {
				return err
			}
			verdict, err := w.verify(c.Context, old, runs[0], given, c.Bool("run-compare-commands"))
			if err != nil {
				return err
			}
			if c.Bool("json") {
				if err := env.printJSON(verdict); err != nil {
					return err
				}
			} else {
				env.showVerdict(schema.Run{}, verdict)
				fmt.Fprintln(env.Out, verdict.Result)
			}
			return verdictStatus(verdict)
		},
	}
}

// original gives the run to compare with: the one that is named, or that the run is a rerun of.
func (w *wiring) original(ctx context.Context, run schema.Run, named string) (schema.Run, error) {
	if named == "" {
		named = string(run.RerunOf)
	}
	if named == "" {
		return schema.Run{}, usageError("name the other run: --against RUN", "run %s is not a rerun of another", run.ID.Short())
	}
	id, err := w.store.Find(ctx, named, w.scope(""))
	if err != nil {
		return schema.Run{}, err
	}
	if id == run.ID {
		return schema.Run{}, usageError("name another run", "a run cannot be verified against itself")
	}
	return w.store.Run(ctx, id)
}

// verify judges a run that has ended and appends the verdict to it.
func (w *wiring) verify(ctx context.Context, old, run schema.Run, given rerun.Tolerances, commands bool) (verdict schema.Verdict, err error) {
	for _, r := range []*schema.Run{&old, &run} {
		if *r, err = w.rerunner.Resume(ctx, *r); err != nil {
			return verdict, err
		}
	}
	if err := given.Check(old, run); err != nil {
		return verdict, err
	}
	if verdict, err = w.rerunner.Judge(ctx, old, run, given, rerun.JudgeOptions{Commands: commands}); err != nil {
		return verdict, err
	}
	if !run.Status.Ended() {
		return verdict, nil // lost: a late report may still say how it ended
	}
	return verdict, w.rerunner.SaveVerdict(ctx, run.ID, &verdict)
}
