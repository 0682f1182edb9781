package schema

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
)

// ComparisonV1 is the schema name of [Comparison].
const ComparisonV1 = "runpin.dev/comparison/v1"

// Class says how much a difference matters to the result.
type Class string

// The classes, most consequential first. The first three are about what went in, the last about what came out.
const (
	ClassMust    Class = "must"    // has to be equal for results that are equal bit for bit
	ClassLikely  Class = "likely"  // is known to have changed results
	ClassNoise   Class = "noise"   // is not expected to matter
	ClassOutcome Class = "outcome" // an output, a metric or the end of the run
)

// Difference is one way in which two runs differ. Subject is what differs: "image:NAME", "code:NAME", "dataset:NAME", "job", "command", "workdir",
// "params", "variables", "environment", "packages", "run", "outputs" or "metrics". A and B are the values of the first and the second run, absent
// where a run has none.
type Difference struct {
	Subject  string           `json:"subject"`
	Field    string           `json:"field"`
	Class    Class            `json:"class"`
	Input    bool             `json:"input,omitempty"`    // the fingerprint depends on it
	Unproven bool             `json:"unproven,omitempty"` // not seen to differ, and not proved equal either: a suspect
	A        Text             `json:"a,omitempty"`
	B        Text             `json:"b,omitempty"`
	Delta    string           `json:"delta,omitempty"` // of two numbers, B less A: "+0.01 (+4%)"
	Items    []DifferenceItem `json:"items,omitempty"` // files, packages, labels, … in order of name
	More     int              `json:"more,omitempty"`  // items that are not listed
	Text     string           `json:"text"`            // one sentence
}

// DifferenceItem is one file, package or label of a [Difference]. Change is "added" (only the second run has it), "removed" or "changed".
type DifferenceItem struct {
	Name   Text   `json:"name"`
	Change string `json:"change"`
	A      Text   `json:"a,omitempty"`
	B      Text   `json:"b,omitempty"`
}

// Comparison is everything in which two runs differ, most consequential first. SameInputs says that the inputs are known to be the same:
// both runs have a fingerprint and it is one. When it is false, Reasons may say that it could not be known.
type Comparison struct {
	Schema      string       `json:"schema"`
	A           RunID        `json:"a"`
	B           RunID        `json:"b"`
	SameInputs  bool         `json:"same_inputs"`
	Summary     string       `json:"summary"` // one sentence: what most likely explains a different result
	Differences []Difference `json:"differences"`
	Reasons     []Reason     `json:"reasons,omitempty"` // what could not be compared, and why
}

// maxItems bounds the items of one difference; the rest is counted.
const maxItems = 1000

// Compare gives the differences between two runs. blobs may be nil; then files and packages are not looked into. It reads nothing else.
// A blob that cannot be read is a reason, not an error.
func Compare(a, b Run, blobs BlobSource) (Comparison, error) {
	return CompareContext(context.Background(), a, b, blobs)
}

// CompareContext is [Compare] for blobs that may take time. It fails only when ctx ends.
func CompareContext(ctx context.Context, a, b Run, blobs BlobSource) (Comparison, error) {
	c := comparing{ctx: ctx, a: a, b: b, blobs: blobs}
	c.images()
	c.code()
	c.datasets()
	c.job()
	c.command()
	c.values()
	c.environments()
	c.whole()
	c.outcome()
	if err := ctx.Err(); err != nil {
		return Comparison{}, &Error{Op: "schema.compare", Kind: Interrupted, Subject: "compare", Err: err}
	}
	result := Comparison{Schema: ComparisonV1, A: a.ID, B: b.ID, Differences: []Difference{}}
	slices.SortStableFunc(c.found, compareDifferences)
	result.Differences = append(result.Differences, c.found...)
	result.SameInputs = c.sameInputs()
	result.Reasons = unique(c.reasons)
	result.Summary = c.summary(result)
	return result, nil
}

// comparing is one comparison under way.
type comparing struct {
	ctx     context.Context
	a, b    Run
	blobs   BlobSource
	found   []Difference
	reasons []Reason
}

// sameInputs compares the fingerprints that were fixed when the runs were sealed; a run that was not is asked what is known now.
func (c *comparing) sameInputs() bool {
	first, whyA := fingerprintOf(c.a)
	second, whyB := fingerprintOf(c.b)
	for i, why := range [][]Reason{whyA, whyB} {
		for _, r := range why {
			r.Text = []string{"first run: ", "second run: "}[i] + r.Text
			c.reasons = append(c.reasons, r)
		}
	}
	return first != "" && first == second
}

func fingerprintOf(r Run) (Fingerprint, []Reason) {
	now, why := r.Fingerprinted()
	if r.Fingerprint != "" && r.inputDrift() == "" {
		return r.Fingerprint, nil
	}
	return now, why
}

// subjects is the order of what a difference is of, most consequential first.
var subjects = []string{"image", "code", "dataset", "job", "command", "workdir", "params", "variables", "environment", "packages", "run", "outputs", "metrics"}

// tier orders by consequence: what is known to differ before what is only not proved equal, within the same class.
func (d Difference) tier() int {
	switch {
	case d.Class == ClassMust && !d.Unproven:
		return 0
	case d.Class == ClassMust:
		return 1
	case d.Class == ClassLikely && d.Unproven:
		return 2
	case d.Class == ClassLikely:
		return 3
	case d.Class == ClassNoise:
		return 4
	default:
		return 5
	}
}

func compareDifferences(x, y Difference) int {
	kindX, nameX, _ := strings.Cut(x.Subject, ":")
	kindY, nameY, _ := strings.Cut(y.Subject, ":")
	return cmp.Or(cmp.Compare(x.tier(), y.tier()), cmp.Compare(slices.Index(subjects, kindX), slices.Index(subjects, kindY)), cmp.Compare(nameX, nameY))
}

func (c *comparing) add(d Difference) {
	d.Text = strings.ToValidUTF8(d.Text, "\ufffd")
	c.found = append(c.found, d)
}

func (c *comparing) reason(code, subject, text string) {
	c.reasons = append(c.reasons, Reason{Code: code, Subject: Text(subject), Text: strings.ToValidUTF8(text, "\ufffd")})
}

// differ adds a difference of two plain values, if they do differ.
func (c *comparing) differ(subject, field string, class Class, input bool, a, b Text) bool {
	if a == b {
		return false
	}
	c.add(Difference{Subject: subject, Field: field, Class: class, Input: input, A: a, B: b, Text: phrase(subject, field, a, b)})
	return true
}

// unproven adds a suspect.
func (c *comparing) unproven(subject, field string, class Class, a, b Text, text string) {
	c.add(Difference{Subject: subject, Field: field, Class: class, Unproven: true, A: a, B: b, Text: text})
}

// items adds a difference that consists of several, if there are any.
func (c *comparing) items(subject, field string, class Class, input bool, noun string, items []DifferenceItem, more int) {
	if len(items) == 0 {
		return
	}
	if len(items) > maxItems {
		more += len(items) - maxItems
		items = items[:maxItems]
	}
	c.add(Difference{Subject: subject, Field: field, Class: class, Input: input, Items: items, More: more, Text: subject + ": " + countItems(noun, items, more)})
}

// phrase says a difference in words. Values are cut for the sentence only; A and B keep them whole.
func phrase(subject, field string, a, b Text) string {
	what := subject + ": " + strings.ReplaceAll(field, "_", " ")
	if subject == "params" || subject == "variables" || subject == "metrics" || subject == "outputs" || strings.HasPrefix(field, "variable ") {
		what = subject + ": " + field // a name that somebody else gave
	}
	switch {
	case a == "":
		return what + " is " + quote(b) + " in the second run only"
	case b == "":
		return what + " is " + quote(a) + " in the first run only"
	default:
		return what + " was " + quote(a) + " and is " + quote(b)
	}
}

func quote(t Text) string {
	s := string(t)
	if s == "" || strings.ContainsAny(s, " \t\"'") {
		s = strconv.Quote(s)
	}
	if len(s) > 120 {
		s = Shorten(s, 117) + "…"
	}
	return s
}

// countItems says "3 files differ: a was added, b changed, c was removed".
func countItems(noun string, items []DifferenceItem, more int) string {
	const named = 3
	total := len(items) + more
	verb := "s differ: "
	if total == 1 {
		verb = " differs: "
	}
	var words []string
	for _, i := range items[:min(named, len(items))] {
		word := string(i.Name)
		switch {
		case i.Change == "added":
			word += " was added"
		case i.Change == "removed":
			word += " was removed"
		case i.A != "" && i.B != "" && len(i.A)+len(i.B) < 60:
			word += " " + string(i.A) + " → " + string(i.B)
		default:
			word += " changed"
		}
		words = append(words, word)
	}
	text := strconv.Itoa(total) + " " + noun + verb + strings.Join(words, ", ")
	if total > named {
		text += ", …"
	}
	return text
}

// mapItems lists how two maps differ, by key.
func mapItems[V ~string](a, b map[string]V) []DifferenceItem {
	var items []DifferenceItem
	for _, k := range keysOf(a, b) {
		va, inA := a[k]
		vb, inB := b[k]
		if inA != inB || va != vb {
			items = append(items, DifferenceItem{Name: Text(k), Change: changeOf(inA, inB), A: Text(va), B: Text(vb)})
		}
	}
	return items
}

// keysOf gives the keys of both, sorted, each once.
func keysOf[V any](a, b map[string]V) []string {
	keys := make([]string, 0, len(a)+len(b))
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func changeOf(inA, inB bool) string {
	switch {
	case !inA:
		return "added"
	case !inB:
		return "removed"
	default:
		return "changed"
	}
}

// pair is one pin of both runs; a or b is nil where only the other has it.
type pair[T any] struct {
	name string
	a, b *T
}

// pairs matches pins by name. A single pin that is left over on each side is one that was given another name.
func pairs[T any](a, b []T, name func(T) string) []pair[T] {
	byName := map[string]*pair[T]{}
	at := func(n string) *pair[T] {
		if byName[n] == nil {
			byName[n] = &pair[T]{name: n}
		}
		return byName[n]
	}
	for i := range a {
		at(name(a[i])).a = &a[i]
	}
	for i := range b {
		at(name(b[i])).b = &b[i]
	}
	var onlyA, onlyB []*pair[T]
	for _, p := range byName {
		if p.b == nil {
			onlyA = append(onlyA, p)
		} else if p.a == nil {
			onlyB = append(onlyB, p)
		}
	}
	if len(onlyA) == 1 && len(onlyB) == 1 {
		onlyA[0].b = onlyB[0].b
		delete(byName, onlyB[0].name)
	}
	var out []pair[T]
	for _, n := range keysOf(byName, nil) {
		out = append(out, *byName[n])
	}
	return out
}
