package schema

import (
	"cmp"
	"maps"
	"slices"
)

// rankStatus is what one reporter said of where the run stands. Rank is noRank where it spoke for the run as a whole: the process that started
// it, a collector, a user.
type rankStatus struct {
	rank int
	id   DocumentID
	*StatusChange
}

func (f *folding) applyStatus(d *Document) {
	s := d.Status
	f.statuses = append(f.statuses, rankStatus{rankOrNone(d.Reporter.Rank), d.ID, s})
	if !s.Started.IsZero() && (f.Started.IsZero() || s.Started.Before(f.Started)) {
		f.Started = s.Started
	}
	if f.Fingerprint == "" && s.To.Ended() {
		f.Fingerprint = s.Fingerprint // the first sealing fixes it
	}
}

// settleStatus decides where the run stands from everything that was said. Clocks may differ by an hour, so time decides only between
// statements of equal weight: a later try stands over an earlier one, an end over "running", and only then the later over the earlier.
// A word on the whole run, an end or "running" with a lease, stands over the ranks'; otherwise the run goes on while any rank does, and fails
// if any rank failed.
func (f *folding) settleStatus() {
	if f.inputDrift() != "" {
		f.Fingerprint = "" // what it was computed from is not what ran
	}
	last := map[int]rankStatus{}
	for _, s := range f.statuses {
		if was, ok := last[s.rank]; !ok || compareStatus(was, s) < 0 {
			last[s.rank] = s
		}
	}
	whole, said := last[noRank]
	if said && (whole.To.Ended() || whole.To == Running && whole.Lease != nil) {
		f.take(whole)
		return
	}
	delete(last, noRank)
	ranks := slices.Sorted(maps.Keys(last))
	for _, want := range []Status{Running, Failed, Succeeded} {
		for _, rank := range ranks {
			if last[rank].To == want {
				f.take(last[rank])
				f.takeLatestEnd(last)
				return
			}
		}
	}
	if said {
		f.take(whole)
	}
}

func compareStatus(a, b rankStatus) int {
	return cmp.Or(cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(weight(a.To), weight(b.To)), cmp.Compare(a.id, b.id))
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

func (f *folding) take(s rankStatus) {
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
func (f *folding) takeLatestEnd(last map[int]rankStatus) {
	if !f.Status.Ended() {
		return
	}
	for _, s := range last {
		if f.Finished.Before(s.Finished) {
			f.Finished = s.Finished
		}
	}
}

// Judge decides the status as a reader sees it: a running run whose reporter is known to be gone is lost, and so is one that nobody gave a
// lease for. alive says what is known of the lease: true while the reporter may still be there.
func (r *Run) Judge(alive func(Lease) bool) {
	if r.Status == Running && (r.Lease == nil || !alive(*r.Lease)) {
		r.Status = Lost
	}
}
