package schema

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// A try that nobody counts may live more than once under one name: a container that is started again in its pod, a command that joins a second time. What tells
// these lives apart is when each began.

// span is what one statement says of when a try ran; either end may be absent.
type span struct{ started, finished Time }

// life is one of them: when it began, as the first and as the last of those say who speak of it, and when it ended.
type life struct{ from, latest, until Time }

// sameStart is how far apart the times may be that several reporters give of one start: a cluster tells whole seconds, and of the container.
const sameStart = 2 * time.Second

// livesOf brings spans together that are of one life: they begin at one time, or while it is known to go on.
func livesOf(spans []span) []life {
	spans = slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.started.IsZero() })
	slices.SortFunc(spans, func(a, b span) int { return a.started.t.Compare(b.started.t) })
	var lives []life
	for _, s := range spans {
		n := len(lives) - 1
		if n < 0 || s.started.t.Sub(lives[n].latest.t) > sameStart && !s.started.Before(lives[n].until) {
			lives = append(lives, life{s.started, s.started, s.finished})
			continue
		}
		lives[n].latest = s.started
		if lives[n].until.Before(s.finished) {
			lives[n].until = s.finished
		}
	}
	return lives
}

// lifeAt gives the number of the life that a statement is about. One that does not say when it began is about the latest that had begun when it ended, or at all.
func lifeAt(lives []life, s span) int {
	at := cmp.Or(s.started, s.finished)
	if at.IsZero() {
		return max(len(lives)-1, 0)
	}
	return max(sort.Search(len(lives), func(i int) bool { return at.Before(lives[i].from) })-1, 0)
}

// noteLives finds the lives of each try that nobody counts.
func (f *folding) noteLives() {
	spans := map[try][]span{}
	for _, s := range f.statuses {
		if s.number == 0 {
			spans[s.try] = append(spans[s.try], spanOf(s.said))
		}
	}
	f.lives = make(map[try][]life, len(spans))
	for t, all := range spans {
		f.lives[t] = livesOf(all)
	}
}

func spanOf(s *StatusChange) span { return span{s.Started, s.Finished} }

// sideBySide gives what stands of the processes that joined without a rank under names of their own, the pods of a job that does not number them: each has its
// own word, until somebody says how the run as a whole ended. One that began after another had failed stands in for it.
func (f *folding) sideBySide() []statement[*StatusChange] {
	last := map[try]statement[*StatusChange]{}
	var end statement[*StatusChange] // of the whole, by a collector or a person
	for _, s := range f.statuses {
		if s.rank != noRank || !decides(s.said) {
			continue
		}
		if !s.joined {
			if s.said.To.Ended() && (end.said == nil || f.compareStatus(end, s) < 0) {
				end = s
			}
			continue
		}
		if was, ok := last[s.try]; s.number == 0 && s.try.id != "" && (!ok || f.compareStatus(was, s) < 0) {
			last[s.try] = s
		}
	}
	var all []statement[*StatusChange]
	for _, s := range last {
		if end.said == nil || f.compareStatus(end, s) < 0 {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, f.compareStatus)
	var stand []statement[*StatusChange]
	for _, s := range all {
		if i := slices.IndexFunc(stand, func(was statement[*StatusChange]) bool {
			return was.said.To == Failed && !was.said.Finished.IsZero() && !f.begun[s.try].Before(was.said.Finished)
		}); i >= 0 {
			stand = slices.Delete(stand, i, i+1)
		}
		stand = append(stand, s)
	}
	return stand
}
