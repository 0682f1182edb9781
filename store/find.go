package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Scope says whose runs `latest` means; an empty field means anybody's.
type Scope struct {
	_       struct{}
	User    string
	Project string
}

const (
	// minFragment is how many characters of an id name a run; fewer are too easily meant as something else.
	minFragment = 4
	// maxCandidates is how many runs an ambiguity names.
	maxCandidates = 10
)

// Find gives the id of the run that query names: a full id; at least four characters of the head of an id or of the end of its random tail,
// in any case; a name that one run alone has; `latest`, or `latest~N` for the Nth before it, of the runs in scope by creation. A unique name stands over a
// fragment of an id. What names no run is of kind NotFound, what names several of kind Conflict, with the candidates.
func (s *Store) Find(ctx context.Context, query string, scope Scope) (schema.RunID, error) {
	const op = "store.find"
	subject := fmt.Sprintf("%q", schema.Shorten(query, 160))
	var found schema.RunID
	err := s.read(ctx, op, subject, func(r *snapshot) (err error) {
		if id, err := schema.ParseRunID(query); err == nil {
			if row, ok, err := rowOf(r, id); err != nil || (ok && row.known) {
				found = id
				return err
			}
			return s.unknown(r, id)
		}
		if n, ok, err := parseLatest(query); ok || err != nil {
			if err == nil {
				found, err = latest(r, n, scope)
			}
			return err
		}
		found, err = s.findByText(r, query, subject)
		return err
	})
	if err != nil {
		return "", err
	}
	return found, nil
}

// parseLatest reads `latest` and `latest~N`.
func parseLatest(query string) (n int, ok bool, err error) {
	rest, ok := strings.CutPrefix(query, "latest")
	if !ok || (rest != "" && rest[0] != '~') {
		return 0, false, nil
	}
	if rest == "" {
		return 0, true, nil
	}
	if rest == "~" {
		return 1, true, nil
	}
	n, err = strconv.Atoi(rest[1:])
	if err != nil || n < 0 {
		return 0, true, invalid("store.find", fmt.Sprintf("%q", schema.Shorten(query, 160)), "write latest~2 for the second before the latest", "not a number of runs")
	}
	return n, true, nil
}

func latest(q querier, n int, scope Scope) (schema.RunID, error) {
	var t term
	switch {
	case scope.Project != "" && scope.User != "":
		t = term{termOwner, indexText(scope.Project), indexText(scope.User)}
	case scope.Project != "":
		t = term{termProject, "", indexText(scope.Project)}
	case scope.User != "":
		t = term{termUser, "", indexText(scope.User)}
	}
	query, args := "SELECT id FROM runs WHERE known ORDER BY n DESC LIMIT 1 OFFSET $1", []any{n}
	if t.kind != "" {
		query = `SELECT r.id FROM facts f CROSS JOIN runs r WHERE f.v = (SELECT v FROM terms WHERE kind = $1 AND name = $2 AND value = $3)
			AND r.n = f.n AND r.known ORDER BY f.n DESC LIMIT 1 OFFSET $4`
		args = []any{t.kind, t.name, t.value, n}
	}
	var id string
	found, err := one(q, query, args, &id)
	if err != nil {
		return "", err
	}
	if !found {
		whose := ""
		if scope.User != "" {
			whose += fmt.Sprintf(" of user %q", scope.User)
		}
		if scope.Project != "" {
			whose += fmt.Sprintf(" in project %q", scope.Project)
		}
		subject := "latest"
		if n > 0 {
			subject += "~" + strconv.Itoa(n)
		}
		return "", &schema.Error{Op: "store.find", Kind: schema.NotFound, Subject: subject, Err: fmt.Errorf("there are not that many runs%s", whose),
			Hint: "`runpin list` shows the runs of this store"}
	}
	return schema.RunID(id), nil
}

// findByText looks for a name and for fragments of an id.
func (s *Store) findByText(q querier, query, subject string) (schema.RunID, error) {
	named, err := findRows(q, "name = $1 AND name <> ''", "n DESC", indexText(query))
	if err != nil {
		return "", err
	}
	if query == "" {
		named = nil
	}
	if len(named) == 1 {
		return named[0].id, nil
	}
	all := named
	if len(query) >= minFragment && schema.IsIDFragment(query) {
		up := strings.ToUpper(query)
		heads, err := findRows(q, "id >= $1 AND id < $2", "id DESC", up, up+"a") // letters of ids are upper case
		if err != nil {
			return "", err
		}
		tail := reverse(up[max(0, len(up)-16):])
		tails, err := findRows(q, "tail >= $1 AND tail < $2", "tail", tail, tail+"a")
		if err != nil {
			return "", err
		}
		tails = slices.DeleteFunc(tails, func(r runRow) bool { return !strings.HasSuffix(string(r.id), up) })
		for _, r := range slices.Concat(heads, tails) {
			if !slices.ContainsFunc(all, func(o runRow) bool { return o.id == r.id }) {
				all = append(all, r)
			}
		}
	}
	switch len(all) {
	case 0:
		hint := "`runpin list` shows the runs of this store"
		if schema.IsIDFragment(query) && len(query) < minFragment {
			hint = fmt.Sprintf("give at least %d characters of the id; ", minFragment) + hint
		}
		return "", &schema.Error{Op: "store.find", Kind: schema.NotFound, Subject: subject, Err: fmt.Errorf("no such run"), Hint: hint}
	case 1:
		return all[0].id, nil
	}
	return "", ambiguous(all, subject)
}

func ambiguous(all []runRow, subject string) error {
	slices.SortFunc(all, func(a, b runRow) int { return strings.Compare(string(b.id), string(a.id)) })
	var text strings.Builder
	for i, r := range all {
		if i == maxCandidates {
			text.WriteString("\n  … and more")
			break
		}
		fmt.Fprintf(&text, "\n  %s  %s  %s", r.id, schema.At(keyTime(r.n)), r.name)
	}
	return &schema.Error{Op: "store.find", Kind: schema.Conflict, Subject: subject, Err: fmt.Errorf("it could be any of these runs:%s", text.String()),
		Hint: "give the full id, or more of its end"}
}

// findRows gives the first known runs for which test holds, a few more than are ever named. The order is that of the index that the test uses.
func findRows(q querier, test, order string, args ...any) ([]runRow, error) {
	rows, err := q.query(fmt.Sprintf("SELECT n, id, known, name FROM runs WHERE known AND %s ORDER BY %s LIMIT %d", test, order, 4*maxCandidates), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []runRow
	for rows.Next() {
		var r runRow
		if err := rows.Scan(&r.n, &r.id, &r.known, &r.name); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}
