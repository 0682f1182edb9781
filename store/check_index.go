package store

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/runpin/runpin/schema"
)

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
