package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	driver "modernc.org/sqlite"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// Dialect opens a store in one SQLite file. Its dsn is the path of the file, taken literally.
type Dialect struct{}

var _ store.Dialect = Dialect{}

// Open opens the store in the file at path, and creates it unless it is opened for reading.
func Open(ctx context.Context, path string, options store.Options) (*store.Store, error) {
	return store.Open(ctx, Dialect{}, path, options)
}

// Name implements store.Dialect.
func (Dialect) Name() string { return "sqlite" }

// Begin implements store.Dialect. A transaction that takes the write lock only when it first writes fails where another has written since it
// began to read, however long it waits.
func (Dialect) Begin() string { return "BEGIN IMMEDIATE" }

// setUp chooses, once for the process, locks that survive when some other part of the process opens and closes the database file (POSIX record
// locks do not), and a sync that leaves out the file's times.
var setUp = sync.OnceFunc(func() {
	// Where the system has neither, the defaults stay.
	_, _ = driver.OFDLocking(true)
	_, _ = driver.Fdatasync(true)
	driver.StrictPragmas(true)
})

// readers is how many connections read at a time.
const readers = 8

// Open implements store.Dialect.
func (Dialect) Open(ctx context.Context, path string, o store.OpenOptions) (store.Pools, error) {
	setUp()
	path, err := filepath.Abs(path)
	if err != nil {
		return store.Pools{}, err
	}
	if o.ReadOnly {
		return openReadOnly(ctx, path, o)
	}
	if err := create(path); err != nil {
		return store.Pools{}, err
	}
	common := pragmas("busy_timeout", milliseconds(o.BusyTimeout), "foreign_keys", "1", "cache_size", "-16384")
	write, err := sql.Open("sqlite", dsn(path, append(common, pragmas("journal_mode", "wal", "synchronous", "full", "secure_delete", "1", "journal_size_limit", "67108864")...), "_txlock=immediate"))
	if err != nil {
		return store.Pools{}, err
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn(path, append(common, pragmas("query_only", "1")...)))
	if err != nil {
		write.Close()
		return store.Pools{}, err
	}
	limitReaders(read)
	return store.Pools{Write: write, Read: read}, nil
}

func limitReaders(db *sql.DB) {
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
}

// create makes the file and the directories above it, for nobody else to read. An existing file keeps its mode.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		return f.Close()
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return &schema.Error{Op: "store.open", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", path), Err: errors.New("it is not a regular file"), Hint: "name the file of the store with --store FILE"}
	}
	return err
}

// openReadOnly reads a store that is not written to. In a directory where the files beside a database in WAL mode cannot be made, the database is
// read as a file that nobody changes; only that is true, and only as long as there is no log beside it that would have to be read too.
func openReadOnly(ctx context.Context, path string, o store.OpenOptions) (store.Pools, error) {
	info, err := os.Stat(path)
	if err != nil {
		return store.Pools{}, err
	}
	if !info.Mode().IsRegular() {
		return store.Pools{}, &schema.Error{Op: "store.open", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", path), Err: errors.New("it is not a regular file"), Hint: "name the file of the store with --store FILE"}
	}
	settings := pragmas("busy_timeout", milliseconds(o.BusyTimeout), "query_only", "1", "cache_size", "-16384")
	var failed error
	for _, mode := range [][]string{{"mode=ro"}, {"mode=ro", "immutable=1"}} {
		if len(mode) > 1 {
			if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
				break
			}
		}
		db, err := sql.Open("sqlite", dsn(path, settings, mode...))
		if err != nil {
			return store.Pools{}, err
		}
		limitReaders(db)
		var n int
		if failed = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); failed == nil {
			return store.Pools{Read: db}, nil
		}
		db.Close()
		if !cannotMakeFiles(failed) {
			break
		}
	}
	return store.Pools{}, failed
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// pragmas makes parameters that apply to every connection.
func pragmas(nameValue ...string) []string {
	var out []string
	for i := 0; i < len(nameValue); i += 2 {
		out = append(out, "_pragma="+nameValue[i]+"("+nameValue[i+1]+")")
	}
	return out
}

// dsn names a file, whatever characters are in its path, and the settings of its connections.
func dsn(path string, pragmas []string, more ...string) string {
	path = filepath.ToSlash(path)
	if runtime.GOOS == "windows" {
		path = "/" + path // file:/C:/…
	}
	escaped := make([]string, 0, 8)
	for _, part := range strings.Split(path, "/") {
		escaped = append(escaped, url.PathEscape(part))
	}
	return "file:" + strings.Join(escaped, "/") + "?" + strings.Join(append(append([]string(nil), pragmas...), more...), "&")
}

// Tables implements store.Dialect.
func (Dialect) Tables(ctx context.Context, c *sql.Conn) ([]string, error) {
	return texts(ctx, c, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
}

// Verify implements store.Dialect.
func (Dialect) Verify(ctx context.Context, c *sql.Conn) ([]string, error) {
	found, err := texts(ctx, c, "PRAGMA integrity_check(100)")
	if len(found) == 1 && found[0] == "ok" {
		return nil, err
	}
	return found, err
}

func texts(ctx context.Context, c *sql.Conn, query string) ([]string, error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return out, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Backup implements store.Dialect. A connection that only reads may not write another file either, so it is let off for as long as this takes.
func (Dialect) Backup(ctx context.Context, c *sql.Conn, dest string) error {
	if _, err := c.ExecContext(ctx, "PRAGMA query_only = 0"); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, "VACUUM INTO $1", dest)
	_, back := c.ExecContext(context.WithoutCancel(ctx), "PRAGMA query_only = 1")
	return errors.Join(err, back)
}
