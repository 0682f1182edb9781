package schema

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// Fold gives the run that the documents say together. The result does not depend on the order or on repetition of docs: events are
// applied by id, which is by time. All documents must be of one run, and its base document must be among them. An event of a kind that
// only a newer version knows is passed over, with a reason. Reading a lease and calling a silent run lost is left to the caller (see
// [Run.Judge]). The run shares no memory that the fold or Judge writes to with docs.
func Fold(docs []Document) (Run, error) {
	base, events, err := sortDocuments(docs)
	if err != nil {
		return Run{}, err
	}
	f := folding{Run: Run{Schema: SchemaV1, ID: base.Run, Status: Planned, Plan: clonePlan(*base.Plan)}}
	for i, p := range f.Images {
		f.place(imageKey(p.Name), i)
	}
	for _, d := range events {
		f.apply(d)
	}
	f.settleAttempts()
	f.settleEnvironments()
	f.settleOutputs()
	f.settlePlatforms()
	f.settleStatus()
	f.settleReasons()
	return f.Run, nil
}

// sortDocuments finds the base document and brings the events into the order of their ids, each once.
func sortDocuments(docs []Document) (base *Document, events []*Document, err error) {
	broken := func(kind Kind, subject, hint, format string, args ...any) error {
		return &Error{Op: "schema.fold", Kind: kind, Subject: subject, Hint: hint, Err: fmt.Errorf(format, args...)}
	}
	byID := make(map[DocumentID]*Document, len(docs))
	for i := range docs {
		d := &docs[i]
		if first := byID[d.ID]; first != nil {
			// Saved twice is saved once; two statements under one id are not for us to choose from.
			if !sameDocument(*first, *d) {
				return nil, nil, broken(Conflict, "document "+string(d.ID), "", "there are two documents with this id")
			}
			continue
		}
		byID[d.ID] = d
		if d.Kind != KindRun {
			events = append(events, d)
			continue
		}
		if base != nil {
			return nil, nil, broken(Internal, "run", "", "there are documents of the runs %s and %s", min(base.Run, d.Run), max(base.Run, d.Run))
		}
		base = d
	}
	if base == nil || base.Plan == nil {
		return nil, nil, broken(Internal, "run", "a report arrived before the plan it belongs to; import the rest of the spool", "its base document is missing")
	}
	sort.Slice(events, func(i, j int) bool { return events[i].ID < events[j].ID })
	for _, d := range events {
		if d.Run != base.Run {
			return nil, nil, broken(Internal, "run "+string(base.Run), "", "document %s belongs to run %q", d.ID, d.Run)
		}
	}
	return base, events, nil
}

func sameDocument(a, b Document) bool {
	x, errX := Canonical(a)
	y, errY := Canonical(b)
	return errX == nil && errY == nil && bytes.Equal(x, y) && bytes.Equal(a.Verbatim, b.Verbatim)
}

// clonePlan copies what the fold may change, so that folding twice from the same documents gives the same.
func clonePlan(p Plan) Plan {
	p.Images = slices.Clone(p.Images)
	p.Withheld = slices.Clone(p.Withheld)
	p.Reasons = slices.Clone(p.Reasons)
	return p
}

// folding is a run while its events are applied, with what only the fold needs to know.
type folding struct {
	Run
	statuses    []statement[*StatusChange]
	outputs     []statement[*Document]
	begun       map[try]Time
	persons     map[DocumentID]Time   // words of people who named no try, and when they were said
	lives       map[try][]life        // of the tries that nobody counts
	ran         map[string][]ImagePin // which platforms of a pin's index ran, by the pin's name
	resealed    bool                  // the inputs are other ones than were sealed
	nodes       []nodeSeen
	shared      map[Digest]int // environments without a node, by id: their place in sharedEnvs
	sharedEnvs  []Environment
	metricRanks map[string]int
	newer       map[DocumentKind]int // kinds that this version does not know
	places      map[any]int          // where in its list an entry stands, by what makes it one entry: a record may hold very many
}

// place gives the index of the entry with the given key in a list of n, or n and false when it is new, and will be appended.
func (f *folding) place(key any, n int) (int, bool) {
	if at, ok := f.places[key]; ok {
		return at, true
	}
	if f.places == nil {
		f.places = map[any]int{}
	}
	f.places[key] = n
	return n, false
}

func (f *folding) apply(d *Document) {
	switch d.Kind {
	case KindStatus:
		f.notePerson(d)
		f.applyStatus(d)
	case KindObservation:
		f.applyObservation(d)
	case KindOutput:
		f.outputs = append(f.outputs, statement[*Document]{tryOf(d, 0), d.ID, d, false})
	case KindLabel:
		f.applyLabel(d.Label)
	case KindNote:
		n := *d.Note
		n.At, n.By = d.At, cmp.Or(n.By, d.Reporter.By)
		f.Notes = append(f.Notes, n)
	case KindRelease:
		e := *d.Release
		e.At = d.At
		f.Releases = append(f.Releases, e)
	case KindKeep:
		f.applyKeep(d)
	case KindErasure:
		e := *d.Erasure
		e.At = d.At
		f.Erased = append(f.Erased, e)
	default:
		if f.newer == nil {
			f.newer = map[DocumentKind]int{}
		}
		f.newer[d.Kind]++
	}
}

func (f *folding) settleReasons() {
	for _, kind := range slices.Sorted(maps.Keys(f.newer)) {
		f.Reasons = append(f.Reasons, Reason{Code: "unknown-event", Subject: Text(kind),
			Text: fmt.Sprintf("%d events of this kind were passed over: a newer version of runpin wrote them", f.newer[kind])})
	}
	// Sixty-four ranks that say the same say it once.
	f.Reasons = unique(f.Reasons)
	f.Withheld = unique(f.Withheld)
}

// unique drops later equal entries.
func unique[T comparable](all []T) []T {
	seen := make(map[T]bool, len(all))
	var out []T
	for _, one := range all {
		if !seen[one] {
			seen[one] = true
			out = append(out, one)
		}
	}
	return out
}

func (f *folding) applyObservation(d *Document) {
	o := *d.Observation
	o.At = d.At
	reporter := d.Reporter
	o.Reporter = &reporter
	f.Withheld = append(f.Withheld, o.Withheld...)
	f.Reasons = append(f.Reasons, o.Reasons...)
	if o.Verdict != nil {
		v := *o.Verdict
		if v.At.IsZero() {
			v.At = d.At
		}
		f.Verdict = &v
	}
	if o.Launched != nil {
		l := *o.Launched
		l.At = d.At
		f.Launched = &l
	}
	if o.Attempt != nil {
		f.addAttempt(*o.Attempt)
		f.noteBegun(tryOf(d, 0), o.Attempt.Started)
	}
	for _, dr := range o.Drift {
		f.addDrift(dr, d.At)
	}
	if o.Environment != nil {
		e := *o.Environment
		if e.Node == "" && len(e.Ranks) == 0 && d.Reporter.Rank == nil {
			f.shareEnvironment(e)
		} else {
			f.addEnvironment(e, d.Reporter.Rank)
		}
		// It stands in Environments; the observation names it.
		o.Environment = &Environment{ID: e.ID, Node: e.Node, Ranks: e.Ranks}
	}
	if o.Node != nil {
		f.nodes = append(f.nodes, nodeSeen{*o.Node, d.Reporter.Rank})
	}
	for _, seen := range o.Images {
		f.observeImage(seen, d.At)
	}
	f.Observations = append(f.Observations, o)
}

// addDrift keeps what was found first, once.
func (f *folding) addDrift(dr Drifted, at Time) {
	type driftKey struct {
		pin, text       string
		expected, found Text
	}
	if dr.At.IsZero() {
		dr.At = at
	}
	if _, again := f.place(driftKey{dr.Pin, dr.Text, dr.Expected, dr.Found}, len(f.Drift)); !again {
		f.Drift = append(f.Drift, dr)
	}
}

const noRank = -1

func rankOrNone(rank *int) int {
	if rank == nil {
		return noRank
	}
	return *rank
}

func (f *folding) applyLabel(l *Label) {
	for _, k := range l.Remove {
		delete(f.Labels, k)
	}
	if f.Labels == nil && len(l.Set) > 0 {
		f.Labels = map[string]string{}
	}
	maps.Copy(f.Labels, l.Set)
	if len(f.Labels) == 0 {
		f.Labels = nil
	}
}

// applyKeep: a keep that was removed protects nothing any more and is no longer shown.
func (f *folding) applyKeep(d *Document) {
	k := *d.Keep
	k.At = d.At
	f.Keeps = slices.DeleteFunc(f.Keeps, func(known Keep) bool {
		return known.Pin == k.Pin && known.How == k.How && known.Where == k.Where
	})
	if !k.Removed {
		f.Keeps = append(f.Keeps, k)
	}
	if len(f.Keeps) == 0 {
		f.Keeps = nil
	}
}

// inputDrift says which input is not what it was pinned to, or "".
func (r *Run) inputDrift() string {
	for _, d := range r.Drift {
		if d.ofInput() {
			return strings.TrimSpace(d.Pin + " " + d.Text)
		}
	}
	return ""
}
