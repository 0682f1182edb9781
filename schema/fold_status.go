package schema

import (
	"cmp"
	"maps"
	"slices"
)

// try is one attempt of one rank. Rank is noRank where a reporter spoke for the run as a whole: the process that started it, a collector, a user.
type try struct {
	rank   int
	number int    // 0 when nobody counts
	id     string // "" when nobody names it
}

// tryOf gives the try that a document is about.
func tryOf(d *Document, number int) try {
	return try{rankOrNone(d.Reporter.Rank), max(d.Reporter.Attempt, number), d.Reporter.AttemptID}
}

// statement is what a reporter said in a document, and about which try.
type statement[T any] struct {
	try
	id     DocumentID
	said   T
	joined bool // a joiner said it, who does not know the plan
}

// decides reports whether a word on the whole run stands over those of its ranks: it is an end, or somebody vouches for the run.
func decides(s *StatusChange) bool { return s.To.Ended() || s.To == Running && s.Lease != nil }

// noteBegun remembers when a try began: the earliest that was said.
func (f *folding) noteBegun(t try, at Time) {
	if at.IsZero() {
		return
	}
	if f.begun == nil {
		f.begun = map[try]Time{}
	}
	if was, known := f.begun[t]; !known || at.Before(was) {
		f.begun[t] = at
	}
}

// compareTries orders the tries of a rank: by number, and where nobody counts by when they began.
func (f *folding) compareTries(a, b try) int {
	x, y := f.begun[a], f.begun[b]
	return cmp.Or(cmp.Compare(a.number, b.number), x.t.Compare(y.t), cmp.Compare(a.id, b.id))
}

func (f *folding) applyStatus(d *Document) {
	s := d.Status
	t := tryOf(d, s.Attempt)
	f.statuses = append(f.statuses, statement[*StatusChange]{t, d.ID, s, d.Reporter.Kind == "joiner"})
	f.noteBegun(t, s.Started)
	if s.To == Running && s.Started.IsZero() {
		f.noteBegun(t, d.At) // a pod that waits to be tried again stands over the one before it
	}
	if !s.Started.IsZero() && (f.Started.IsZero() || s.Started.Before(f.Started)) {
		f.Started = s.Started
	}
	if f.Fingerprint == "" && s.To.Ended() {
		f.Fingerprint = s.Fingerprint // the first sealing fixes it
	}
}

// settleStatus decides where the run stands from everything that was said. Clocks may differ by an hour, so time decides only between
// statements of equal weight: a later try stands over an earlier one, a later life of a try that nobody counts over the one before it, an end over "running", a
// collector's or a person's word on the whole over that of a joiner, and only then the later over the earlier.
// A word on the whole run, an end or "running" with a lease, stands over the ranks'; otherwise the run goes on while any rank does, and fails
// if any rank failed. A try that is counted is one of the whole job: once a later one is heard of, what ranks said of earlier ones is past.
func (f *folding) settleStatus() {
	if f.inputDrift() != "" {
		f.Fingerprint = "" // what it was computed from is not what ran
	}
	f.placePersons()
	f.noteLives()
	last := map[int]statement[*StatusChange]{}
	counted := 0
	for _, s := range f.statuses {
		if was, ok := last[s.rank]; !ok || f.compareStatus(was, s) < 0 {
			last[s.rank] = s
		}
		if s.rank != noRank {
			counted = max(counted, s.number)
		}
	}
	maps.DeleteFunc(last, func(_ int, s statement[*StatusChange]) bool { return s.number > 0 && s.number < counted })
	whole, said := last[noRank]
	if said && decides(whole.said) {
		if whole.joined && whole.number == 0 && whole.try.id != "" {
			f.takeTogether(f.sideBySide())
			return
		}
		f.take(whole.said)
		if _, unread := f.persons[whole.id]; whole.joined || unread {
			f.sealByRanks()
		}
		return
	}
	delete(last, noRank)
	var ranks []statement[*StatusChange]
	for _, rank := range slices.Sorted(maps.Keys(last)) {
		ranks = append(ranks, last[rank])
	}
	if !f.takeTogether(ranks) && said {
		f.take(whole.said)
	}
}

// takeTogether: the run goes on while any of its members does, and fails if any failed. False when none of them has begun.
func (f *folding) takeTogether(members []statement[*StatusChange]) bool {
	for _, want := range []Status{Running, Failed, Succeeded} {
		for i, m := range members {
			if m.said.To == want {
				f.take(m.said)
				f.takeLatestEnd(members)
				f.takeLeases(members[i+1:])
				f.sealByRanks()
				return true
			}
		}
	}
	return false
}

// sealByRanks: ranks do not know the plan, so none of them seals the run. Once all have ended the inputs are what they are known to be.
func (f *folding) sealByRanks() {
	if f.Status.Ended() && f.Fingerprint == "" {
		f.Fingerprint, _ = f.Fingerprinted()
	}
}

// takeLeases keeps the leases of the other members that run: the run is lost only when none of them is there.
func (f *folding) takeLeases(others []statement[*StatusChange]) {
	if f.Status != Running {
		return
	}
	for _, m := range others {
		switch s := m.said; {
		case s.To != Running || s.Lease == nil:
		case f.Lease == nil:
			f.Lease = new(Lease)
			*f.Lease = *s.Lease
		default:
			f.RankLeases = append(f.RankLeases, *s.Lease)
		}
	}
}

func (f *folding) compareStatus(a, b statement[*StatusChange]) int {
	lives := f.lives[a.try]
	return cmp.Or(f.compareTries(a.try, b.try), cmp.Compare(lifeAt(lives, spanOf(a.said)), lifeAt(lives, spanOf(b.said))),
		cmp.Compare(weight(a.said.To), weight(b.said.To)), cmp.Compare(voice(a), voice(b)), cmp.Compare(a.id, b.id))
}

// voice: a joiner without a rank knows how its own command ended, a collector or a person how the run did.
func voice(s statement[*StatusChange]) int {
	if s.rank != noRank || s.joined || !s.said.To.Ended() {
		return 0
	}
	return 1
}

func weight(s Status) int {
	switch {
	case s.Ended():
		return 2
	case s == Running:
		return 1
	default:
		return 0
	}
}

func (f *folding) take(s *StatusChange) {
	f.Status, f.Why = s.To, s.Why
	if s.To.Ended() {
		f.Finished, f.ExitCode, f.Signal = s.Finished, s.ExitCode, s.Signal
		f.Lease = nil
		return
	}
	if s.Lease != nil {
		lease := *s.Lease // the store writes its beat
		f.Lease = &lease
	}
}

// takeLatestEnd: a run of several ranks ends when the last of them does.
func (f *folding) takeLatestEnd(members []statement[*StatusChange]) {
	if !f.Status.Ended() {
		return
	}
	for _, s := range members {
		if f.Finished.Before(s.said.Finished) {
			f.Finished = s.said.Finished
		}
	}
}

// Judge decides the status as a reader sees it: a running run whose reporters are known to be gone is lost, and so is one that nobody gave a
// lease for. alive says what is known of a lease: true while its reporter may still be there.
func (r *Run) Judge(alive func(Lease) bool) {
	if r.Status == Running && (r.Lease == nil || !alive(*r.Lease)) && !slices.ContainsFunc(r.RankLeases, alive) {
		r.Status = Lost
	}
}
