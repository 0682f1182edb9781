package store

import (
	"encoding/hex"
	"slices"

	"github.com/runpin/runpin/schema"
)

// indexer keeps the index tables in step with the documents, inside the transaction that writes them. A document is written before it is indexed.
type indexer struct {
	*tx
	// known remembers the numbers of terms; nil to ask the database each time. Only a transaction that indexes many runs gains from it.
	known map[term]int64
}

// runRow is a row of the table runs.
type runRow struct {
	n     int64
	id    schema.RunID
	known bool
	name  string
	state state
}

func rowOf(q querier, id schema.RunID) (r runRow, found bool, err error) {
	var status, started, finished, fingerprint string
	r.id = id
	found, err = one(q, "SELECT n, known, name, status, started, finished, fingerprint FROM runs WHERE id = $1", []any{string(id)},
		&r.n, &r.known, &r.name, &status, &started, &finished, &fingerprint)
	if err != nil || !found {
		return r, found, err
	}
	r.state = state{status: schema.Status(status), fingerprint: schema.Fingerprint(fingerprint)}
	if started != "" {
		if r.state.started, err = schema.ParseTime(started); err != nil {
			return r, true, err
		}
	}
	if finished != "" {
		r.state.finished, err = schema.ParseTime(finished)
	}
	return r, true, err
}

// run takes new documents of one run into the index.
func (x *indexer) run(id schema.RunID, docs []schema.Document) error {
	row, found, err := rowOf(x, id)
	if err != nil {
		return err
	}
	created := id.Time()
	for _, d := range docs {
		if d.Kind == schema.KindRun {
			row.known, row.name, created = true, indexText(d.Plan.Name), d.Plan.Created
		}
	}
	if !found {
		return x.newRun(row, created, docs)
	}
	if row.known && runKey(created, id)>>15 != row.n>>15 && slices.ContainsFunc(docs, isBase) {
		// Its events came first and the id says another time than the plan. Everything is filed anew under the plan's time.
		if err := x.forget(row, docs); err != nil {
			return err
		}
		all, err := documents(x, "run = $1", string(id))
		if err != nil {
			return err
		}
		return x.newRun(runRow{id: id, known: true, name: row.name}, created, all)
	}
	return x.addTo(row, docs)
}

// newRun indexes a run that the index does not know, from all its documents.
func (x *indexer) newRun(row runRow, created schema.Time, docs []schema.Document) error {
	folded, err := foldState(row.id, docs)
	if err != nil {
		return err
	}
	row.state = stateOf(&folded)
	for row.n = runKey(created, row.id); ; row.n++ {
		n, err := x.exec(`INSERT INTO runs (n, id, tail, known, name, status, started, finished, fingerprint)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (n) DO NOTHING`,
			row.n, string(row.id), runTail(row.id), row.known, row.name, string(row.state.status), row.state.started.String(), row.state.finished.String(), string(row.state.fingerprint))
		if err != nil {
			return err
		}
		if n > 0 {
			break
		}
	}
	if err := x.addFacts(row.n, slices.Concat(row.state.terms(), labelTerms(folded.Labels))); err != nil {
		return err
	}
	if err := x.setMeasures(row.n, measureParam, nil, folded.Params); err != nil {
		return err
	}
	if err := x.setMeasures(row.n, measureMetric, nil, folded.Metrics); err != nil {
		return err
	}
	return x.additive(row.n, docs)
}

// addTo takes new documents of a run that the index knows.
func (x *indexer) addTo(row runRow, docs []schema.Document) error {
	if slices.ContainsFunc(docs, func(d schema.Document) bool { return changesState(&d) }) {
		if err := x.refold(row, docs); err != nil {
			return err
		}
	}
	return x.additive(row.n, docs)
}

// refold brings what can change of a run up to date.
func (x *indexer) refold(row runRow, fresh []schema.Document) error {
	all, err := documents(x, "run = $1 AND state", string(row.id))
	if err != nil {
		return err
	}
	after, err := foldState(row.id, all)
	if err != nil {
		return err
	}
	was, is := row.state, stateOf(&after)
	if is != was || slices.ContainsFunc(fresh, isBase) {
		if _, err := x.exec("UPDATE runs SET known = $2, name = $3, status = $4, started = $5, finished = $6, fingerprint = $7 WHERE n = $1",
			row.n, row.known, row.name, string(is.status), is.started.String(), is.finished.String(), string(is.fingerprint)); err != nil {
			return err
		}
	}
	if err := x.changeFacts(row.n, was.terms(), is.terms()); err != nil {
		return err
	}
	if is.status.Ended() && !was.status.Ended() {
		if _, err := x.exec("DELETE FROM leases WHERE run = $1", string(row.id)); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(fresh, isBase) {
		if err := x.setMeasures(row.n, measureParam, nil, after.Params); err != nil {
			return err
		}
	}
	if len(after.Metrics) > 0 {
		before, err := x.metrics(row.n)
		if err != nil {
			return err
		}
		if err := x.setMeasures(row.n, measureMetric, before, after.Metrics); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(fresh, func(d schema.Document) bool { return d.Kind == schema.KindLabel }) {
		return nil
	}
	before, err := foldState(row.id, without(all, fresh))
	if err != nil {
		return err
	}
	return x.changeFacts(row.n, labelTerms(before.Labels), labelTerms(after.Labels))
}

// without gives the documents of all that are not among some.
func without(all, some []schema.Document) []schema.Document {
	return slices.DeleteFunc(slices.Clone(all), func(d schema.Document) bool {
		return slices.ContainsFunc(some, func(s schema.Document) bool { return s.ID == d.ID })
	})
}

// metrics reads what the index holds, both name and value in the form of an index.
func (x *indexer) metrics(n int64) (map[string]string, error) {
	rows, err := x.query("SELECT name, value FROM measures WHERE n = $1 AND kind = 'm'", n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, rows.Err()
}

// setMeasures writes what differs. A metric is never taken back.
func (x *indexer) setMeasures(n int64, kind string, before map[string]string, after map[string]schema.Text) error {
	for name, value := range after {
		name, text := indexText(name), indexText(string(value))
		if was, ok := before[name]; ok && was == text {
			continue
		}
		if _, err := x.exec(`INSERT INTO measures (n, kind, name, value, num) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (n, kind, name) DO UPDATE SET value = excluded.value, num = excluded.num`, n, kind, name, text, number(string(value))); err != nil {
			return err
		}
	}
	return nil
}

// additive indexes what each document says on its own.
func (x *indexer) additive(n int64, docs []schema.Document) error {
	var g gatherer
	for i := range docs {
		g.document(&docs[i])
	}
	if err := x.addFacts(n, g.terms); err != nil {
		return err
	}
	for _, digest := range g.listings {
		sum, err := hex.DecodeString(digest.Hex())
		if err != nil || len(sum) != 32 {
			continue // not a blob that could be stored
		}
		if _, err := x.exec("INSERT INTO listings (digest, state) VALUES ($1, 0) ON CONFLICT (digest) DO NOTHING", sum); err != nil {
			return err
		}
	}
	return nil
}

// forget takes a run out of the index, except for its new documents, which are not in it yet.
func (x *indexer) forget(row runRow, fresh []schema.Document) error {
	all, err := documents(x, "run = $1", string(row.id))
	if err != nil {
		return err
	}
	all = without(all, fresh)
	var g gatherer
	for i := range all {
		g.document(&all[i])
	}
	folded, err := foldState(row.id, all)
	if err != nil {
		return err
	}
	if err := x.removeFacts(row.n, slices.Concat(g.terms, row.state.terms(), labelTerms(folded.Labels))); err != nil {
		return err
	}
	if _, err := x.exec("DELETE FROM measures WHERE n = $1", row.n); err != nil {
		return err
	}
	_, err = x.exec("DELETE FROM runs WHERE n = $1", row.n)
	return err
}

// erasures drops the bytes that erasure documents name. What another blob shares with an erased one stays with that other blob.
func (x *indexer) erasures(docs []schema.Document) error {
	for _, d := range docs {
		if d.Erasure == nil {
			continue
		}
		for _, digest := range d.Erasure.Blobs {
			sum, err := hex.DecodeString(digest.Hex())
			if err != nil || len(sum) != 32 {
				continue
			}
			if _, err := x.exec(`INSERT INTO erased (digest, doc) VALUES ($1, $2)
				ON CONFLICT (digest) DO UPDATE SET doc = excluded.doc WHERE excluded.doc < erased.doc`, sum, string(d.ID)); err != nil {
				return err
			}
			for _, q := range []string{
				`DELETE FROM chunks WHERE digest IN (SELECT chunk FROM blob_chunks WHERE blob = $1)
					AND digest NOT IN (SELECT chunk FROM blob_chunks WHERE blob <> $1)`,
				"DELETE FROM blob_chunks WHERE blob = $1",
				"DELETE FROM blobs WHERE digest = $1",
				"DELETE FROM listing_files WHERE m IN (SELECT m FROM listings WHERE digest = $1)",
				"UPDATE listings SET state = 3 WHERE digest = $1",
			} {
				if _, err := x.exec(q, sum); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
