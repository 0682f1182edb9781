package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"
)

func storeCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "store", Usage: "verify, copy, repair and move the store",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "verify every document and blob, and the index over them", ArgsUsage: " ",
				Description: "Exit code 1 when anything is wrong; all problems are listed.\n\n" + examples("runpin store check", "runpin store check --reindex"),
				Flags:       []cli.Flag{&cli.BoolFlag{Name: "reindex", Usage: "rebuild the index from the documents first"}, jsonFlag()},
				Action:      func(c *cli.Context) error { return runStoreCheck(env, c) },
			},
			{
				Name: "backup", Usage: "make a consistent copy while others write", ArgsUsage: "<file>",
				Description: examples("runpin store backup /backups/runpin-2026-11-23.db"),
				Action: func(c *cli.Context) error {
					args, err := arguments(c, 1, 1, "<file>")
					if err != nil {
						return err
					}
					db, err := openDatabase(c.Context, env, c, forWriting)
					if err != nil {
						return err
					}
					defer db.close()
					dest, err := filepath.Abs(args[0])
					if err != nil {
						return err
					}
					if err := db.db.Backup(c.Context, dest); err != nil {
						return err
					}
					env.say("copied to %s", args[0])
					return nil
				},
			},
			storeMigrateCommand(env),
		},
	}
}

// openDatabase opens a store that must be a database and must exist.
func openDatabase(ctx context.Context, env *Env, c *cli.Context, mode access) (*keptRuns, error) {
	location, _, err := storeLocation(env, c)
	if err != nil {
		return nil, err
	}
	k, err := openRuns(ctx, env, location, mode)
	if err != nil {
		return nil, err
	}
	if k.db == nil {
		return nil, k.missing()
	}
	return k, nil
}

func runStoreCheck(env *Env, c *cli.Context) error {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	mode := forReading
	if c.Bool("reindex") {
		mode = forWriting
	}
	k, err := openDatabase(c.Context, env, c, mode)
	if err != nil {
		return err
	}
	defer k.close()
	if c.Bool("reindex") {
		if err := k.db.Reindex(c.Context); err != nil {
			return err
		}
	}
	report, err := k.db.Check(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := env.printJSON(report); err != nil {
			return err
		}
	} else {
		for _, problem := range report.Problems {
			fmt.Fprintln(env.Out, oneLine(fmt.Sprint(problem)))
		}
		env.say("%s: %s, %s, %s, %s", k.location, plural(report.Runs, "run"), plural(report.Documents, "document"), plural(report.Blobs, "blob"), plural(int64(len(report.Problems)), "problem"))
	}
	if len(report.Problems) > 0 {
		return &statusOnly{exitError}
	}
	return nil
}
