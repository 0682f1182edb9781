package store

import (
	"slices"
	"strings"
)

// number gives the number of a term, and makes one for a new term.
func (x *indexer) number(t term) (v int64, err error) {
	if v, ok := x.known[t]; ok {
		return v, nil
	}
	found, err := one(x, "SELECT v FROM terms WHERE kind = $1 AND name = $2 AND value = $3", []any{t.kind, t.name, t.value}, &v)
	if err == nil && !found {
		return x.newTerm(t)
	}
	if err == nil && x.known != nil {
		x.known[t] = v
	}
	return v, err
}

func (x *indexer) newTerm(t term) (v int64, err error) {
	_, err = one(x, "INSERT INTO terms (kind, name, value) VALUES ($1, $2, $3) RETURNING v", []any{t.kind, t.name, t.value}, &v)
	if err == nil && x.known != nil {
		x.known[t] = v
	}
	return v, err
}

// termsAtOnce is how many terms one statement handles: the terms of a usual run in one go.
const termsAtOnce = 32

// numbers is number for several terms. One statement for all costs a third of one for each.
func (x *indexer) numbers(terms []term) ([]int64, error) {
	out := make([]int64, len(terms))
	if x.known != nil || len(terms) == 1 {
		for i, t := range terms {
			var err error
			if out[i], err = x.number(t); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	args := make([]any, 0, 3*len(terms))
	at := make(map[term]int, len(terms))
	for i, t := range terms {
		args = append(args, t.kind, t.name, t.value)
		at[t] = i
	}
	rows, err := x.query("SELECT v, kind, name, value FROM terms WHERE (kind, name, value) IN (VALUES "+tuples(len(terms), 3)+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v int64
		var t term
		if err := rows.Scan(&v, &t.kind, &t.name, &t.value); err != nil {
			return nil, err
		}
		if i, ok := at[t]; ok {
			out[i] = v
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	for i, t := range terms {
		if out[i] == 0 {
			if out[i], err = x.newTerm(t); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// tuples gives "($1, $2), ($3, $4), …".
func tuples(n, width int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = "(" + placeholders(i*width+1, width) + ")"
	}
	return strings.Join(parts, ", ")
}

func (x *indexer) addFacts(n int64, terms []term) error {
	for some := range slices.Chunk(terms, termsAtOnce) {
		numbers, err := x.numbers(some)
		if err != nil {
			return err
		}
		args := make([]any, 0, 2*len(numbers))
		for _, v := range numbers {
			args = append(args, v, n)
		}
		if _, err := x.exec("INSERT INTO facts (v, n) VALUES "+tuples(len(numbers), 2)+" ON CONFLICT DO NOTHING", args...); err != nil {
			return err
		}
	}
	return nil
}

func (x *indexer) removeFacts(n int64, terms []term) error {
	for _, t := range terms {
		v, err := x.number(t)
		if err != nil {
			return err
		}
		if _, err := x.exec("DELETE FROM facts WHERE v = $1 AND n = $2", v, n); err != nil {
			return err
		}
	}
	return nil
}

// changeFacts writes the difference between two sets of terms.
func (x *indexer) changeFacts(n int64, before, after []term) error {
	gone := slices.DeleteFunc(slices.Clone(before), func(t term) bool { return slices.Contains(after, t) })
	come := slices.DeleteFunc(slices.Clone(after), func(t term) bool { return slices.Contains(before, t) })
	if err := x.removeFacts(n, gone); err != nil {
		return err
	}
	return x.addFacts(n, come)
}
