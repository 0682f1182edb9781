package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

func verifyCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "did a run give the same result as another?", ArgsUsage: "<new-run>",
		Description: `Compares outputs bit for bit, and metrics as text or within a tolerance, and appends the verdict to the new run.
Without --against the run is compared with the one that it is a rerun of. Exit code 0 for identical or equivalent, 13 different, 16 not comparable.

` + examples("runpin verify latest", "runpin verify 5Q0M8C1A --against 9D2KX0PT --tolerance loss=1e-3"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "against", Usage: "`RUN` to compare with"},
			&cli.StringSliceFlag{Name: "tolerance", Usage: "accept a metric within: `METRIC=1e-3` or METRIC=1%"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			given, err := keyValues("tolerance", c.StringSlice("tolerance"))
			if err != nil {
				return err
			}
			tolerances, err := parseTolerances(given)
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
			run := runs[0]
			against := c.String("against")
			if against == "" {
				against = string(run.RerunOf)
			}
			if against == "" {
				return usageError("name the other run: --against RUN", "run %s is not a rerun of another", run.ID.Short())
			}
			id, err := w.store.Find(c.Context, against, w.scope(""))
			if err != nil {
				return err
			}
			if id == run.ID {
				return usageError("name another run", "a run cannot be verified against itself")
			}
			old, err := w.store.Run(c.Context, id)
			if err != nil {
				return err
			}
			if run, err = w.rerunner.Resume(c.Context, run); err != nil {
				return err
			}
			verdict := rerun.Judge(old, run, tolerances)
			if run.Status.Ended() {
				if err := w.rerunner.SaveVerdict(c.Context, run.ID, &verdict); err != nil {
					return err
				}
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
