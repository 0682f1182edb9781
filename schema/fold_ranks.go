package schema

import "slices"

// What ranks tell of their tries and of the nodes that they stand on.

// addAttempt keeps one entry for each try of each rank: several reporters may tell of its begin and its end.
func (f *folding) addAttempt(a Attempt) {
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

// settleAttempts brings together what a pod says of its try, which it cannot count, and what the cluster says of it, which does: where one number alone is known of a try, the
// two are one.
func (f *folding) settleAttempts() {
	type tryName struct {
		rank int
		id   string
	}
	counted := map[tryName][]int{}
	for i, a := range f.Attempts {
		if a.Number > 0 && a.ID != "" {
			name := tryName{rankOrNone(a.Rank), a.ID}
			counted[name] = append(counted[name], i)
		}
	}
	var kept []Attempt
	merged := map[int]Attempt{}
	for i, a := range f.Attempts {
		if same := counted[tryName{rankOrNone(a.Rank), a.ID}]; a.Number == 0 && len(same) == 1 {
			merged[same[0]] = f.Attempts[i]
		}
	}
	for i, a := range f.Attempts {
		if a.Number == 0 && len(counted[tryName{rankOrNone(a.Rank), a.ID}]) == 1 {
			continue
		}
		if told, ok := merged[i]; ok {
			own := a
			a.complete(told)
			if own.ExitCode != nil {
				a.ExitCode = own.ExitCode // the cluster's word on how it ended
			}
		}
		kept = append(kept, a)
	}
	f.Attempts = kept
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
