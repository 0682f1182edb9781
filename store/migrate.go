package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// migrationFiles hold one step each, "0001_init.sqlite.sql", paired by number over all dialects. A released file is never edited.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

type migration struct {
	version  int
	name     string
	text     string
	checksum string
}

// migrationsOf gives the steps for a dialect, in order.
func migrationsOf(dialect string) ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*."+dialect+".sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []migration
	for i, name := range names {
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		base := path.Base(name)
		version, err := strconv.Atoi(strings.SplitN(base, "_", 2)[0])
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", base, i+1)
		}
		all = append(all, migration{version, base, string(text), schema.SHA256(text).Hex()})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there are no migrations for %q", dialect)
	}
	return all, nil
}

// migrate brings the tables to this version, one transaction for each step, or refuses a store that it does not know. It also sets up the writer.
func (s *Store) migrate(ctx context.Context) error {
	steps, err := migrationsOf(s.dialect.Name())
	if err != nil {
		return err
	}
	if s.ReadOnly() {
		conn, err := s.pools.Read.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		pending, err := s.pending(ctx, conn, steps)
		if err == nil && len(pending) > 0 {
			err = &schema.Error{Op: "store.open", Kind: schema.Unavailable, Subject: "the store", Err: fmt.Errorf("it was written by an older version of runpin"),
				Hint: "open it once where it can be written to, by recording a run: that brings it up to date"}
		}
		return err
	}
	w := &writer{stmts: map[string]*sql.Stmt{}}
	// Of several processes that set up the same new file, all but one may be told at once that it is locked.
	if err := s.retry(ctx, func() (err error) { w.conn, err = s.pools.Write.Conn(ctx); return err }); err != nil {
		return err
	}
	s.writer = make(chan *writer, 1)
	s.writer <- w
	var pending []migration
	if err := s.retry(ctx, func() (err error) { pending, err = s.pending(ctx, w.conn, steps); return err }); err != nil || len(pending) == 0 {
		return err
	}
	for range pending {
		if err := s.write(ctx, "store.migrate", "the store", func(t *tx) error { return s.step(t, steps) }); err != nil {
			return err
		}
	}
	return nil
}

// step applies the first step that is missing, as seen under the write lock: another process may have been faster.
func (s *Store) step(t *tx, steps []migration) error {
	pending, err := s.pending(t.ctx, t.w.conn, steps)
	if err != nil || len(pending) == 0 {
		return err
	}
	m := pending[0]
	if m.version == 1 {
		m.text = "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied TEXT NOT NULL);\n" + m.text
	}
	if _, err := t.w.conn.ExecContext(t.ctx, m.text); err != nil {
		return fmt.Errorf("migration %s: %w", m.name, err)
	}
	_, err = t.exec("INSERT INTO migrations (version, name, checksum, applied) VALUES ($1, $2, $3, $4)", m.version, m.name, m.checksum, t.now.String())
	return err
}

// pending compares what was applied with what this binary knows.
func (s *Store) pending(ctx context.Context, conn *sql.Conn, steps []migration) ([]migration, error) {
	tables, err := s.dialect.Tables(ctx, conn)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(tables, "migrations") {
		if len(tables) > 0 || s.ReadOnly() {
			return nil, invalid("store.open", "the store", "name another store with --store", "it is a database, but not one of runpin's")
		}
		return steps, nil
	}
	rows, err := conn.QueryContext(ctx, "SELECT version, name, checksum FROM migrations ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	applied := 0
	for rows.Next() {
		var m migration
		if err := rows.Scan(&m.version, &m.name, &m.checksum); err != nil {
			return nil, err
		}
		if m.version > len(steps) {
			return nil, &schema.Error{Op: "store.open", Kind: schema.Internal, Subject: "the store", Err: ErrNewerSchema,
				Hint: fmt.Sprintf("upgrade runpin: the store is at step %s, this version knows %d", schema.Shorten(m.name, 80), len(steps))}
		}
		if applied++; m.version != applied || m.checksum != steps[applied-1].checksum {
			return nil, &schema.Error{Op: "store.open", Kind: schema.Internal, Subject: "the store", Err: fmt.Errorf("its migration %s is not the one this version knows", schema.Shorten(m.name, 80)),
				Hint: "use the version of runpin that wrote it"}
		}
	}
	return steps[applied:], rows.Err()
}
