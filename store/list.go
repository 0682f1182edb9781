package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// List gives the runs that a filter chooses, in its order. All of them are seen as of one moment.
func (s *Store) List(ctx context.Context, f Filter) ([]schema.Run, error) {
	if f.Limit < 0 || f.Offset < 0 {
		return nil, invalid("store.list", "list", "", "the limit and the offset cannot be negative")
	}
	if f.File != "" {
		if err := s.indexListings(ctx); err != nil {
			return nil, err
		}
	}
	var out []schema.Run
	err := s.read(ctx, "store.list", "list", func(r *snapshot) (err error) {
		out, err = s.list(r, f)
		return err
	})
	return out, err
}

func (s *Store) list(r *snapshot, f Filter) ([]schema.Run, error) {
	conditions, possible, err := s.conditions(r, &f)
	if err != nil || !possible {
		return nil, err
	}
	statements, err := plan(r, &f, conditions)
	if err != nil {
		return nil, err
	}
	judged := f.Status == schema.Running || f.Status == schema.Lost
	skip := f.Offset
	var ids []schema.RunID
	for _, st := range statements {
		if !judged && f.Limit > 0 && len(ids) >= f.Limit {
			break
		}
		rows, err := r.query(st.sql, st.args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var id schema.RunID
			if err := rows.Scan(&id); err != nil {
				rows.Close()
				return nil, err
			}
			if !judged && skip > 0 {
				skip--
				continue
			}
			ids = append(ids, id)
			if !judged && f.Limit > 0 && len(ids) >= f.Limit {
				break
			}
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		rows.Close()
	}
	if judged {
		return s.listJudged(r, f, ids)
	}
	return s.runs(r, ids)
}

// listJudged asks the lease of every running run: only that tells running from lost.
func (s *Store) listJudged(r *snapshot, f Filter, ids []schema.RunID) ([]schema.Run, error) {
	var out []schema.Run
	skip := f.Offset
	for len(ids) > 0 && (f.Limit == 0 || len(out) < f.Limit) {
		some := ids[:min(len(ids), runsAtOnce)]
		ids = ids[len(some):]
		runs, err := s.runs(r, some)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			if run.Status != f.Status {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if out = append(out, run); f.Limit > 0 && len(out) == f.Limit {
				break
			}
		}
	}
	return out, nil
}

// maxTerms is how many terms are named one by one; more of them stay a test.
const maxTerms = 2000

// conditions turns a filter into conditions. possible is false when no run can meet them, because no run has such a value.
func (s *Store) conditions(r *snapshot, f *Filter) (out []condition, possible bool, err error) {
	groups, err := f.tests()
	if err != nil {
		return nil, false, err
	}
	if f.File != "" {
		tests, err := s.fileTests(r, f.File)
		if err != nil {
			return nil, false, err
		}
		groups = append(groups, tests)
	}
	for _, tests := range groups {
		c, err := resolve(r, tests)
		if err != nil || c.rows == "" {
			return nil, false, err
		}
		out = append(out, c)
	}
	for _, text := range f.Params {
		c, err := paramTest(r, text)
		if err != nil || c.rows == "" {
			return nil, false, err
		}
		out = append(out, c)
	}
	for _, text := range f.Metrics {
		c, err := metricTest(text)
		if err != nil {
			return nil, false, err
		}
		out = append(out, c)
	}
	return out, true, nil
}

// resolve looks up which terms meet one of the tests, and makes a condition of them; an empty one when there are none. Each test is asked
// alone, because then each is answered from the index.
func resolve(q querier, tests []termTest) (condition, error) {
	var numbers []string
	for _, t := range tests {
		w := &where{}
		found, err := termNumbers(q, w.add(t.sql, t.args...), w.args)
		if err != nil {
			return condition{}, err
		}
		if len(tests) == 1 && len(found) > maxTerms {
			return factRows("v IN (SELECT v FROM terms WHERE "+t.sql+")", false, t.args...), nil
		}
		numbers = append(numbers, found...)
	}
	switch len(numbers) {
	case 0:
		return condition{}, nil
	case 1:
		return factRows("v = "+numbers[0], true), nil
	}
	return factRows("v IN ("+strings.Join(numbers, ", ")+")", false), nil
}

func termNumbers(q querier, test string, args []any) ([]string, error) {
	rows, err := q.query("SELECT v FROM terms WHERE "+test, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var numbers []string
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		numbers = append(numbers, strconv.FormatInt(v, 10))
	}
	return numbers, rows.Err()
}

func factRows(test string, list bool, args ...any) condition {
	return condition{rows: "SELECT n FROM facts WHERE " + test, in: probe("facts", test), args: args, list: list}
}

// probe asks for one row. Not as EXISTS: SQLite (3.50) turns that into a join, may begin with the other table, and then sorts every run it finds.
func probe(table, test string) string {
	return "(SELECT 1 FROM " + table + " WHERE n = %s AND " + test + " LIMIT 1) IS NOT NULL"
}
