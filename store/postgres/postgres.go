package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lib/pq"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// Dialect opens a store in a PostgreSQL database. Its dsn is a URL, postgres://user@host/database.
type Dialect struct{}

var _ store.Dialect = Dialect{}

// Open opens the store in the database that location names, and creates its tables unless it is opened for reading.
func Open(ctx context.Context, location string, options store.Options) (*store.Store, error) {
	return store.Open(ctx, Dialect{}, location, options)
}

// Name implements store.Dialect.
func (Dialect) Name() string { return "postgres" }

// writeLock is the advisory lock of the one who writes: "runpin" in ASCII.
const writeLock = 0x72756e70696e

// Begin implements store.Dialect. Writers take turns, as they do in SQLite: the index of a run is made from what was read of it before, and two that read at the same time
// would each leave out the other. A transaction holds the lock for some milliseconds, and a server puts the reports of many clients into one.
func (Dialect) Begin() string {
	return fmt.Sprintf("BEGIN; SELECT pg_advisory_xact_lock(%d)", writeLock)
}

// readers is how many connections read at a time.
const readers = 8

// Open implements store.Dialect.
func (Dialect) Open(ctx context.Context, location string, o store.OpenOptions) (store.Pools, error) {
	config, err := configure(location, o.BusyTimeout)
	if err != nil {
		return store.Pools{}, err
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return store.Pools{}, withoutDetails(err)
	}
	read := sql.OpenDB(connector)
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	read.SetConnMaxIdleTime(time.Minute)
	if err := reach(ctx, read); err != nil {
		read.Close()
		return store.Pools{}, err
	}
	pools := store.Pools{Read: read, Isolation: sql.LevelRepeatableRead}
	if o.ReadOnly {
		if empty, err := isEmpty(ctx, read); err != nil || empty {
			read.Close()
			if empty {
				err = &schema.Error{Op: "store.open", Kind: schema.NotFound, Subject: Show(location), Err: fmt.Errorf("no run has been recorded there yet: %w", fs.ErrNotExist),
					Hint: "record a run first, or name another store with --store"}
			}
			return store.Pools{}, err
		}
		return pools, nil
	}
	pools.Write = sql.OpenDB(connector)
	pools.Write.SetMaxOpenConns(1)
	return pools, nil
}

// reach makes sure that the server answers, so that what is wrong with the location is said when the store is opened.
func reach(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err := db.PingContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return &schema.Error{Op: "store.open", Kind: schema.Unavailable, Subject: "PostgreSQL", Err: fmt.Errorf("the server did not answer within %s", connectTimeout), Hint: unreachable}
	}
	return err
}

func isEmpty(ctx context.Context, db *sql.DB) (bool, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	tables, err := Dialect{}.Tables(ctx, conn)
	return len(tables) == 0, err
}

// Tables implements store.Dialect. Other programs may use the database, in schemas of their own.
func (Dialect) Tables(ctx context.Context, c *sql.Conn) ([]string, error) {
	rows, err := c.QueryContext(ctx, "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Verify implements store.Dialect. The server looks after its pages by itself; that invalid indexes are told is what can be asked for cheaply.
func (Dialect) Verify(ctx context.Context, c *sql.Conn) ([]string, error) {
	rows, err := c.QueryContext(ctx, `SELECT i.relname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
		JOIN pg_catalog.pg_namespace s ON s.oid = i.relnamespace WHERE NOT x.indisvalid AND s.nspname = current_schema() LIMIT 100`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("the index %s is not valid: REINDEX it", name))
	}
	return out, rows.Err()
}

// Backup implements store.Dialect: a database of PostgreSQL is not a file that could be copied.
func (Dialect) Backup(context.Context, *sql.Conn, string) error {
	return &schema.Error{Op: "store.backup", Kind: schema.Invalid, Subject: "PostgreSQL", Err: errors.New("a store in PostgreSQL is not copied to a file in this way"),
		Hint: "use pg_dump, or `runpin store migrate FILE`, which makes a SQLite store of it and proves that nothing is missing"}
}
