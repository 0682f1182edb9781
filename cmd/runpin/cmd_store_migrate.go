package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

func storeMigrateCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "migrate", Usage: "copy the store to another place, and prove that nothing is missing there", ArgsUsage: "<location>",
		Description: `The other place is a path or postgres://USER@HOST/DATABASE; what it holds already stays. Documents are copied byte for byte. A copy that was interrupted
goes on where it stopped when it is started again. Reports that wait for the store are folded in first; while some cannot be, nothing is copied. Leases and tokens are not copied. Nothing is changed in the store that is copied: point RUNPIN_STORE at the new one afterwards.

` + examples("runpin store migrate postgres://runpin@db.example.com/runpin", "runpin store migrate /backups/runpin.db --store postgres://runpin@db.example.com/runpin"),
		Flags:  []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error { return runStoreMigrate(env, c) },
	}
}

// migratedJSON is what `store migrate --json` prints.
type migratedJSON struct {
	From string `json:"from"`
	To   string `json:"to"`
	store.Copied
}

func runStoreMigrate(env *Env, c *cli.Context) error {
	args, err := arguments(c, 1, 1, "<location>")
	if err != nil {
		return err
	}
	location, err := kindOfStore(args[0]).locate(args[0])
	if err != nil {
		return err
	}
	source, _, err := storeLocation(env, c)
	if err != nil {
		return err
	}
	// Reports that wait beside the store belong to it: whoever points RUNPIN_STORE elsewhere afterwards would never see them again.
	foldBeforeReading(c.Context, env, source)
	if n := waiting(env, source); n > 0 {
		return &schema.Error{Op: "store.migrate", Kind: schema.Unavailable, Subject: shownLocation(source), Err: fmt.Errorf("%s still wait for it and would be left behind", plural(int64(n), "report")),
			Hint: "runpin import, and then again"}
	}
	from, err := openDatabase(c.Context, env, c, forReading)
	if err != nil {
		return err
	}
	defer from.close()
	if shownLocation(location) == from.location {
		return usageError("name another place", "%s is the store itself", from.location)
	}
	to, err := openRuns(c.Context, env, location, forWriting)
	if err != nil {
		return err
	}
	defer to.close()
	if to.db == nil {
		return usageError("name a path or postgres://USER@HOST/DATABASE; reports get into a server with `runpin import`", "%s is not a database", shownLocation(location))
	}
	bar := newProgress(env)
	copied, err := from.db.CopyTo(c.Context, to.db, bar)
	bar.clear()
	if err != nil {
		if ctxErr := c.Context.Err(); ctxErr != nil {
			return &schema.Error{Op: "store.migrate", Kind: schema.Interrupted, Subject: to.location, Err: errors.New("interrupted"), Hint: "start it again: it goes on where it stopped"}
		}
		return err
	}
	if c.Bool("json") {
		return env.printJSON(migratedJSON{From: from.location, To: to.location, Copied: copied})
	}
	env.say("%s holds everything: %s (%d new), %s (%d new, %s)", to.location, plural(copied.Documents, "document"), copied.NewDocuments, plural(copied.Blobs, "blob"), copied.NewBlobs, size(copied.Bytes))
	env.say("digest of both: %s", copied.Digest)
	env.say("leases and tokens are not copied; the old store is as it was")
	return nil
}
