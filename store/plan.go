package store

import (
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// statement gives ids of runs in the wanted order, each once.
type statement struct {
	sql  string
	args []any
}

// fewRows is up to how many rows a condition is worth being looked at first: fewer are collected and sorted, more are met soon enough
// by going through all runs in the wanted order.
const fewRows = 5000

// plan chooses how to go through the runs: from the condition that few runs meet, along the list of one term (which is by creation), or
// through all runs in the wanted order. What comes later in the slice of statements comes later in the order.
func plan(q querier, f *Filter, conditions []condition) ([]statement, error) {
	key, of, err := sortKey(f.Sort)
	if err != nil {
		return nil, err
	}
	driver := -1
	least := fewRows
	for i, c := range conditions {
		if len(conditions) == 1 && c.list && key == "created" {
			driver = 0
			break
		}
		var w where
		var n int
		if _, err := one(q, fmt.Sprintf("SELECT count(*) FROM (%s LIMIT %d) few", w.add(c.rows, c.args...), fewRows), w.args, &n); err != nil {
			return nil, err
		}
		if n < least {
			driver, least = i, n
		}
	}
	if driver < 0 && key == "created" {
		for i, c := range conditions {
			if c.list {
				driver = i
				break
			}
		}
	}
	var source string
	w := &where{}
	p := planner{f: f, w: w, conditions: conditions, skip: driver}
	if driver >= 0 {
		c := conditions[driver]
		rows := w.add(c.rows, c.args...)
		if !c.list {
			rows = strings.Replace(rows, "SELECT n", "SELECT DISTINCT n", 1)
		}
		source = "(" + rows + ") d CROSS JOIN runs r"
		p.tests = append(p.tests, "r.n = d.n")
	} else {
		source = "runs r"
	}
	return p.statements(source, key, of)
}

func sortKey(text string) (key, of string, err error) {
	key, of, _ = strings.Cut(text, ":")
	switch {
	case text == "":
		return "created", "", nil
	case text == "created" || text == "started" || text == "finished" || text == "name":
		return text, "", nil
	case key == "param" && of != "":
		return measureParam, of, nil
	case key == "metric" && of != "":
		return measureMetric, of, nil
	}
	return "", "", invalid("store.list", fmt.Sprintf("sort key %q", schema.Shorten(text, 80)), "sort by created, started, finished, name, param:K or metric:K", "there is no such key")
}

type planner struct {
	f          *Filter
	w          *where
	conditions []condition
	skip       int // the condition that the source meets already
	tests      []string
}

func (p *planner) statements(source, key, of string) ([]statement, error) {
	column := "r.n"
	if p.skip >= 0 {
		column = "d.n"
	}
	p.tests = append(p.tests, "r.known")
	for i, c := range p.conditions {
		if i != p.skip {
			p.tests = append(p.tests, p.w.add(fmt.Sprintf(c.in, column), c.args...))
		}
	}
	f := p.f
	if !f.Since.IsZero() {
		p.tests = append(p.tests, p.w.add(column+" >= $?", f.Since.Time().UnixMilli()<<15))
	}
	if !f.Until.IsZero() {
		p.tests = append(p.tests, p.w.add(column+" < $?", f.Until.Time().UnixMilli()<<15))
	}
	if f.Before != "" {
		p.tests = append(p.tests, p.w.add(column+" < coalesce((SELECT n FROM runs WHERE id = $?), $?)", string(f.Before), runKey(f.Before.Time(), f.Before)))
	}
	direction := map[bool]string{false: "DESC", true: "ASC"}
	order := func(by string) string { return by + ", " + column + " DESC" }
	newestFirst, leastFirst := direction[f.Reverse], direction[!f.Reverse]
	switch key {
	case "created":
		return []statement{p.statement(source, "", column+" "+newestFirst)}, nil
	case "started", "finished":
		return []statement{p.statement(source, "r."+key+" <> ''", order("r."+key+" "+newestFirst)), p.statement(source, "r."+key+" = ''", column+" DESC")}, nil
	case "name":
		return []statement{p.statement(source, "r.name <> ''", order("r.name "+leastFirst)), p.statement(source, "r.name = ''", column+" DESC")}, nil
	default: // a measure: numbers first, then texts, then runs that have none
		name := indexText(of)
		has := func(test, by string) statement {
			from, join := source+" CROSS JOIN measures k", "k.n = "+column
			if p.skip < 0 { // along the index of the measure
				from, join = "measures k CROSS JOIN "+source, "r.n = k.n"
			}
			return p.statement(from, join+" AND k.kind = $? AND k.name = $? AND "+test, order(by+" "+leastFirst), key, name)
		}
		return []statement{has("k.num IS NOT NULL", "k.num"), has("k.num IS NULL", "k.value"),
			p.statement(source, "(SELECT 1 FROM measures k WHERE k.n = "+column+" AND k.kind = $? AND k.name = $?) IS NULL", column+" DESC", key, name)}, nil
	}
}

// statement puts the parts together; args belong to the $? in source and test.
func (p *planner) statement(source, test, order string, args ...any) statement {
	w := where{args: append([]any(nil), p.w.args...)}
	tests := p.tests
	if test != "" {
		tests = append(tests[:len(tests):len(tests)], test)
	}
	sql := w.add("SELECT r.id FROM "+source+" WHERE "+strings.Join(tests, " AND ")+" ORDER BY "+order, args...)
	return statement{sql, w.args}
}
