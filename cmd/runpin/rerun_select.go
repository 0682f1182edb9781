package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// selectFlags choose the runs of a whole experiment, as those of `list` do.
func selectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "project", Usage: "rerun the runs of this `PROJECT`"},
		&cli.StringFlag{Name: "same-as", Usage: "rerun those with the same inputs as `RUN`"},
		&cli.StringFlag{Name: "parent", Usage: "rerun the steps or members of `RUN`"},
		&cli.StringFlag{Name: "since", Usage: "rerun those created at or after `TIME`, like 2026-11-23 or 7d"},
		&cli.StringSliceFlag{Name: "label", Usage: "rerun those with the label `K=V`"},
	}
}

// rerunSelection gives the runs that the command line names or chooses. several is true where it asks for a list, however many are in it.
func rerunSelection(env *Env, c *cli.Context, w *wiring) (runs []schema.Run, several bool, err error) {
	if !slices.ContainsFunc(flagNames(selectFlags()), c.IsSet) {
		args, _ := arguments(c, 0, -1, runArgument)
		if runs, err = w.runs(c, 1, -1); err != nil {
			return nil, false, err
		}
		seen := map[schema.RunID]bool{}
		runs = slices.DeleteFunc(runs, func(run schema.Run) bool { again := seen[run.ID]; seen[run.ID] = true; return again })
		return runs, len(args) > 1 || args[0] == "-", nil
	}
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return nil, true, usageError("name runs, or choose them with flags", "both runs and flags that choose runs are given")
	}
	filter := store.Filter{Project: c.String("project"), Labels: c.StringSlice("label"), Sort: "created", Reverse: true}
	if err := relatedFilter(env, c, w, &filter); err != nil {
		return nil, true, err
	}
	all, err := w.store.List(c.Context, filter)
	if err != nil {
		return nil, true, err
	}
	var reruns, unended int64
	for _, run := range all {
		switch {
		case run.RerunOf != "":
			reruns++
		case !run.Status.Ended():
			unended++
		default:
			runs = append(runs, run)
		}
	}
	if reruns > 0 {
		env.say("passed over: %s, which are rerun where they are named", plural(reruns, "rerun"))
	}
	if unended > 0 {
		env.say("passed over: %s that did not end, so that there is nothing to compare with", plural(unended, "run"))
	}
	return runs, true, nil
}
