package store

import (
	"context"
	"io"

	"github.com/runpin/runpin/schema"
)

// indexTables are emptied by [Store.Reindex]; everything in them comes from the documents.
var indexTables = []string{"runs", "facts", "terms", "measures", "listings", "listing_files", "erased"}

// maxKnownTerms bounds the memory of an indexing of many runs.
const maxKnownTerms = 500_000

// Reindex builds the index anew from the documents, in one transaction. Documents that are damaged are left out; [Store.Check] names them.
func (s *Store) Reindex(ctx context.Context) error {
	return s.write(ctx, "store.reindex", "the store", func(t *tx) error {
		for _, table := range indexTables {
			if _, err := t.exec("DELETE FROM " + table); err != nil {
				return err
			}
		}
		ids, err := texts(t, "SELECT DISTINCT run FROM documents WHERE run <> '' ORDER BY run")
		if err != nil {
			return err
		}
		x := indexer{tx: t, known: map[term]int64{}}
		for _, id := range ids {
			if len(x.known) > maxKnownTerms {
				x.known = map[term]int64{}
			}
			if err := s.reindexRun(&x, schema.RunID(id)); err != nil {
				return err
			}
		}
		// The listings that are short enough to be indexed when they arrive are; the others wait until somebody looks for a file.
		short, err := sums(t, "SELECT l.digest FROM listings l JOIN blobs b ON b.digest = l.digest WHERE b.bytes <= $1", shortListing)
		if err != nil {
			return err
		}
		for _, sum := range short {
			if err := x.listing(sum, func() (io.ReadCloser, error) { return s.openSum(ctx, sum) }); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) reindexRun(x *indexer, id schema.RunID) error {
	if _, err := schema.ParseRunID(string(id)); err != nil {
		return nil
	}
	all, err := load(x, "run = $1 ORDER BY id", string(id))
	if err != nil {
		return err
	}
	var docs []schema.Document
	for i := range all {
		all[i].plain = false
		d, err := all[i].decode()
		if err != nil {
			continue
		}
		if _, err := x.exec("UPDATE documents SET kind = $2, at = $3, plain = $4, state = $5 WHERE id = $1 AND (kind <> $2 OR at <> $3 OR plain <> $4 OR state <> $5)",
			all[i].id, string(d.Kind), d.At.String(), d.Verbatim == nil, changesState(&d)); err != nil {
			return err
		}
		docs = append(docs, d)
	}
	if len(docs) == 0 {
		return nil
	}
	row := runRow{id: id}
	created := id.Time()
	for _, d := range docs {
		if isBase(d) {
			row.known, row.name, created = true, indexText(d.Plan.Name), d.Plan.Created
		}
	}
	if err := x.newRun(row, created, docs); err != nil {
		if schema.KindOf(err) == schema.Internal || schema.KindOf(err) == schema.Conflict {
			return nil // it does not fold
		}
		return err
	}
	return x.erasures(docs)
}
