package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// ProjectOf gives the project of a run, which never changes; known is false while its base document is not here.
func (s *Store) ProjectOf(ctx context.Context, id schema.RunID) (project string, known bool, err error) {
	err = s.read(ctx, "store.run", "run "+string(id), func(r *snapshot) error {
		docs, err := documents(r, "id = $1", string(id))
		if err == nil && len(docs) == 1 && isBase(docs[0]) {
			project, known = docs[0].Plan.Project, true
		}
		return err
	})
	return project, known, err
}

// FindInProject is [Store.Find] for somebody who must not learn of other projects: names and fragments of ids are those of the runs of one project, and
// so are the candidates that an error names.
func (s *Store) FindInProject(ctx context.Context, query string, scope Scope) (schema.RunID, error) {
	const op = "store.find"
	subject := fmt.Sprintf("%q", schema.Shorten(query, 160))
	var found schema.RunID
	err := s.read(ctx, op, subject, func(r *snapshot) error {
		n, isLatest, err := parseLatest(query)
		if err != nil {
			return err
		}
		if isLatest {
			found, err = latest(r, n, scope)
			return err
		}
		all, err := findInProject(r, query, scope.Project)
		if err != nil {
			return err
		}
		var named []runRow
		for _, row := range all {
			if row.name == indexText(query) {
				named = append(named, row)
			}
		}
		switch {
		case len(all) == 0:
			return &schema.Error{Op: op, Kind: schema.NotFound, Subject: subject, Err: fmt.Errorf("no such run"), Hint: "`runpin list` shows the runs of this project"}
		case len(named) == 1:
			found = named[0].id
		case len(all) == 1:
			found = all[0].id
		default:
			return ambiguous(all, subject)
		}
		return nil
	})
	return found, err
}

func findInProject(q querier, query, project string) ([]runRow, error) {
	up, name := strings.ToUpper(query), indexText(query)
	tests, args := "(r.name = $2 AND r.name <> '')", []any{indexText(project), name}
	if len(query) >= minFragment && schema.IsIDFragment(query) {
		tail := reverse(up[max(0, len(up)-16):])
		tests += " OR (r.id >= $3 AND r.id < $4) OR (r.tail >= $5 AND r.tail < $6)"
		args = append(args, up, up+"a", tail, tail+"a")
	}
	rows, err := q.query(`SELECT r.n, r.id, r.known, r.name FROM facts f CROSS JOIN runs r WHERE f.v = (SELECT v FROM terms WHERE kind = '`+termProject+`' AND name = '' AND value = $1)
		AND r.n = f.n AND r.known AND (`+tests+`) ORDER BY f.n DESC`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []runRow
	for rows.Next() && len(out) < 4*maxCandidates {
		var r runRow
		if err := rows.Scan(&r.n, &r.id, &r.known, &r.name); err != nil {
			return nil, err
		}
		if r.name == name || strings.HasPrefix(string(r.id), up) || strings.HasSuffix(string(r.id), up) {
			out = append(out, r)
		}
	}
	return out, rows.Err()
}
