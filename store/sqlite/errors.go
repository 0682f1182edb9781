package sqlite

import (
	"errors"
	"io/fs"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/runpin/runpin/schema"
)

// Classify implements store.Dialect: the one place that knows what the codes of SQLite mean (https://www.sqlite.org/rescode.html).
func (Dialect) Classify(err error) (schema.Kind, string) {
	if full(err) {
		return schema.Unavailable, "free some space on the file system of the store, then do it again"
	}
	if errors.Is(err, fs.ErrPermission) || readOnlyFileSystem(err) {
		return schema.Unavailable, readOnlyHint
	}
	switch code(err) & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return schema.Unavailable, "another process is writing to the store; do it again when it has finished"
	case sqlite3.SQLITE_FULL:
		return schema.Unavailable, "free some space on the file system of the store, then do it again"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return schema.Unavailable, readOnlyHint
	case sqlite3.SQLITE_CANTOPEN:
		return schema.Unavailable, "look whether the store's file and directory can be written to, or name another store with --store"
	case sqlite3.SQLITE_CORRUPT:
		return schema.Internal, "run `runpin store check`; a copy made with `runpin store backup` can take the store's place"
	case sqlite3.SQLITE_NOTADB:
		return schema.Internal, "it is not a SQLite file, or a damaged one: name another store with --store, or put a copy made with `runpin store backup` in its place"
	case sqlite3.SQLITE_IOERR:
		return schema.Unavailable, "the file system of the store reports errors; look at the system's log"
	case sqlite3.SQLITE_NOMEM:
		return schema.Unavailable, "there is not enough memory"
	case sqlite3.SQLITE_INTERRUPT:
		return schema.Interrupted, ""
	}
	return schema.Internal, ""
}

const readOnlyHint = "the store cannot be written to: look at the permissions of its file and directory, or name another store with --store"

// Busy tells a held lock from the other reasons to try again.
func (Dialect) Busy(err error) bool {
	switch code(err) & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// code gives the extended result code, or 0.
func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// cannotMakeFiles reports whether err is what a database in WAL mode gives where its log and index cannot be made.
func cannotMakeFiles(err error) bool {
	c := code(err) & 0xff
	return c == sqlite3.SQLITE_CANTOPEN || c == sqlite3.SQLITE_READONLY || c == sqlite3.SQLITE_PERM
}
