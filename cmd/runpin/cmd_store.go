package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/store/spool"
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

func importCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "fold the reports of a spool into the store", ArgsUsage: "[<spool-directory>...]",
		Description: `A report that is in the store already changes nothing, so importing twice is importing once. Without an argument the spools
are folded in where reports wait that the store could not take.

` + examples("runpin import", "runpin import /shared/runpin-spool"),
		Subcommands: []*cli.Command{importMLflowCommand(env)},
		Action: func(c *cli.Context) error {
			dirs, err := arguments(c, 0, -1, "")
			if err != nil {
				return err
			}
			k, err := openDatabase(c.Context, env, c, forWriting)
			if err != nil {
				return err
			}
			defer k.close()
			if len(dirs) == 0 {
				dirs = fallbackSpools(env, k.location)
			}
			total := 0
			for _, dir := range dirs {
				n, err := spool.Import(c.Context, strings.TrimPrefix(dir, "spool:"), k.db)
				total += n
				if errors.Is(err, fs.ErrNotExist) && c.Args().Len() == 0 {
					continue // nothing has had to wait
				}
				if err != nil {
					return err
				}
			}
			env.say("imported %s", plural(int64(total), "report"))
			return nil
		},
	}
}
