package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/store/spool"
)

func importCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "fold the reports of a spool into the store", ArgsUsage: "[<spool-directory>...]",
		Description: `A report that is in the store already changes nothing, so importing twice is importing once, in any order, and an import that was interrupted
goes on when it is started again. Files that the store has are moved to the directory done below the spool; delete that when you like. A file that is damaged, or that the store
refuses, is named and moved to the directory refused; name that directory to try it again. A file that cannot be read is named and stays. The others are imported all the same,
also from a spool that cannot be written to. Directories in a spool, one for each node, say, are imported with it, up to two levels deep. Without an argument the spools are folded in where reports wait that the store could not take.

` + examples("runpin import", "runpin import /shared/runpin-spool", "runpin import /shared/spool-a /shared/spool-b --json"),
		Flags:       []cli.Flag{jsonFlag()},
		Subcommands: []*cli.Command{importMLflowCommand(env)},
		Action:      func(c *cli.Context) error { return runImport(env, c) },
	}
}

func runImport(env *Env, c *cli.Context) error {
	dirs, err := arguments(c, 0, -1, "")
	if err != nil {
		return err
	}
	location, _, err := storeLocation(env, c)
	if err != nil {
		return err
	}
	k, err := openRuns(c.Context, env, location, forWriting)
	if err != nil {
		return err
	}
	defer k.close()
	if k.runStore == nil {
		return k.missing()
	}
	named := len(dirs) > 0
	if !named {
		dirs = fallbackSpools(env, location)
	}
	var total spool.Imported
	var failures []error
	bar := newProgress(env)
	for _, dir := range dirs {
		done, err := spool.Import(c.Context, strings.TrimPrefix(dir, "spool:"), k.runStore, spool.ImportOptions{Progress: bar})
		bar.clear()
		total.Reports += done.Reports
		total.Left += done.Left
		total.InPlace += done.InPlace
		total.Refused += done.Refused
		if done.Already != nil {
			already := *done.Already
			if total.Already != nil {
				already += *total.Already
			}
			total.Already = &already
		}
		if errors.Is(err, fs.ErrNotExist) && !named {
			continue // nothing has had to wait
		}
		failures = append(failures, err)
	}
	if c.Bool("json") {
		if err := env.printJSON(total); err != nil {
			return err
		}
	} else if total.Already != nil && *total.Already > 0 {
		env.say("imported %s; the store had %d of them already", plural(int64(total.Reports), "report"), *total.Already)
	} else {
		env.say("imported %s", plural(int64(total.Reports), "report"))
	}
	if total.Left > 0 {
		env.say("%s stay where they are", plural(int64(total.Left), "file"))
	}
	if total.Refused > 0 {
		env.say("%s that the store cannot take were moved to the directory refused below the spool: `runpin import` tries them again when you name it", plural(int64(total.Refused), "file"))
	}
	if total.InPlace > 0 {
		env.say("the spool cannot be written to: %s stay in it, which the store has now; importing them again changes nothing", plural(int64(total.InPlace), "file"))
	}
	return errors.Join(failures...)
}
