package schema

import (
	"fmt"
	"sort"
)

// Fold gives the run that the documents say together. The result does not depend on the order or on repetition of docs: events are
// applied by id, which is by time. All documents must be of one run, and its base document must be among them. Reading a lease and calling a
// silent run lost is left to the caller (see [Run.Judge]).
func Fold(docs []Document) (Run, error) {
	var base *Document
	byID := make(map[DocumentID]bool, len(docs))
	events := make([]*Document, 0, len(docs))
	for i := range docs {
		d := &docs[i]
		if byID[d.ID] {
			continue
		}
		byID[d.ID] = true
		if d.Kind == KindRun {
			base = d
		} else {
			events = append(events, d)
		}
	}
	if base == nil || base.Plan == nil {
		return Run{}, &Error{Op: "schema.fold", Kind: Internal, Subject: "run", Err: fmt.Errorf("its base document is missing"),
			Hint: "a report arrived before the plan it belongs to; import the rest of the spool"}
	}
	sort.Slice(events, func(i, j int) bool { return events[i].ID < events[j].ID })
	r := Run{Schema: SchemaV1, ID: base.Run, Status: Planned, Plan: clonePlan(*base.Plan)}
	for _, d := range events {
		if d.Run != base.Run {
			return Run{}, &Error{Op: "schema.fold", Kind: Internal, Subject: "run " + string(base.Run), Err: fmt.Errorf("document %s belongs to run %s", d.ID, d.Run)}
		}
		r.apply(d)
	}
	if r.Status.Ended() {
		r.Lease = nil
	}
	return r, nil
}

// clonePlan copies what the fold may change, so that folding twice from the same documents gives the same.
func clonePlan(p Plan) Plan {
	p.Images = append([]ImagePin(nil), p.Images...)
	p.Withheld = append([]Withheld(nil), p.Withheld...)
	p.Reasons = append([]Reason(nil), p.Reasons...)
	return p
}

func (r *Run) apply(d *Document) {
	switch d.Kind {
	case KindStatus:
		r.applyStatus(d.Status)
	case KindObservation:
		r.applyObservation(d)
	case KindOutput:
		r.applyOutput(d.Output)
	case KindLabel:
		r.applyLabel(d.Label)
	case KindNote:
		n := *d.Note
		n.At = d.At
		r.Notes = append(r.Notes, n)
	case KindRelease:
		e := *d.Release
		e.At = d.At
		r.Releases = append(r.Releases, e)
	case KindKeep:
		e := *d.Keep
		e.At = d.At
		r.Keeps = append(r.Keeps, e)
	case KindErasure:
		e := *d.Erasure
		e.At = d.At
		r.Erased = append(r.Erased, e)
	}
}

// applyStatus: a final status is never taken back by a late "running"; a later final status (a late finish) stands over an earlier one,
// and the fingerprint of the first sealing stays.
func (r *Run) applyStatus(s *StatusChange) {
	if r.Status.Ended() && !s.To.Ended() {
		return
	}
	if s.To != Planned {
		r.Status = s.To
	}
	if r.Started.IsZero() {
		r.Started = s.Started
	}
	if !s.Finished.IsZero() {
		r.Finished = s.Finished
	}
	if s.ExitCode != nil {
		r.ExitCode, r.Signal = s.ExitCode, s.Signal
	}
	if r.Fingerprint == "" {
		r.Fingerprint = s.Fingerprint
	}
	if s.Lease != nil {
		r.Lease = s.Lease
	}
}

func (r *Run) applyObservation(d *Document) {
	o := *d.Observation
	o.At = d.At
	reporter := d.Reporter
	o.Reporter = &reporter
	r.Observations = append(r.Observations, o)
	r.Withheld = append(r.Withheld, o.Withheld...)
	r.Reasons = append(r.Reasons, o.Reasons...)
	if o.Verdict != nil {
		r.Verdict = o.Verdict
	}
	if o.Attempt != nil {
		r.Attempts = append(r.Attempts, *o.Attempt)
	}
	for _, dr := range o.Drift {
		if dr.At.IsZero() {
			dr.At = d.At
		}
		r.Drift = append(r.Drift, dr)
	}
	if o.Environment != nil {
		r.addEnvironment(*o.Environment, d.Reporter.Rank)
	}
	for _, seen := range o.Images {
		r.observeImage(seen, d.At)
	}
}

// addEnvironment keeps one entry for each distinct node; equal ones gather the ranks.
func (r *Run) addEnvironment(e Environment, rank *int) {
	for i := range r.Environments {
		if r.Environments[i].ID == e.ID && r.Environments[i].Node == e.Node {
			if rank != nil {
				r.Environments[i].Ranks = addRank(r.Environments[i].Ranks, *rank)
			}
			return
		}
	}
	if rank != nil {
		e.Ranks = addRank(append([]int(nil), e.Ranks...), *rank)
	}
	r.Environments = append(r.Environments, e)
}

func addRank(ranks []int, rank int) []int {
	at := sort.SearchInts(ranks, rank)
	if at < len(ranks) && ranks[at] == rank {
		return ranks
	}
	ranks = append(ranks, 0)
	copy(ranks[at+1:], ranks[at:])
	ranks[at] = rank
	return ranks
}

// observeImage lets a runtime's word confirm or complete a pin. Where it contradicts the pin the disagreement is drift: shown, never averaged.
func (r *Run) observeImage(seen ImagePin, at Time) {
	for i := range r.Images {
		p := &r.Images[i]
		if p.Name != seen.Name {
			continue
		}
		if want, got, differs := imageContradiction(*p, seen); differs {
			r.Drift = append(r.Drift, Drifted{Pin: "image:" + p.Name, Expected: Text(want), Found: Text(got), At: at,
				Text: "another image ran than the one that was pinned"})
			return
		}
		if p.ConfigDigest == "" {
			p.ConfigDigest = seen.ConfigDigest
		}
		if p.PlatformDigest == "" {
			p.PlatformDigest = seen.PlatformDigest
		}
		if p.Platform == "" {
			p.Platform = seen.Platform
		}
		if p.Use != Enforced {
			p.Use = Observed
		}
		return
	}
	r.Images = append(r.Images, seen)
}

// imageContradiction compares like with like: config with config, platform with platform, index with index.
func imageContradiction(p, seen ImagePin) (want, got Digest, differs bool) {
	for _, pair := range [][2]Digest{{p.ConfigDigest, seen.ConfigDigest}, {p.PlatformDigest, seen.PlatformDigest}, {p.IndexDigest, seen.IndexDigest}, {p.FileDigest, seen.FileDigest}} {
		if pair[0] != "" && pair[1] != "" {
			return pair[0], pair[1], pair[0] != pair[1]
		}
	}
	return "", "", false
}

func (r *Run) applyOutput(e *OutputEvent) {
	for _, o := range e.Outputs {
		replaced := false
		for i := range r.Outputs {
			if r.Outputs[i].Name == o.Name && sameRank(r.Outputs[i].Rank, o.Rank) {
				r.Outputs[i], replaced = o, true
				break
			}
		}
		if !replaced {
			r.Outputs = append(r.Outputs, o)
		}
	}
	for k, v := range e.Metrics {
		if r.Metrics == nil {
			r.Metrics = map[string]Text{}
		}
		r.Metrics[k] = v
	}
}

func sameRank(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (r *Run) applyLabel(l *Label) {
	for _, k := range l.Remove {
		delete(r.Labels, k)
	}
	for k, v := range l.Set {
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels[k] = v
	}
}

// Judge decides the status as a reader sees it: a running run whose reporter is known to be gone is lost. alive says what is known of
// the lease: true while the reporter may still be there.
func (r *Run) Judge(alive func(Lease) bool) {
	if r.Status == Running && (r.Lease == nil || !alive(*r.Lease)) {
		r.Status = Lost
	}
}
