package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/postgres"
)

// postgresStore is the row of the table of stores for a database of PostgreSQL.
func postgresStore() storeKind {
	return storeKind{prefixes: []string{"postgres://", "postgresql://"}, locate: func(location string) (string, error) { return location, postgres.Check(location) },
		open: openPostgres, show: postgres.Show}
}

func openPostgres(ctx context.Context, env *Env, location string, mode access) (*keptRuns, error) {
	k := &keptRuns{location: postgres.Show(location)}
	db, err := store.Open(ctx, postgres.Dialect{}, location, store.Options{Now: env.Now, ReadOnly: mode == forReading, BusyTimeout: duration(env, "RUNPIN_BUSY_TIMEOUT")})
	if mode == forReading && errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	var own *schema.Error
	if errors.As(err, &own) && own.Kind == schema.Internal && own.Hint == "" {
		own.Hint = "look at the server's log"
	}
	if err != nil {
		return nil, atStore(err, k.location)
	}
	k.db, k.runStore = db, db
	return k, nil
}
