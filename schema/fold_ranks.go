package schema

import "slices"

// What ranks tell of their tries and of the nodes that they stand on.

// addAttempt keeps one entry for each try of each rank: several reporters may tell of its begin and its end. Those that nobody counts are brought together when
// all have been heard.
func (f *folding) addAttempt(a Attempt) {
	if a.Number == 0 {
		f.Attempts = append(f.Attempts, a)
		return
	}
	type attemptKey struct {
		number, rank int
		id           string
	}
	i, again := f.place(attemptKey{a.Number, rankOrNone(a.Rank), a.ID}, len(f.Attempts))
	if !again {
		f.Attempts = append(f.Attempts, a)
		return
	}
	f.Attempts[i].complete(a)
}

// complete takes what another reporter says of the same try.
func (a *Attempt) complete(told Attempt) {
	if told.Node != "" {
		a.Node = told.Node
	}
	if !told.Started.IsZero() && (a.Started.IsZero() || told.Started.Before(a.Started)) {
		a.Started = told.Started
	}
	if a.Finished.Before(told.Finished) {
		a.Finished = told.Finished
	}
	if told.ExitCode != nil {
		a.ExitCode = told.ExitCode
	}
	if told.Reason != "" {
		a.Reason = told.Reason
	}
}

// tryName is what those call a try that cannot count it.
type tryName struct {
	rank int
	id   string
}

func (a *Attempt) name() tryName { return tryName{rankOrNone(a.Rank), a.ID} }

// settleAttempts brings together what a pod says of its tries, which it cannot count, and what the cluster says of them, which does. A container that was started
// again in its pod lived twice under one name: each life is a try, and the cluster's are matched with it by when they began.
func (f *folding) settleAttempts() {
	counted, spans := map[tryName][]int{}, map[tryName][]span{}
	for i, a := range f.Attempts {
		if a.Number > 0 && a.ID != "" {
			counted[a.name()] = append(counted[a.name()], i)
		} else if a.Number == 0 {
			spans[a.name()] = append(spans[a.name()], span{a.Started, a.Finished})
		}
	}
	if len(spans) == 0 {
		return
	}
	lives := map[tryName][]life{}
	for name, all := range spans {
		lives[name] = livesOf(all)
	}
	type lived struct {
		tryName
		life int
	}
	own := map[lived]*Attempt{}
	first := map[int]*Attempt{} // the same, by the place of what was said first
	as := map[int]int{}
	for i, a := range f.Attempts {
		if a.Number > 0 {
			continue
		}
		all := lives[a.name()]
		one := lived{a.name(), lifeAt(all, span{a.Started, a.Finished})}
		if own[one] != nil {
			own[one].complete(a)
			continue
		}
		own[one], first[i] = &a, &a
	}
	told := slices.Clone(f.Attempts)
	for i, a := range first {
		as[i] = countedAs(*a, told, counted[a.name()], len(lives[a.name()]) <= 1)
	}
	for i := range told {
		if a, at := first[i], as[i]; a != nil && at >= 0 {
			f.Attempts[at].complete(*a)
			if exit := told[at].ExitCode; exit != nil {
				f.Attempts[at].ExitCode = exit // the cluster's word on how it ended
			}
		}
	}
	var kept []Attempt
	for i, a := range f.Attempts {
		if a.Number > 0 {
			kept = append(kept, a)
		} else if first[i] != nil && as[i] < 0 {
			kept = append(kept, *first[i])
		}
	}
	f.Attempts = kept
}

// countedAs finds the place of what the cluster says of a life, or -1: the latest of its entries that had begun by then, and had not ended. Where there is one of each
// they are the same, whatever the clocks say.
func countedAs(own Attempt, all []Attempt, counted []int, once bool) int {
	if once && len(counted) == 1 {
		return counted[0]
	}
	best := -1
	for _, i := range counted {
		c := all[i]
		if c.Started.IsZero() || c.Started.t.Sub(own.Started.t) > sameStart || own.Started.IsZero() {
			continue
		}
		if !c.Finished.IsZero() && own.Started.t.Sub(c.Finished.t) > sameStart {
			continue
		}
		if best < 0 || all[best].Started.Before(c.Started) {
			best = i
		}
	}
	return best
}

// addEnvironment keeps one entry for each distinct node; equal ones gather the ranks.
func (f *folding) addEnvironment(e Environment, rank *int) {
	ranks := slices.Clone(e.Ranks)
	if rank != nil {
		ranks = append(ranks, *rank)
	}
	type environmentKey struct {
		id   Digest
		node string
	}
	i, again := f.place(environmentKey{e.ID, e.Node}, len(f.Environments))
	if !again {
		e.Ranks = nil
		f.Environments = append(f.Environments, e)
	}
	f.Environments[i].Ranks = sortedRanks(append(f.Environments[i].Ranks, ranks...))
}

// nodeSeen is a node that a rank stood on.
type nodeSeen struct {
	Node
	rank *int
}

// shareEnvironment keeps an environment that names no node: nodes refer to it by its id.
func (f *folding) shareEnvironment(e Environment) {
	if f.shared == nil {
		f.shared = map[Digest]int{}
	}
	if _, again := f.shared[e.ID]; !again {
		f.shared[e.ID] = len(f.sharedEnvs)
		f.sharedEnvs = append(f.sharedEnvs, e)
	}
}

// settleEnvironments gives each node the environment that it refers to, wherever in the order of documents that was described.
func (f *folding) settleEnvironments() {
	used := map[Digest]bool{}
	for _, n := range f.nodes {
		e := Environment{ID: n.Environment, Reasons: []Reason{{Code: "environment-missing", Text: "the document that describes this environment has not arrived"}}}
		if i, ok := f.shared[n.Environment]; ok {
			e, used[n.Environment] = f.sharedEnvs[i], true
		}
		e.Node, e.GPUs = n.Name, nameDevices(e.GPUs, n.GPUs)
		f.addEnvironment(e, n.rank)
	}
	for _, e := range f.sharedEnvs {
		if !used[e.ID] {
			f.addEnvironment(e, nil)
		}
	}
}

// nameDevices writes the uuid and pci of the very devices into the GPUs of a shared environment.
func nameDevices(gpus, devices []GPU) []GPU {
	out := slices.Clone(gpus)
	for i := range out {
		for _, d := range devices {
			if d.Index == out[i].Index {
				out[i].UUID, out[i].PCI = d.UUID, d.PCI
			}
		}
	}
	return out
}

func sortedRanks(ranks []int) []int {
	slices.Sort(ranks)
	return slices.Compact(ranks)
}
