package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/sqlite"
)

// runStore is a store that can be searched: a database here, or one behind a server.
type runStore interface {
	Save(ctx context.Context, report schema.Report) error
	SaveEncoded(ctx context.Context, documents [][]byte, blobs []schema.Blob) error
	Beat(ctx context.Context, run schema.RunID, at schema.Time) error
	OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error)
	Find(ctx context.Context, query string, scope store.Scope) (schema.RunID, error)
	Run(ctx context.Context, id schema.RunID) (schema.Run, error)
	Documents(ctx context.Context, id schema.RunID) ([]schema.Document, error)
	List(ctx context.Context, filter store.Filter) ([]schema.Run, error)
	Close() error
}

var _ runStore = (*store.Store)(nil)

// storeKind is a row of the table of places where runs are kept.
type storeKind struct {
	prefixes []string // of a location; the row without any is for paths
	// locate makes a location absolute, and refuses one that is malformed.
	locate func(location string) (string, error)
	open   func(ctx context.Context, env *Env, location string, mode access) (*keptRuns, error)
	// files are the absolute paths of the store, which are never part of the code.
	files func(location string) []string
	// show gives a location without what is secret in it; nil where nothing is.
	show func(location string) string
}

// storeKinds is searched in order: another kind of store is one row. It is filled in by init because opening a store of one kind may need another.
var storeKinds []storeKind

func init() {
	storeKinds = []storeKind{
		{prefixes: []string{"spool:"}, locate: locateSpool, open: openSpool, files: func(location string) []string { return []string{strings.TrimPrefix(location, "spool:")} }},
		httpStore(),
		postgresStore(),
		{locate: locateFile, open: openSQLite, files: func(location string) []string {
			return []string{location, location + "-wal", location + "-shm", location + ".spool"}
		}},
	}
}

// shownLocation gives a location as people may see it.
func shownLocation(location string) string {
	if show := kindOfStore(location).show; show != nil {
		return show(location)
	}
	return location
}

func kindOfStore(location string) storeKind {
	for _, kind := range storeKinds {
		for _, prefix := range kind.prefixes {
			if strings.HasPrefix(location, prefix) {
				return kind
			}
		}
		if len(kind.prefixes) == 0 {
			return kind
		}
	}
	panic("there is no row for paths")
}

// keptRuns is the store as the verbs see it: one that can be searched, a spool that is only written to, or nothing yet.
type keptRuns struct {
	runStore              // nil when there is none
	db       *store.Store // the same, where it is a database
	spool    *spool.Spool
	location string

	env      *Env
	fallback lazySpools // where reports wait while the store cannot be reached; nil: they are refused
	left     int        // reports that wait there and could not be folded in
	away     error      // why it could not be opened just now
}

func openRuns(ctx context.Context, env *Env, location string, mode access) (*keptRuns, error) {
	if mode != forReporting {
		return kindOfStore(location).open(ctx, env, location, mode)
	}
	fallback := lazySpools(fallbackSpools(env, location))
	k, err := kindOfStore(location).open(ctx, env, location, forWriting)
	if err != nil && unreachable(location, err) && len(fallback) > 0 {
		k, err = &keptRuns{location: shownLocation(location), away: err}, nil
	}
	if k != nil {
		k.env, k.fallback = env, fallback
	}
	return k, err
}

func locateFile(location string) (string, error) {
	if scheme, _, found := strings.Cut(location, "://"); found {
		return "", usageError("give the path of a database file, spool:DIR, https://HOST or postgres://HOST/DATABASE", "this version has no store of kind %q", schema.Shorten(scheme, 40))
	}
	return filepath.Abs(location)
}

func locateSpool(location string) (string, error) {
	abs, err := filepath.Abs(strings.TrimPrefix(location, "spool:"))
	return "spool:" + abs, err
}

func openSpool(_ context.Context, _ *Env, location string, mode access) (*keptRuns, error) {
	dir := strings.TrimPrefix(location, "spool:")
	if mode == forReading {
		return nil, usageError("fold it into a database first: runpin import "+dir+" --store PATH", "%s is a spool: it can be written to, not read", location)
	}
	s, err := spool.Open(dir)
	return &keptRuns{spool: s, location: location}, err
}

func openSQLite(ctx context.Context, env *Env, location string, mode access) (*keptRuns, error) {
	k := &keptRuns{location: location}
	if fsName, yes := sqlite.OnNetworkFileSystem(location); yes && mode == forWriting {
		dir := location + ".spool"
		env.warn("%s is on a network file system (%s), where SQLite is not safe: the report goes to %s; `runpin import` folds it in", location, fsName, dir)
		var err error
		k.spool, err = spool.Open(dir)
		return k, err
	}
	db, err := store.Open(ctx, sqlite.Dialect{}, location, store.Options{Now: env.Now, ReadOnly: mode == forReading, BusyTimeout: duration(env, "RUNPIN_BUSY_TIMEOUT")})
	if mode == forReading && errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, atStore(err, location)
	}
	if mode == forWriting && db.ReadOnly() {
		_ = db.Close()
		return nil, &schema.Error{Op: "store", Kind: schema.Unavailable, Subject: location, Err: fmt.Errorf("the store cannot be written to"), Hint: "look at its permissions, or name another store with --store"}
	}
	k.db, k.runStore = db, db
	return k, nil
}

// atStore names the store's place in an error of opening it.
func atStore(err error, location string) error {
	var e *schema.Error
	if !errors.As(err, &e) || strings.Contains(e.Subject, location) {
		return err
	}
	named := *e
	named.Subject = location
	return &named
}

func (k *keptRuns) close() {
	if k.runStore != nil {
		_ = k.runStore.Close()
	}
}

func (k *keptRuns) missing() error {
	if k.away != nil {
		return k.away
	}
	if k.spool != nil {
		return usageError("use a database: --store PATH", "%s is a spool and cannot be searched", k.location)
	}
	if k.runStore != nil {
		return usageError("do it where the database lies: --store PATH", "%s is behind a server, which looks after it", k.location)
	}
	return &schema.Error{Op: "store", Kind: schema.NotFound, Subject: k.location, Err: fmt.Errorf("no run has been recorded there yet"), Hint: "runpin record -- COMMAND, or name another store with --store"}
}

// Save implements recorder.RunSaver and rerun.Saver.
func (k *keptRuns) Save(ctx context.Context, report schema.Report) error {
	if k.spool != nil {
		return k.spool.Save(ctx, report)
	}
	if k.away != nil {
		return k.wait(ctx, report, k.away)
	}
	if k.runStore == nil {
		return k.missing()
	}
	err := k.runStore.Save(ctx, report)
	if k.waits(err) {
		return k.wait(ctx, report, err)
	}
	return err
}

// lease: a spool takes no beats, so its reader must not expect any.
func (k *keptRuns) lease(interval time.Duration) schema.Lease {
	if k.spool != nil {
		interval = max(interval, recorder.SilentInterval)
	}
	return store.CurrentLease(interval)
}

// Beat implements recorder.Beater.
func (k *keptRuns) Beat(ctx context.Context, run schema.RunID, at schema.Time) error {
	if k.runStore == nil {
		return nil
	}
	return k.runStore.Beat(ctx, run, at)
}

// OpenBlob implements schema.BlobSource.
func (k *keptRuns) OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	if k.runStore == nil {
		return nil, k.missing()
	}
	return k.runStore.OpenBlob(ctx, ref)
}

func (k *keptRuns) Find(ctx context.Context, query string, scope store.Scope) (schema.RunID, error) {
	if k.runStore == nil {
		// A full id is taken at its word where reports can only be left: the run may well be there.
		if id, err := schema.ParseRunID(query); err == nil && (k.spool != nil || k.away != nil) {
			return id, nil
		}
		return "", k.missing()
	}
	if id, ok := strings.CutPrefix(query, byMLflow); ok {
		return findByMLflow(ctx, k.runStore, id)
	}
	id, err := k.runStore.Find(ctx, query, scope)
	if full, parsed := schema.ParseRunID(query); parsed == nil && k.unread(err) {
		return full, nil
	}
	return id, err
}

func (k *keptRuns) Run(ctx context.Context, id schema.RunID) (schema.Run, error) {
	if k.runStore == nil {
		return schema.Run{}, k.missing()
	}
	return k.runStore.Run(ctx, id)
}

// Documents gives what was said of a run, see [store.Store.Documents].
func (k *keptRuns) Documents(ctx context.Context, id schema.RunID) ([]schema.Document, error) {
	if k.runStore == nil {
		return nil, k.missing()
	}
	return k.runStore.Documents(ctx, id)
}

func (k *keptRuns) List(ctx context.Context, filter store.Filter) ([]schema.Run, error) {
	if k.runStore == nil {
		return nil, nil
	}
	return k.runStore.List(ctx, filter)
}
