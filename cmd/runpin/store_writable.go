package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/runpin/runpin/schema"
)

// reportRoom is what has to fit beside a database in a file: the report of a run, with its log of what is not yet in the database, is some ten kilobytes.
const reportRoom = 256 << 10

// writable finds out whether a report can be kept, before anything is done that would be lost without one. Nothing stays of the trial.
func (k *keptRuns) writable(ctx context.Context) error {
	switch {
	case k.spool != nil:
		return nil // each report is a file of its own, and who cannot be searched is no place to rerun from
	case k.runStore == nil:
		return k.missing()
	case k.db == nil: // behind a server: a report in which nothing is has to be let in like any other
		return k.runStore.Save(ctx, schema.Report{})
	}
	if err := k.db.Writable(ctx); err != nil {
		return atStore(err, k.location)
	}
	if files := kindOfStore(k.location).files; files != nil {
		return roomBeside(files(k.location)[0])
	}
	return nil
}

// roomBeside writes a file beside a database and removes it. Where it may not be made the database speaks for itself: the files that it needs may be there.
func roomBeside(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".room-*")
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err == nil {
		_, err = file.Write(bytes.Repeat([]byte{1}, reportRoom))
		err = errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	if err == nil {
		return nil
	}
	return &schema.Error{Op: "store", Kind: schema.Unavailable, Subject: path, Err: err, Hint: "make room where the store lies, or name another store with --store"}
}
