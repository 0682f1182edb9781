package store

import (
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Filter chooses runs: those for which every field that is set holds. The zero value chooses all.
type Filter struct {
	_       struct{}
	Project string
	User    string
	Status  schema.Status // as a reader sees it: lost included
	// Image is a digest (of an index, a platform, a config or an image file), "sha256:" and at least eight digits of one, a reference or a repository.
	Image  string
	Commit string // a commit or tree, or at least four digits of one
	// Dataset is a name, a version id, or a digest (of the content or of a single file), or "sha256:" and at least eight digits of one.
	Dataset string
	File    string // the SHA-256 or the path of a file of a data set, of a changed file of the code, or of a script
	Output  string // a digest, or "sha256:" and at least eight digits of one
	// Params and Labels hold K=V, or K for any value. 0.10 and 1e-1 are the same param.
	Params []string
	Labels []string
	// LabelPrefix is K=V…: a label K whose value begins with V, which has at least one character.
	LabelPrefix string
	// Metrics hold K<V, K<=V, K>V, K>=V or K=V. NaN is neither less, equal nor more.
	Metrics []string
	SameAs  schema.Fingerprint
	Parent  schema.RunID
	RerunOf schema.RunID
	Since   schema.Time // created at or after
	Until   schema.Time // created before

	// Sort is created (the default), started, finished, name, param:K or metric:K. The times come newest first, the others least first; runs
	// that lack the key come last. Reverse turns the order of those that have it.
	Sort    string
	Reverse bool
	Limit   int          // 0 for all
	Offset  int          // how many to pass over
	Before  schema.RunID // only those created before this run: the next page, when sorted by creation
}

// condition is one requirement on a run: that n is among the rows of a query.
type condition struct {
	rows string // "SELECT n FROM … WHERE …", its arguments as $?
	in   string // the same as a test of the column in %s
	args []any
	list bool // rows come by n, each once: a single term
}

// where builds one statement; arguments are numbered as they are added.
type where struct {
	args []any
}

// add replaces each $? in sql by the number of the next argument.
func (w *where) add(sql string, args ...any) string {
	parts := strings.Split(sql, "$?")
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			w.args = append(w.args, args[i-1])
			fmt.Fprintf(&b, "$%d", len(w.args))
		}
		b.WriteString(p)
	}
	return b.String()
}

// termTest is a test on the columns of terms.
type termTest struct {
	sql  string
	args []any
}

func exactly(kind, name, value string) termTest {
	return termTest{"(kind = $? AND name = $? AND value = $?)", []any{kind, indexText(name), indexText(value)}}
}

func between(kind, from, to string) termTest {
	return termTest{"(kind = $? AND name = '' AND value >= $? AND value < $?)", []any{kind, from, to}}
}

// tests gives, for each field that is set and is looked up in terms, the tests of which one must hold.
func (f *Filter) tests() ([][]termTest, error) {
	var out [][]termTest
	equal := func(kind, value string) {
		if value != "" {
			out = append(out, []termTest{exactly(kind, "", value)})
		}
	}
	equal(termProject, f.Project)
	equal(termUser, f.User)
	equal(termFingerprint, string(f.SameAs))
	equal(termParent, string(f.Parent))
	equal(termRerunOf, string(f.RerunOf))
	switch f.Status {
	case "":
	case schema.Planned, schema.Succeeded, schema.Failed:
		equal(termStatus, string(f.Status))
	case schema.Running, schema.Lost: // which of the two, the leases say
		equal(termStatus, string(schema.Running))
	default:
		return nil, invalid("store.list", fmt.Sprintf("status %q", schema.Shorten(string(f.Status), 40)), "the statuses are planned, running, succeeded, failed and lost", "there is no such status")
	}
	for _, field := range []struct {
		flag, value string
		tests       func(string) ([]termTest, error)
	}{
		{"image", f.Image, imageTests}, {"commit", f.Commit, commitTests}, {"dataset", f.Dataset, datasetTests}, {"output", f.Output, outputTests},
	} {
		if field.value == "" {
			continue
		}
		tests, err := field.tests(field.value)
		if err != nil {
			return nil, err
		}
		out = append(out, tests)
	}
	for _, kv := range f.Labels {
		k, v, hasValue := strings.Cut(kv, "=")
		switch {
		case k == "":
			return nil, invalid("store.list", fmt.Sprintf("label %q", schema.Shorten(kv, 160)), "write K=V, or K for any value", "it has no name")
		case !hasValue:
			out = append(out, []termTest{exactly(termLabelName, "", k)})
		default:
			out = append(out, []termTest{exactly(termLabel, k, orEmpty(v))})
		}
	}
	if f.LabelPrefix != "" {
		k, v, _ := strings.Cut(f.LabelPrefix, "=")
		if k == "" || v == "" || strings.HasSuffix(v, "\xff") {
			return nil, invalid("store.list", fmt.Sprintf("label %q", schema.Shorten(f.LabelPrefix, 160)), "write K=V", "it has no name or no value")
		}
		end := v[:len(v)-1] + string([]byte{v[len(v)-1] + 1})
		out = append(out, []termTest{{"(kind = $? AND name = $? AND value >= $? AND value < $?)", []any{termLabel, indexText(k), v, end}}})
	}
	return out, nil
}

// digestTest matches a digest or the beginning of one. ok is false for something that does not look like one.
func digestTest(kind, value string) (t termTest, ok bool, err error) {
	hexPart, ok := strings.CutPrefix(value, "sha256:")
	if !ok {
		if _, err := schema.ParseDigest(value); err == nil {
			return exactly(kind, "", value), true, nil
		}
		return t, false, nil
	}
	if len(hexPart) < 8 || len(hexPart) > 64 || strings.Trim(hexPart, "0123456789abcdef") != "" {
		return t, true, invalid("store.list", fmt.Sprintf("%q", schema.Shorten(value, 160)), "write sha256: and at least 8 of its digits", "not a digest")
	}
	if len(hexPart) == 64 {
		return exactly(kind, "", value), true, nil
	}
	return between(kind, value, value+"g"), true, nil // g is behind all hexadecimal digits
}

func imageTests(value string) ([]termTest, error) {
	if t, ok, err := digestTest(termImage, value); ok || err != nil {
		return []termTest{t}, err
	}
	tests := []termTest{exactly(termImageRef, "", value)}
	if ref, digest, ok := strings.Cut(value, "@"); ok && ref != "" {
		t, ok, err := digestTest(termImage, digest)
		if err != nil {
			return nil, err
		}
		if ok {
			tests = append(tests, t)
		}
		return tests, nil
	}
	return tests, nil
}

func commitTests(value string) ([]termTest, error) {
	low := strings.ToLower(value)
	if len(low) < 4 || len(low) > 64 || strings.Trim(low, "0123456789abcdef") != "" {
		return nil, invalid("store.list", fmt.Sprintf("commit %q", schema.Shorten(value, 160)), "give at least 4 of its hexadecimal digits; branches and tags move and are not searched", "not a commit")
	}
	return []termTest{between(termObject, low, low+"g")}, nil
}

func datasetTests(value string) ([]termTest, error) {
	if t, ok, err := digestTest(termDataset, value); ok || err != nil {
		return []termTest{t}, err
	}
	return []termTest{exactly(termDataset, "", value)}, nil
}

func outputTests(value string) ([]termTest, error) {
	t, ok, err := digestTest(termOutput, value)
	if err == nil && !ok {
		err = invalid("store.list", fmt.Sprintf("output %q", schema.Shorten(value, 160)), "write sha256: and at least 8 of its digits", "not a digest")
	}
	return []termTest{t}, err
}

// metricTest reads K<V and the like.
func metricTest(text string) (condition, error) {
	bad := func(why string) (condition, error) {
		return condition{}, invalid("store.list", fmt.Sprintf("metric %q", schema.Shorten(text, 160)), "write it like 'loss<0.1', 'acc>=0.9' or 'k=v'", "%s", why)
	}
	at := strings.IndexAny(text, "<>=")
	if at < 1 {
		return bad("it compares nothing")
	}
	op := text[at : at+1]
	value := text[at+1:]
	if op != "=" && strings.HasPrefix(value, "=") {
		op, value = op+"=", value[1:]
	}
	if op == "=" {
		value = strings.TrimPrefix(value, "=")
	}
	name := indexText(strings.TrimSpace(text[:at]))
	value = strings.TrimSpace(value)
	num := number(value)
	switch {
	case num == nil && op != "=":
		return bad("what it is compared with is not a number")
	case num == nil && strings.EqualFold(strings.TrimLeft(value, "+-"), "nan"):
		return bad("NaN is equal to nothing")
	case num == nil:
		return measureRows(false, "kind = 'm' AND name = $? AND num IS NULL AND value = $?", name, indexText(value)), nil
	}
	return measureRows(false, "kind = 'm' AND name = $? AND num "+op+" $?", name, num), nil
}

func measureRows(list bool, test string, args ...any) condition {
	return condition{rows: "SELECT n FROM measures WHERE " + test, in: probe("measures", test), args: args, list: list}
}

// maxSpellings is how many ways to write one number are looked for.
const maxSpellings = 20

// paramTest reads K=V or K; an empty condition says that no run has it.
func paramTest(q querier, text string) (condition, error) {
	k, v, hasValue := strings.Cut(text, "=")
	if k == "" {
		return condition{}, invalid("store.list", fmt.Sprintf("param %q", schema.Shorten(text, 160)), "write K=V, or K for any value", "it has no name")
	}
	name, value, num := indexText(k), indexText(v), number(v)
	switch {
	case !hasValue:
		return measureRows(false, "kind = 'p' AND name = $?", name), nil
	case num == nil:
		return measureRows(true, "kind = 'p' AND name = $? AND num IS NULL AND value = $?", name, value), nil
	}
	// The same number can be written in several ways, and several numbers round to one float.
	var same []any
	for last := ""; len(same) < maxSpellings; {
		found, err := one(q, "SELECT value FROM measures WHERE kind = 'p' AND name = $1 AND num = $2 AND value > $3 ORDER BY value LIMIT 1", []any{name, num, last}, &last)
		if err != nil {
			return condition{}, err
		}
		if !found {
			break
		}
		if last == value || sameNumber(last, v) {
			same = append(same, last)
		}
	}
	switch len(same) {
	case 0:
		return condition{}, nil
	case 1:
		return measureRows(true, "kind = 'p' AND name = $? AND num = $? AND value = $?", name, num, same[0]), nil
	}
	return measureRows(false, "kind = 'p' AND name = $? AND num = $? AND value IN ($?"+strings.Repeat(", $?", len(same)-1)+")", append([]any{name, num}, same...)...), nil
}
