package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/runpin/runpin/schema"
)

// stored is a document as it lies in the table.
type stored struct {
	id    string
	run   string
	plain bool
	sum   []byte
	bytes []byte
}

// decode checks that the bytes are the ones that were stored, and reads them. The form of a plain document was checked when it came in, so it is
// not again: `store check` does that.
func (s *stored) decode() (d schema.Document, err error) {
	damaged := func(format string, args ...any) error {
		return internal("store.read", "document "+schema.Shorten(s.id, 40), format, args...)
	}
	if sum := sha256.Sum256(s.bytes); !bytes.Equal(sum[:], s.sum) {
		return d, damaged("its bytes are not those that were stored")
	}
	if !s.plain {
		if d, err = schema.DecodeDocument(s.bytes); err != nil {
			return d, damaged("%w", err)
		}
		return d, nil
	}
	if err := json.Unmarshal(s.bytes, &d); err != nil {
		return d, damaged("%w", err)
	}
	// What folds a document relies on its body.
	if has, known := map[schema.DocumentKind]bool{
		schema.KindRun: d.Plan != nil, schema.KindObservation: d.Observation != nil, schema.KindOutput: d.Output != nil,
		schema.KindStatus: d.Status != nil, schema.KindLabel: d.Label != nil, schema.KindNote: d.Note != nil,
		schema.KindRelease: d.Release != nil, schema.KindKeep: d.Keep != nil, schema.KindErasure: d.Erasure != nil,
	}[d.Kind]; known && !has {
		return d, damaged("it has no body")
	}
	return d, nil
}

// load reads the stored form of the documents for which where holds.
func load(q querier, where string, args ...any) ([]stored, error) {
	rows, err := q.query("SELECT id, run, plain, sha256, bytes FROM documents WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []stored
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.id, &s.run, &s.plain, &s.sum, &s.bytes); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// documents reads the documents for which where holds, in the order of their ids.
func documents(q querier, where string, args ...any) ([]schema.Document, error) {
	all, err := load(q, where+" ORDER BY id", args...)
	if err != nil {
		return nil, err
	}
	out := make([]schema.Document, len(all))
	for i := range all {
		if out[i], err = all[i].decode(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Run gives a run: the fold of its documents, its status judged by its lease. A run of which only events have arrived is not found.
func (s *Store) Run(ctx context.Context, id schema.RunID) (schema.Run, error) {
	var run schema.Run
	err := s.read(ctx, "store.run", "run "+string(id), func(r *snapshot) error {
		runs, err := s.runs(r, []schema.RunID{id})
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			return s.unknown(r, id)
		}
		run = runs[0]
		return nil
	})
	return run, err
}

func (s *Store) unknown(q querier, id schema.RunID) error {
	missing := &schema.Error{Op: "store.run", Kind: schema.NotFound, Subject: "run " + schema.Shorten(string(id), 40), Err: fmt.Errorf("no such run"),
		Hint: "`runpin list` shows the runs of this store"}
	var n int64
	if found, err := one(q, "SELECT n FROM runs WHERE id = $1", []any{string(id)}, &n); err == nil && found {
		missing.Err = fmt.Errorf("reports of this run have arrived, the report that starts it has not")
		missing.Hint = "it may wait in a spool: `runpin import`"
	}
	return missing
}

// Documents gives the documents of a run in the order of their ids, which is by time; also of a run whose base document is not here yet.
func (s *Store) Documents(ctx context.Context, id schema.RunID) ([]schema.Document, error) {
	var docs []schema.Document
	err := s.read(ctx, "store.documents", "run "+string(id), func(r *snapshot) error {
		all, err := load(r, "run = $1 ORDER BY id", string(id))
		if err == nil && len(all) == 0 {
			err = s.unknown(r, id)
		}
		for i := 0; i < len(all) && err == nil; i++ {
			var d schema.Document
			all[i].plain = false // who passes a document on must lose nothing of what this version does not know
			if d, err = all[i].decode(); err == nil {
				docs = append(docs, d)
			}
		}
		return err
	})
	return docs, err
}

// Encoded gives the documents of a run byte for byte as they were stored, in the order of their ids: what a spool file or a remote store holds.
func (s *Store) Encoded(ctx context.Context, id schema.RunID) ([][]byte, error) {
	var out [][]byte
	err := s.read(ctx, "store.documents", "run "+string(id), func(r *snapshot) error {
		all, err := load(r, "run = $1 ORDER BY id", string(id))
		if err != nil {
			return err
		}
		for i := range all {
			if _, err := all[i].decode(); err != nil {
				return err
			}
			out = append(out, all[i].bytes)
		}
		if len(all) == 0 {
			return s.unknown(r, id)
		}
		return nil
	})
	return out, err
}

// runsAtOnce is how many runs one query loads.
const runsAtOnce = 64

// runs gives the runs with these ids in this order, without those whose base document is not here.
func (s *Store) runs(q querier, ids []schema.RunID) ([]schema.Run, error) {
	var out []schema.Run
	for len(ids) > 0 {
		some := ids[:min(len(ids), runsAtOnce)]
		ids = ids[len(some):]
		args := make([]any, len(some))
		for i, id := range some {
			args[i] = string(id)
		}
		all, err := load(q, "run IN ("+placeholders(1, len(some))+") ORDER BY id", args...)
		if err != nil {
			return nil, err
		}
		folded, err := foldAll(all)
		if err != nil {
			return nil, err
		}
		for _, id := range some {
			if run, ok := folded[id]; ok {
				out = append(out, run)
			}
		}
	}
	return out, s.judge(q, out)
}

// foldAll folds documents of several runs, on all processors: reading JSON is most of the work.
func foldAll(all []stored) (map[schema.RunID]schema.Run, error) {
	type result struct {
		docs []*stored
		run  schema.Run
		ok   bool
		err  error
	}
	byID := map[string]*result{}
	var order []*result
	for i := range all {
		r := byID[all[i].run]
		if r == nil {
			r = &result{}
			byID[all[i].run] = r
			order = append(order, r)
		}
		r.docs = append(r.docs, &all[i])
	}
	work := make(chan *result)
	var wg sync.WaitGroup
	for range min(len(order), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for r := range work {
				r.run, r.ok, r.err = foldStored(r.docs)
			}
		})
	}
	for _, r := range order {
		work <- r
	}
	close(work)
	wg.Wait()
	out := make(map[schema.RunID]schema.Run, len(order))
	for id, r := range byID {
		if r.err != nil {
			return nil, r.err
		}
		if r.ok {
			out[schema.RunID(id)] = r.run
		}
	}
	return out, nil
}

func foldStored(all []*stored) (run schema.Run, ok bool, err error) {
	docs := make([]schema.Document, len(all))
	for i, s := range all {
		if docs[i], err = s.decode(); err != nil {
			return run, false, err
		}
	}
	if !slices.ContainsFunc(docs, isBase) {
		return run, false, nil
	}
	run, err = schema.Fold(docs)
	return run, err == nil, err
}

// judge lets the leases decide which running runs are lost.
func (s *Store) judge(q querier, runs []schema.Run) error {
	now := s.options.Now()
	for i := range runs {
		r := &runs[i]
		if r.Status != schema.Running {
			continue
		}
		beat, err := lastBeat(q, r)
		if err != nil {
			return err
		}
		if r.Lease != nil {
			lease := *r.Lease
			lease.Beat = beat
			r.Lease = &lease
		}
		r.Judge(func(lease schema.Lease) bool { return s.options.Alive(lease, beat, now) })
	}
	return nil
}

// lastBeat gives the last sign of life of a running run: a beat, or its start.
func lastBeat(q querier, r *schema.Run) (schema.Time, error) {
	last := r.Created
	for _, t := range []schema.Time{r.Started, leaseBeat(r.Lease)} {
		if t.Time().After(last.Time()) {
			last = t
		}
	}
	var text string
	found, err := one(q, "SELECT beat FROM leases WHERE run = $1", []any{string(r.ID)}, &text)
	if err != nil || !found {
		return last, err
	}
	beat, err := schema.ParseTime(text)
	if err == nil && beat.Time().After(last.Time()) {
		last = beat
	}
	return last, err
}

func leaseBeat(l *schema.Lease) schema.Time {
	if l == nil {
		return schema.Time{}
	}
	return l.Beat
}

// placeholders gives "$first, …" for n arguments.
func placeholders(first, n int) string {
	b := make([]byte, 0, 5*n)
	for i := range n {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = fmt.Appendf(b, "$%d", first+i)
	}
	return string(b)
}
