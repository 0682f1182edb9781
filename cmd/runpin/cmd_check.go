package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

func checkCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "can a run still be run again?", ArgsUsage: "<run>...",
		Description: `Asks for every pin whether it can still be had, and how that was found out. Nothing is changed and nothing is started.
Behind the pins stands what a rerun needs beside them (secrets, outputs, GPUs, the place to run), as advice.
The exit code is 14 when something is gone or changed, 15 when it could not be found out.

` + examples("runpin check latest", "runpin check latest --deep", "runpin list -q | runpin check - --json"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "deep", Usage: "read every byte of every data set, also where its files look untouched"},
			&cli.StringSliceFlag{Name: "at", Usage: "look for a data set elsewhere: `NAME=URI`"},
			relocateFlag(),
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak http with `HOST` (loopback always may)"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			at, err := keyValues("at", c.StringSlice("at"))
			if err != nil {
				return err
			}
			moved, err := relocations(env, c)
			if err != nil {
				return err
			}
			w, err := openWiring(c.Context, env, c, forReading)
			if err != nil {
				return err
			}
			defer w.close()
			runs, err := w.runs(c, 1, -1)
			if err != nil {
				return err
			}
			var failures []error
			for _, run := range runs {
				found := w.rerunner.Preflight(c.Context, run, rerun.PreflightOptions{At: at, Deep: c.Bool("deep"), Relocate: moved})
				w.progress.clear()
				if err := c.Context.Err(); err != nil {
					return &schema.Error{Op: "check", Kind: schema.Interrupted, Err: errInterrupted}
				}
				blocking := rerun.Blocking(found, nil)
				failures = append(failures, blocking)
				if c.Bool("json") {
					if err := env.printJSON(checkJSON{Run: run.ID, Rerunnable: blocking == nil, Pins: found}); err != nil {
						return err
					}
					continue
				}
				env.showCheck(run, found)
			}
			if err := errors.Join(failures...); err != nil {
				return &statusOnly{exitCode(err)}
			}
			return nil
		},
	}
}

// checkJSON is what `check --json` prints for each run.
type checkJSON struct {
	Run        schema.RunID          `json:"run"`
	Rerunnable bool                  `json:"rerunnable"`
	Pins       []schema.Availability `json:"pins"`
}

// stateText marks what does not keep the run from being run again.
func stateText(a schema.Availability) string {
	if a.Advisory && a.State != schema.StateAvailable {
		return string(a.State) + " (advice)"
	}
	return string(a.State)
}

func (e *Env) showCheck(run schema.Run, found []schema.Availability) {
	var rows [][]string
	for _, a := range found {
		why := a.Reason
		if a.Remedy != "" && a.State != schema.StateAvailable {
			why += "; " + a.Remedy
		}
		rows = append(rows, []string{run.ID.Short(), a.Pin, stateText(a), a.How, string(a.Ref), why})
	}
	if len(rows) == 0 {
		e.say("run %s has no pins to check", run.ID.Short())
		return
	}
	e.table([]string{"RUN", "PIN", "STATE", "HOW", "REFERENCE", "WHY"}, rows)
}
