package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"reflect"
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
	refs := blobRefs(d)
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

// expect adds what the index should hold of a run.
func (c *checker) expect(id schema.RunID, docs []schema.Document) error {
	folded, err := foldState(id, docs)
	if err != nil {
		return err
	}
	row, found, err := rowOf(c.r, id)
	if err != nil {
		return err
	}
	subject := "run " + string(id)
	if !found {
		c.problem(subject, remedyReindex, "it is not in the index")
		return nil
	}
	c.owners[row.n] = string(id)
	created, known := folded.Created, slices.ContainsFunc(docs, isBase)
	if !known {
		created = id.Time()
	}
	if row.state != stateOf(&folded) || row.known != known || row.name != indexText(folded.Name) || row.n>>15 != runKey(created, id)>>15 {
		c.problem(subject, remedyReindex, "its row in the index is not what its documents say")
	}
	var g gatherer
	for i := range docs {
		g.document(&docs[i])
	}
	for _, t := range slices.Concat(g.terms, row.state.terms(), labelTerms(folded.Labels)) {
		c.add(c.index, row.n, t.kind, t.name, t.value)
	}
	for kind, measures := range map[string]map[string]schema.Text{measureParam: folded.Params, measureMetric: folded.Metrics} {
		for name, value := range measures {
			c.add(c.index, row.n, kind, indexText(name), indexText(string(value)))
		}
	}
	for _, digest := range g.listings {
		if sum, err := hex.DecodeString(digest.Hex()); err == nil && len(sum) == 32 {
			c.listed[[32]byte(sum)] = true
		}
	}
	return nil
}

// indexTables takes off what the index does hold, and names the runs for which something remains.
func (c *checker) indexTables() error {
	for _, q := range []string{
		"SELECT f.n, t.kind, t.name, t.value FROM facts f LEFT JOIN terms t ON t.v = f.v",
		"SELECT n, kind, name, value FROM measures",
	} {
		rows, err := c.r.query(q)
		if err != nil {
			if err := c.failed("index", err); err != nil {
				return err
			}
			continue
		}
		for rows.Next() {
			var n int64
			var kind, name, value *string
			if err = rows.Scan(&n, &kind, &name, &value); err != nil {
				break
			}
			if kind == nil {
				c.index[n]++
				continue
			}
			c.add(c.index, n, *kind, *name, *value)
		}
		if err == nil {
			err = rows.Err()
		}
		rows.Close()
		if err := c.failed("index", err); err != nil {
			return err
		}
	}
	for n := range c.index {
		if id := c.owners[n]; id != "" {
			c.problem("run "+id, remedyReindex, "what it is found by in the index is not what its documents say")
		} else {
			c.problem("index", remedyReindex, "it holds entries of run number %d, which does not exist", n)
		}
	}
	ids, err := texts(c.r, "SELECT id FROM runs")
	known := map[string]bool{}
	for _, id := range c.owners {
		known[id] = true
	}
	for _, id := range ids {
		if !known[id] {
			c.problem("run "+schema.Shorten(id, 40), remedyReindex, "the index has it, and no document")
		}
	}
	return c.failed("index", err)
}

func (c *checker) blobs() error {
	digests, err := sums(c.r, "SELECT digest FROM blobs ORDER BY digest")
	if err := c.failed("blobs", err); err != nil {
		return err
	}
	for i, sum := range digests {
		subject := "blob " + string(schema.SHA256Sum(sum))
		if c.erased[sum] != "" {
			c.problem(subject, remedyReindex, "it was erased, and its bytes are still here")
		}
		delete(c.referred, sum)
		c.report.Blobs++
		n, err := c.s.verifyBlob(c.ctx, sum)
		c.report.Bytes += n
		if err := c.failed(subject, err); err != nil {
			return err
		}
		c.step("blobs", int64(i+1), int64(len(digests)))
	}
	for sum, run := range c.referred {
		if c.erased[sum] == "" {
			c.problem("run "+run, "import the spool that holds it, or "+remedyBackup, "blob %s is missing", schema.SHA256Sum(sum))
		}
	}
	return nil
}

// verifyBlob reads a blob to its end.
func (s *Store) verifyBlob(ctx context.Context, sum [32]byte) (int64, error) {
	r, err := s.openSum(ctx, sum)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}

// leftovers checks the tables beside: listings, erasures, pieces that no blob has.
func (c *checker) leftovers() error {
	rows, err := c.r.query("SELECT l.m, l.digest, l.state, b.digest IS NOT NULL FROM listings l LEFT JOIN blobs b ON b.digest = l.digest")
	if err != nil {
		return c.failed("index", err)
	}
	type listing struct {
		m     int64
		sum   [32]byte
		state int
		here  bool
	}
	var all []listing
	for rows.Next() {
		var l listing
		var digest []byte
		if err = rows.Scan(&l.m, &digest, &l.state, &l.here); err != nil || len(digest) != 32 {
			break
		}
		l.sum = [32]byte(digest)
		all = append(all, l)
	}
	if err == nil {
		err = rows.Err()
	}
	rows.Close()
	if err := c.failed("index", err); err != nil {
		return err
	}
	names := map[int64]string{}
	for _, l := range all {
		names[l.m] = schema.SHA256Sum(l.sum).Short()
		if !c.listed[l.sum] {
			c.problem("listing "+names[l.m], remedyReindex, "the index has it, and no document")
		}
		delete(c.listed, l.sum)
		if l.state != listingIndexed || !l.here {
			continue
		}
		numbers, _, err := readListing(func() (io.ReadCloser, error) { return c.s.openSum(c.ctx, l.sum) })
		if err := c.failed("listing "+names[l.m], err); err != nil {
			return err
		}
		for _, h := range numbers {
			c.add(c.files, l.m, fmt.Sprint(h))
		}
	}
	for sum := range c.listed {
		c.problem("listing "+schema.SHA256Sum(sum).Short(), remedyReindex, "it is not in the index")
	}
	rows, err = c.r.query("SELECT h, m FROM listing_files")
	if err != nil {
		return c.failed("index", err)
	}
	for rows.Next() {
		var h, m int64
		if err = rows.Scan(&h, &m); err != nil {
			break
		}
		c.add(c.files, m, fmt.Sprint(h))
	}
	if err == nil {
		err = rows.Err()
	}
	rows.Close()
	for m := range c.files {
		c.problem("listing "+names[m], remedyReindex, "its files in the index are not those in its blob")
	}
	if err := c.failed("index", err); err != nil {
		return err
	}
	rows, err = c.r.query("SELECT digest, doc FROM erased")
	if err != nil {
		return c.failed("index", err)
	}
	for rows.Next() {
		var digest []byte
		var doc string
		if err = rows.Scan(&digest, &doc); err != nil {
			break
		}
		if len(digest) != 32 || c.erased[[32]byte(digest)] != doc {
			c.problem("erasure of sha256:"+hex.EncodeToString(digest), remedyReindex, "the index has it, and no document says so")
			continue
		}
		delete(c.erased, [32]byte(digest))
	}
	if err == nil {
		err = rows.Err()
	}
	rows.Close()
	for sum := range c.erased {
		c.problem("erasure of "+string(schema.SHA256Sum(sum)), remedyReindex, "it is not in the index")
	}
	if err := c.failed("index", err); err != nil {
		return err
	}
	var n int64
	_, err = one(c.r, "SELECT count(*) FROM chunks WHERE digest NOT IN (SELECT chunk FROM blob_chunks)", nil, &n)
	if n > 0 {
		c.problem("chunks", "", "%d pieces belong to no blob", n)
	}
	return c.failed("chunks", err)
}

var blobRefType = reflect.TypeFor[schema.BlobRef]()

// blobRefs gives every blob that a document refers to, wherever in it that stands.
func blobRefs(d *schema.Document) []schema.BlobRef {
	var out []schema.BlobRef
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Struct {
				for i := range v.Len() {
					walk(v.Index(i))
				}
			}
		case reflect.Struct:
			if v.Type() == blobRefType {
				out = append(out, v.Interface().(schema.BlobRef))
				return
			}
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		}
	}
	walk(reflect.ValueOf(d))
	return out
}
