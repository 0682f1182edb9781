package schema

import (
	"cmp"
	"slices"
	"sort"
)

// A person says how the run ended. Whoever could read the record says it of the try that was the latest; whoever could not (the store was away, the token may only
// append) names no try, and means the latest that had begun by then.

// notePerson remembers a person's word on no try that anybody named, and when it was said.
func (f *folding) notePerson(d *Document) {
	if d.Reporter.Kind != "user" || tryOf(d, d.Status.Attempt) != (try{rank: noRank}) {
		return
	}
	if f.persons == nil {
		f.persons = map[DocumentID]Time{}
	}
	f.persons[d.ID] = d.At
}

// placePersons finds the try that such a word is about. One that began later is another: a job that is submitted again after it was given up.
func (f *folding) placePersons() {
	if len(f.persons) == 0 {
		return
	}
	var tries []try // of the run as a whole, by when they began; each is then replaced by the latest of those up to it
	for _, s := range f.statuses {
		if _, person := f.persons[s.id]; !person && s.rank == noRank {
			tries = append(tries, s.try)
		}
	}
	slices.SortFunc(tries, func(a, b try) int { return cmp.Or(f.begun[a].t.Compare(f.begun[b].t), f.compareTries(a, b)) })
	begun := make([]Time, len(tries))
	for i, t := range tries {
		begun[i] = f.begun[t]
		if i > 0 && f.compareTries(t, tries[i-1]) < 0 {
			tries[i] = tries[i-1]
		}
	}
	for i, s := range f.statuses {
		at, person := f.persons[s.id]
		if !person {
			continue
		}
		if n := sort.Search(len(begun), func(i int) bool { return at.Before(begun[i]) }); n > 0 && f.compareTries(s.try, tries[n-1]) < 0 {
			f.statuses[i].try = tries[n-1]
		}
	}
}
