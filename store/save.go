package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/runpin/runpin/schema"
)

// record is one document on its way into the store.
type record struct {
	doc   schema.Document
	bytes []byte
	sum   [32]byte
}

// Save keeps a report: all its documents and blobs are durable when it returns nil, nothing of it is kept otherwise. Saving a report
// again, or a document that another report held already, changes nothing. The same id with other bytes is of kind Conflict. Documents may come in any order:
// a run shows up once its base document is here.
func (s *Store) Save(ctx context.Context, report schema.Report) error {
	records := make([]record, len(report.Documents))
	for i, d := range report.Documents {
		b, err := d.Encode()
		if err != nil {
			return err
		}
		records[i] = record{d, b, sha256.Sum256(b)}
	}
	return s.save(ctx, records, report.Blobs)
}

// SaveEncoded is Save for documents as they were written, byte for byte: those of a spool or of a remote store. They are checked first.
func (s *Store) SaveEncoded(ctx context.Context, documents [][]byte, blobs []schema.Blob) error {
	records := make([]record, len(documents))
	for i, b := range documents {
		d, err := schema.DecodeDocument(b)
		if err != nil {
			return err
		}
		records[i] = record{d, b, sha256.Sum256(b)}
	}
	return s.save(ctx, records, blobs)
}

func (s *Store) save(ctx context.Context, records []record, blobs []schema.Blob) error {
	_, err := s.saveFresh(ctx, records, blobs)
	return err
}

// saveFresh is save, and gives the documents that were not there yet.
func (s *Store) saveFresh(ctx context.Context, records []record, blobs []schema.Blob) (fresh byRun, err error) {
	const op = "store.save"
	subject := "report"
	if len(records) > 0 {
		subject = "report of run " + string(records[0].doc.Run)
	}
	staged, err := s.stage(ctx, blobs)
	if err != nil {
		return fresh, s.fail(ctx, op, subject, err)
	}
	err = s.write(ctx, op, subject, func(t *tx) error {
		var err error
		if fresh, err = t.insert(records); err != nil {
			return err
		}
		x := indexer{tx: t}
		if len(fresh.runs) > 1 {
			x.known = map[term]int64{} // a report of many runs repeats itself
		}
		for _, run := range fresh.runs {
			if err := x.run(run, fresh.docs[run]); err != nil {
				return err
			}
		}
		for _, docs := range fresh.docs {
			if err := x.erasures(docs); err != nil {
				return err
			}
		}
		for _, st := range staged {
			if err := t.putBlob(st); err != nil {
				return err
			}
		}
		return x.shortListings(staged)
	})
	return fresh, err
}

// byRun groups documents by their run, in the order in which the runs appear. Releases that no run led to are under "".
type byRun struct {
	runs []schema.RunID // without ""
	docs map[schema.RunID][]schema.Document
}

// insertAtOnce is how many documents one statement writes: a statement is a round trip where the database is a server.
const insertAtOnce = 32

// insert writes the documents that are not there yet and gives them back by run.
func (t *tx) insert(records []record) (byRun, error) {
	fresh := byRun{docs: map[schema.RunID][]schema.Document{}}
	added := map[schema.DocumentID][32]byte{}
	for some := range slices.Chunk(records, insertAtOnce) {
		written, err := t.insertSome(some)
		if err != nil {
			return fresh, err
		}
		for _, r := range some {
			if sum, again := added[r.doc.ID]; again {
				if sum != r.sum {
					return fresh, otherDocument(r)
				}
				continue
			}
			if !written[string(r.doc.ID)] {
				var sum []byte
				if _, err := one(t, "SELECT sha256 FROM documents WHERE id = $1", []any{string(r.doc.ID)}, &sum); err != nil {
					return fresh, err
				}
				if !bytes.Equal(sum, r.sum[:]) {
					return fresh, otherDocument(r)
				}
				continue
			}
			added[r.doc.ID] = r.sum
			if fresh.docs[r.doc.Run] == nil && r.doc.Run != "" {
				fresh.runs = append(fresh.runs, r.doc.Run)
			}
			fresh.docs[r.doc.Run] = append(fresh.docs[r.doc.Run], r.doc)
		}
	}
	return fresh, nil
}

// insertSome writes documents and says which of them were not there yet. Of two with one id in the statement the first is written.
func (t *tx) insertSome(some []record) (map[string]bool, error) {
	const width = 8
	args := make([]any, 0, width*len(some))
	for i := range some {
		r := &some[i]
		args = append(args, string(r.doc.ID), string(r.doc.Run), string(r.doc.Kind), r.doc.At.String(), r.doc.Verbatim == nil, changesState(&r.doc), r.sum[:], r.bytes)
	}
	ids, err := texts(t, "INSERT INTO documents (id, run, kind, at, plain, state, sha256, bytes) VALUES "+tuples(len(some), width)+" ON CONFLICT (id) DO NOTHING RETURNING id", args...)
	written := make(map[string]bool, len(ids))
	for _, id := range ids {
		written[id] = true
	}
	return written, err
}

func otherDocument(r record) error {
	return &schema.Error{Op: "store.save", Kind: schema.Conflict, Subject: "document " + string(r.doc.ID),
		Err: fmt.Errorf("the store already has a document of this id that says something else"), Hint: "documents never change; write a new one, with an id of its own"}
}
