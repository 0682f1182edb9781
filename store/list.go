package store

import (
	"context"
	"fmt"
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

const (
	maxTerms     = 5000 // how many terms are named one by one; more of them stay a test
	testsInQuery = 100
)

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
		c, err := resolve(r, tests, nil)
		if err != nil || c.rows == "" {
			return nil, false, err
		}
		out = append(out, c)
	}
	for _, kv := range f.Params {
		k, v, hasValue := strings.Cut(kv, "=")
		if k == "" {
			return nil, false, invalid("store.list", fmt.Sprintf("param %q", schema.Shorten(kv, 160)), "write K=V, or K for any value", "it has no name")
		}
		tests := []termTest{{"(kind = $? AND name = $?)", []any{termParam, indexText(k)}}}
		var keep func(string) bool
		if hasValue {
			tests = []termTest{exactly(termParam, k, orEmpty(v))}
			if num := number(v); num != nil {
				tests = append(tests, termTest{"(kind = $? AND name = $? AND num = $?)", []any{termParam, indexText(k), num}})
				keep = func(value string) bool { return value == v || sameNumber(value, v) }
			}
		}
		c, err := resolve(r, tests, keep)
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

// resolve looks up which terms meet one of the tests, and makes a condition of them; an empty one when there are none.
func resolve(q querier, tests []termTest, keep func(value string) bool) (condition, error) {
	var numbers []string
	for rest := tests; len(rest) > 0; rest = rest[min(len(rest), testsInQuery):] {
		w := &where{}
		found, err := termNumbers(q, anyOf(w, rest[:min(len(rest), testsInQuery)]), w.args, keep)
		if err != nil {
			return condition{}, err
		}
		numbers = append(numbers, found...)
	}
	switch {
	case len(numbers) == 0:
		return condition{}, nil
	case len(numbers) == 1:
		return factRows("v = "+numbers[0], true), nil
	case len(numbers) <= maxTerms || keep != nil || len(tests) > testsInQuery:
		return factRows("v IN ("+strings.Join(numbers, ", ")+")", false), nil
	}
	var texts []string
	var args []any
	for _, t := range tests {
		texts = append(texts, t.sql)
		args = append(args, t.args...)
	}
	return factRows("v IN (SELECT v FROM terms WHERE "+strings.Join(texts, " OR ")+")", false, args...), nil
}

func anyOf(w *where, tests []termTest) string {
	var alternatives []string
	for _, t := range tests {
		alternatives = append(alternatives, w.add(t.sql, t.args...))
	}
	return strings.Join(alternatives, " OR ")
}

func termNumbers(q querier, test string, args []any, keep func(value string) bool) ([]string, error) {
	rows, err := q.query(fmt.Sprintf("SELECT v, value FROM terms WHERE %s LIMIT %d", test, maxTerms+1), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var numbers []string
	for rows.Next() {
		var v int64
		var value string
		if err := rows.Scan(&v, &value); err != nil {
			return nil, err
		}
		if keep == nil || keep(value) {
			numbers = append(numbers, fmt.Sprint(v))
		}
	}
	return numbers, rows.Err()
}

func factRows(test string, list bool, args ...any) condition {
	return condition{rows: "SELECT n FROM facts WHERE " + test, in: "EXISTS (SELECT 1 FROM facts WHERE n = %s AND " + test + ")", args: args, list: list}
}
