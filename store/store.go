package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/runpin/runpin/schema"
)

// Store keeps runs in one database. It is safe for concurrent use: readers each see the state of one moment and never wait for writers,
// writers take turns.
type Store struct {
	dialect Dialect
	pools   Pools
	options Options
	writer  chan *writer // holds the one writer while nobody uses it; nil when opened for reading
}

// Options of [Open]. The zero value is good.
type Options struct {
	_        struct{}
	Now      func() time.Time // time.Now
	ReadOnly bool             // never write, so that a store in a read-only place can be read
	// Alive says whether the process behind a lease may still be there, given its last beat; [Alive] by default.
	Alive       func(lease schema.Lease, beat schema.Time, now time.Time) bool
	BusyTimeout time.Duration // how long to wait for a lock that another process holds; 30 s
}

// ErrNewerSchema is wrapped by the error for a store that a newer runpin has migrated.
var ErrNewerSchema = errors.New("the store was written by a newer version of runpin")

const defaultBusyTimeout = 30 * time.Second

// Open opens the database that dsn names, and creates or migrates it unless it is opened for reading. A store that does not exist and
// is opened for reading is an error for which errors.Is(err, fs.ErrNotExist) holds.
func Open(ctx context.Context, dialect Dialect, dsn string, options Options) (*Store, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Alive == nil {
		options.Alive = Alive
	}
	if options.BusyTimeout <= 0 {
		options.BusyTimeout = defaultBusyTimeout
	}
	s := &Store{dialect: dialect, options: options}
	pools, err := dialect.Open(ctx, dsn, OpenOptions{ReadOnly: options.ReadOnly, BusyTimeout: options.BusyTimeout})
	if err != nil {
		return nil, s.fail(ctx, "store.open", "the store", err)
	}
	s.pools = pools
	if err := s.migrate(ctx); err != nil {
		s.Close()
		return nil, s.fail(ctx, "store.open", "the store", err)
	}
	return s, nil
}

// Close gives the connections back. What was saved is durable before.
func (s *Store) Close() error {
	var errs []error
	if s.writer != nil {
		select {
		case w := <-s.writer:
			w.close()
		default: // somebody is still writing; closing the pool waits for nobody
		}
	}
	for _, pool := range []*sql.DB{s.pools.Write, s.pools.Read} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// ReadOnly reports whether the store was opened for reading.
func (s *Store) ReadOnly() bool { return s.pools.Write == nil }

// writer is the one connection that writes, with its prepared statements.
type writer struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (w *writer) close() {
	for _, stmt := range w.stmts {
		stmt.Close()
	}
	if w.conn != nil {
		w.conn.Close()
	}
	w.conn, w.stmts = nil, nil
}

// tx is a writing transaction. Its statements are not cut short by the context: it is looked at between them, and the whole transaction is
// given up, which costs less than one watcher for each statement.
type tx struct {
	ctx context.Context
	w   *writer
	now schema.Time
}

// querier reads, inside a writing transaction or a snapshot.
type querier interface {
	query(q string, args ...any) (*sql.Rows, error)
}

func (t *tx) prepare(q string) (*sql.Stmt, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	if stmt := t.w.stmts[q]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.w.conn.PrepareContext(context.WithoutCancel(t.ctx), q)
	if err != nil {
		return nil, err
	}
	t.w.stmts[q] = stmt
	return stmt, nil
}

func (t *tx) query(q string, args ...any) (*sql.Rows, error) {
	stmt, err := t.prepare(q)
	if err != nil {
		return nil, err
	}
	return stmt.Query(args...)
}

// exec gives the number of rows that were written.
func (t *tx) exec(q string, args ...any) (int64, error) {
	stmt, err := t.prepare(q)
	if err != nil {
		return 0, err
	}
	result, err := stmt.Exec(args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// one reads a single row, and reports whether there was one.
func one(q querier, query string, args []any, dest ...any) (bool, error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	return true, rows.Close()
}

// write runs fn in one writing transaction: all of it is durable when write returns nil, none of it happened otherwise.
func (s *Store) write(ctx context.Context, op, subject string, fn func(*tx) error) error {
	if s.ReadOnly() {
		return &schema.Error{Op: op, Kind: schema.Unavailable, Subject: subject, Err: errors.New("the store is open for reading only"),
			Hint: "use a store that can be written to: --store PATH"}
	}
	var w *writer
	select {
	case w = <-s.writer:
	case <-ctx.Done():
		return s.fail(ctx, op, subject, ctx.Err())
	}
	defer func() { s.writer <- w }()
	return s.fail(ctx, op, subject, s.transact(ctx, w, fn))
}

func (s *Store) transact(ctx context.Context, w *writer, fn func(*tx) error) (err error) {
	if w.conn == nil {
		if w.conn, err = s.pools.Write.Conn(ctx); err != nil {
			return err
		}
		w.stmts = map[string]*sql.Stmt{}
	}
	if err := s.begin(ctx, w); err != nil {
		if !lost(err) || ctx.Err() != nil {
			return err
		}
		// The server closed the connection while it lay idle. Nothing has been said on it yet, so a new one can be tried.
		w.close()
		if w.conn, err = s.pools.Write.Conn(ctx); err != nil {
			return err
		}
		w.stmts = map[string]*sql.Stmt{}
		if err := s.begin(ctx, w); err != nil {
			return err
		}
	}
	done := false
	defer func() {
		if done {
			return
		}
		if _, rollback := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); rollback != nil || lost(err) {
			w.close() // whatever state the connection is in, the next transaction starts on a new one
		}
	}()
	t := &tx{ctx: ctx, w: w, now: schema.At(s.options.Now())}
	if err := fn(t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := w.conn.ExecContext(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		return err
	}
	done = true
	return nil
}

// lost reports whether the connection to the database is gone.
func lost(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// begin takes the write lock. The database waits by itself while it is held; what it reports at once all the same (a log being recovered after
// a crash, a first writer that is just setting the file up) is tried again for as long.
func (s *Store) begin(ctx context.Context, w *writer) error {
	return s.retry(ctx, func() error {
		_, err := w.conn.ExecContext(ctx, s.dialect.Begin())
		return err
	})
}

func (s *Store) retry(ctx context.Context, fn func() error) error {
	deadline := time.Now().Add(s.options.BusyTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := fn()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		var own *schema.Error
		if kind, _ := s.dialect.Classify(err); kind != schema.Unavailable || errors.As(err, &own) || !Busy(s.dialect, err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Busy reports whether err says that another process holds a lock. Dialects that can tell implement interface{ Busy(error) bool }.
func Busy(d Dialect, err error) bool {
	b, ok := d.(interface{ Busy(error) bool })
	return ok && b.Busy(err)
}

// snapshot is a reading transaction: all its queries see the state of one moment.
type snapshot struct {
	ctx context.Context
	tx  *sql.Tx
}

func (r *snapshot) query(q string, args ...any) (*sql.Rows, error) {
	return r.tx.QueryContext(r.ctx, q, args...)
}

func (s *Store) read(ctx context.Context, op, subject string, fn func(*snapshot) error) error {
	t, err := s.pools.Read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.pools.Isolation})
	if err != nil {
		return s.fail(ctx, op, subject, err)
	}
	defer t.Rollback()
	return s.fail(ctx, op, subject, fn(&snapshot{ctx, t}))
}

// fail gives an error its kind and hint, once. An error that has them already stays as it is.
func (s *Store) fail(ctx context.Context, op, subject string, err error) error {
	var own *schema.Error
	switch {
	case err == nil || errors.As(err, &own):
		return err
	case ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &schema.Error{Op: op, Kind: schema.Interrupted, Subject: subject, Err: err, Hint: "nothing of it was stored; do it again"}
	}
	kind, hint := s.dialect.Classify(err)
	if errors.Is(err, fs.ErrNotExist) {
		kind, hint = schema.NotFound, "record a run first, or name another store with --store"
	}
	return &schema.Error{Op: op, Kind: kind, Subject: subject, Err: err, Hint: hint}
}

func internal(op, subject string, format string, args ...any) error {
	return &schema.Error{Op: op, Kind: schema.Internal, Subject: subject, Err: fmt.Errorf(format, args...),
		Hint: "run `runpin store check`; a copy made with `runpin store backup` can take the store's place"}
}

func invalid(op, subject, hint, format string, args ...any) error {
	return &schema.Error{Op: op, Kind: schema.Invalid, Subject: subject, Err: fmt.Errorf(format, args...), Hint: hint}
}
