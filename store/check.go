package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/runpin/runpin/schema"
)

// CheckOptions of [Store.Check].
type CheckOptions struct {
	_        struct{}
	Progress schema.Progress // may be nil
}

// CheckReport says what was looked at and everything that is wrong.
type CheckReport struct {
	Runs      int64     `json:"runs"`
	Documents int64     `json:"documents"`
	Blobs     int64     `json:"blobs"`
	Bytes     int64     `json:"bytes"`   // of blobs, before compression
	Waiting   int64     `json:"waiting"` // runs of which only events have arrived
	Problems  []Problem `json:"problems"`
	More      int64     `json:"more,omitempty"` // problems beyond those that are listed
}

// Problem is one thing that is wrong: with what, and what to do about it.
type Problem struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Remedy  string `json:"remedy,omitempty"`
}

// String gives "subject: text".
func (p Problem) String() string { return p.Subject + ": " + p.Text }

const (
	maxProblems   = 10_000
	remedyBackup  = "put a copy made with `runpin store backup` in the store's place"
	remedyReindex = "run `runpin store check --reindex`"
)

// Check verifies every document (form, digest, that its run folds), every blob, the index against one that is built anew, and lets the database
// check itself. It never stops at the first problem. An error means that the check itself could not be done.
func (s *Store) Check(ctx context.Context, options ...CheckOptions) (CheckReport, error) {
	c := &checker{s: s, ctx: ctx, seed: maphash.MakeSeed(), index: map[int64]uint64{}, files: map[int64]uint64{}, owners: map[int64]string{},
		referred: map[[32]byte]string{}, listed: map[[32]byte]bool{}, erased: map[[32]byte]string{}}
	for _, o := range options {
		c.progress = o.Progress
	}
	err := s.check(ctx, c)
	if err != nil {
		err = s.fail(ctx, "store.check", "the store", err)
	}
	return c.report, err
}

func (s *Store) check(ctx context.Context, c *checker) error {
	conn, err := s.pools.Read.Conn(ctx)
	if err != nil {
		return err
	}
	found, err := s.dialect.Verify(ctx, conn)
	conn.Close()
	for _, text := range found {
		c.problem("database", remedyBackup, "%s", text)
	}
	if err := c.failed("database", err); err != nil {
		return err
	}
	return s.read(ctx, "store.check", "the store", func(r *snapshot) error {
		c.r = r
		for _, part := range []func() error{c.documents, c.indexTables, c.blobs, c.leftovers} {
			if err := part(); err != nil {
				return err
			}
		}
		return nil
	})
}

// checker adds up, for each run, hashes of what the index should hold and of what it does hold: where the sums differ, the index is wrong.
type checker struct {
	s        *Store
	ctx      context.Context
	r        *snapshot
	progress schema.Progress
	report   CheckReport
	seed     maphash.Seed
	index    map[int64]uint64
	files    map[int64]uint64
	owners   map[int64]string
	referred map[[32]byte]string // blobs, and a run that refers to each
	listed   map[[32]byte]bool
	erased   map[[32]byte]string
}

func (c *checker) problem(subject, remedy, format string, args ...any) {
	if len(c.report.Problems) >= maxProblems {
		c.report.More++
		return
	}
	c.report.Problems = append(c.report.Problems, Problem{subject, fmt.Sprintf(format, args...), remedy})
}

// failed notes an error as a problem and goes on, unless it is that the check was interrupted.
func (c *checker) failed(subject string, err error) error {
	if err == nil {
		return nil
	}
	if ctxErr := c.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	text := err.Error()
	var own *schema.Error
	if errors.As(err, &own) && own.Err != nil {
		text = own.Err.Error()
	}
	c.problem(subject, remedyBackup, "%s", text)
	return nil
}

func (c *checker) step(what string, done, total int64) {
	if c.progress != nil {
		c.progress.Step(what, done, total, "")
	}
}

func (c *checker) add(sums map[int64]uint64, key int64, parts ...string) {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, p := range parts {
		fmt.Fprintf(&h, "%d:", len(p))
		h.WriteString(p)
	}
	if sums[key] ^= h.Sum64(); sums[key] == 0 {
		delete(sums, key)
	}
}

// texts reads a column.
func texts(q querier, query string, args ...any) ([]string, error) {
	rows, err := q.query(query, args...)
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

// sums reads a column of SHA-256 sums; what is none is left out.
func sums(q querier, query string, args ...any) ([][32]byte, error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][32]byte
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return out, err
		}
		if len(b) == 32 {
			out = append(out, [32]byte(b))
		}
	}
	return out, rows.Err()
}

func (c *checker) documents() error {
	ids, err := texts(c.r, "SELECT DISTINCT run FROM documents ORDER BY run")
	if err := c.failed("documents", err); err != nil {
		return err
	}
	for i, id := range ids {
		if err := c.run(schema.RunID(id)); err != nil {
			return err
		}
		c.step("runs", int64(i+1), int64(len(ids)))
	}
	return nil
}

func (c *checker) run(id schema.RunID) error {
	subject := "run " + schema.Shorten(string(id), 40)
	rows, err := c.r.query("SELECT id, run, kind, at, plain, state, sha256, bytes FROM documents WHERE run = $1 ORDER BY id", string(id))
	if err != nil {
		return c.failed(subject, err)
	}
	defer rows.Close()
	var docs []schema.Document
	whole := true
	for rows.Next() {
		var s stored
		var kind, at string
		var state bool
		if err := rows.Scan(&s.id, &s.run, &kind, &at, &s.plain, &state, &s.sum, &s.bytes); err != nil {
			return c.failed(subject, err)
		}
		c.report.Documents++
		name := "document " + schema.Shorten(s.id, 40)
		d, err := schema.DecodeDocument(s.bytes)
		sum := sha256.Sum256(s.bytes)
		switch {
		case !bytes.Equal(sum[:], s.sum):
			c.problem(name, remedyBackup, "its bytes are not those that were stored")
			whole = false
			continue
		case err != nil:
			c.problem(name, remedyBackup, "%v", err)
			whole = false
			continue
		case string(d.ID) != s.id || string(d.Run) != s.run || string(d.Kind) != kind || d.At.String() != at || changesState(&d) != state || s.plain && d.Verbatim != nil:
			c.problem(name, remedyReindex, "it is filed as what it is not")
		}
		docs = append(docs, d)
		c.refer(&d)
	}
	if err := rows.Err(); err != nil {
		return c.failed(subject, err)
	}
	rows.Close()
	if id == "" || len(docs) == 0 {
		return nil
	}
	if !slices.ContainsFunc(docs, isBase) && whole {
		c.report.Waiting++
	} else {
		c.report.Runs++
	}
	return c.failed(subject, c.expect(id, docs))
}

// refer notes which blobs and listings a document refers to, and what it erases.
func (c *checker) refer(d *schema.Document) {
	refs := BlobRefs(d)
	for _, ref := range refs {
		if sum, err := hex.DecodeString(ref.Digest.Hex()); err == nil && len(sum) == 32 {
			c.referred[[32]byte(sum)] = string(d.Run)
		}
	}
	if d.Erasure != nil {
		for _, digest := range d.Erasure.Blobs {
			if sum, err := hex.DecodeString(digest.Hex()); err == nil && len(sum) == 32 {
				if first := c.erased[[32]byte(sum)]; first == "" || string(d.ID) < first {
					c.erased[[32]byte(sum)] = string(d.ID)
				}
			}
		}
	}
}
