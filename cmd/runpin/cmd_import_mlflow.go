package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/mlflow"
)

func importMLflowCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "mlflow", Usage: "bring in the runs of an MLflow history", ArgsUsage: "<directory>|<database>",
		Description: `Reads a directory mlruns or a database mlflow.db, which it never writes to. Each run becomes a record that says what it lacks: a history of
MLflow holds params, metrics and often a commit, seldom a data set and hardly ever an image. At the end it says how many hold what.
Importing again changes nothing; a later import adds what is new. A run is then found as ` + "`runpin show mlflow:ID`" + `.

` + examples("runpin import mlflow ./mlruns", "runpin import mlflow mlflow.db --project vision --json"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "project", Usage: "the `PROJECT` of all runs, instead of the names of their experiments"},
			&cli.BoolFlag{Name: "deleted", Usage: "also the runs in MLflow's trash"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return runImportMLflow(env, c) },
	}
}

func runImportMLflow(env *Env, c *cli.Context) error {
	args, err := arguments(c, 1, 1, "<directory>|<database>")
	if err != nil {
		return err
	}
	history, err := mlflow.Open(c.Context, args[0], mlflow.Options{Deleted: c.Bool("deleted")})
	if err != nil {
		return err
	}
	defer history.Close()
	report, err := importHistory(c.Context, env, c, history)
	if err != nil {
		if report.Runs > 0 {
			env.warn("%s of %d were brought in before that; run the same command again for the rest", plural(int64(report.New+report.Updated+report.Unchanged+report.Recorded), "run"), len(history.Starts()))
		}
		return err
	}
	if c.Bool("json") {
		err = env.printJSON(report)
	} else {
		env.showImport(report)
	}
	if err == nil && report.Failed > 0 {
		return &statusOnly{exitError}
	}
	return err
}

func importHistory(ctx context.Context, env *Env, c *cli.Context, history mlflow.History) (mlflow.Report, error) {
	location, _, err := storeLocation(env, c)
	if err != nil {
		return mlflow.Report{}, err
	}
	k, err := openRuns(ctx, env, location, forWriting)
	if err != nil {
		return mlflow.Report{}, err
	}
	defer k.close()
	if k.runStore == nil {
		return mlflow.Report{}, k.missing()
	}
	bar := newProgress(env)
	defer bar.clear()
	importer := mlflow.Importer{Store: k.runStore, Version: version, Project: c.String("project"), Progress: bar, Warn: env.warn}
	return importer.Import(ctx, history)
}

// showImport prints the answer: what came in, and what MLflow knew of it.
func (e *Env) showImport(r mlflow.Report) {
	line := fmt.Sprintf("%s: %d new, %d updated, %d unchanged", plural(int64(r.Runs), "run"), r.New, r.Updated, r.Unchanged)
	if r.Recorded > 0 {
		line += fmt.Sprintf(", %d recorded by runpin", r.Recorded)
	}
	if r.Failed > 0 {
		line += fmt.Sprintf(", %d refused", r.Failed)
	}
	fmt.Fprintln(e.Out, line)
	if r.Runs == 0 {
		return
	}
	for _, part := range []struct {
		what string
		n    int
	}{{"image", r.WithImage}, {"commit", r.WithCommit}, {"data set", r.WithDataset}, {"all three", r.WithAll}} {
		fmt.Fprintf(e.Out, "  %-10s %d (%.1f %%)\n", part.what, part.n, 100*float64(part.n)/float64(r.Runs))
	}
}
