package schema

import (
	"cmp"
	"slices"
)

// imageKey is the place of an image in [folding.places].
type imageKey string

// observeImage lets a runtime's word confirm or complete a pin. Where it contradicts the pin the disagreement is drift: shown, never averaged.
func (f *folding) observeImage(seen ImagePin, at Time) {
	i, pinned := f.place(imageKey(seen.Name), len(f.Images))
	if !pinned {
		f.Images = append(f.Images, seen)
		return
	}
	p := &f.Images[i]
	if want, got, differs := imageContradiction(*p, seen); differs {
		f.addDrift(Drifted{Pin: "image:" + p.Name, Expected: Text(want), Found: Text(got), Text: "another image ran than the one that was pinned"}, at)
		return
	}
	p.complete(seen)
	if p.Use != Enforced {
		p.Use = Observed
	}
}

func (p *ImagePin) complete(seen ImagePin) {
	for _, pair := range []struct{ have, seen *Digest }{{&p.ConfigDigest, &seen.ConfigDigest}, {&p.FileDigest, &seen.FileDigest}} {
		if *pair.have == "" {
			*pair.have = *pair.seen
		}
	}
	if p.PlatformDigest == "" && seen.PlatformDigest != p.IndexDigest {
		p.PlatformDigest = seen.PlatformDigest
	}
	if p.Platform == "" {
		p.Platform = seen.Platform
	}
}

// imageContradiction compares like with like: config with config, file with file, platform with platform, index with index. A runtime often
// tells only one digest and not whether it is an index's: one that stands on the other side in the other place agrees.
func imageContradiction(p, seen ImagePin) (want, got Digest, differs bool) {
	for _, pair := range [][2]Digest{{p.ConfigDigest, seen.ConfigDigest}, {p.FileDigest, seen.FileDigest}} {
		if pair[0] != "" && pair[1] != "" {
			return pair[0], pair[1], pair[0] != pair[1]
		}
	}
	crossed := p.PlatformDigest != "" && p.PlatformDigest == seen.IndexDigest || p.IndexDigest != "" && p.IndexDigest == seen.PlatformDigest
	if crossed {
		return "", "", false
	}
	for _, pair := range [][2]Digest{{p.PlatformDigest, seen.PlatformDigest}, {p.IndexDigest, seen.IndexDigest}} {
		if pair[0] != "" && pair[1] != "" {
			return pair[0], pair[1], pair[0] != pair[1]
		}
	}
	return "", "", false
}

// settleOutputs applies outputs and metrics in their order of weight: those of ranks, by attempt and then by id, and then those of the run as a whole. A later
// output of the same name and rank stands in for an earlier one. A metric is the run's: a lower rank's word stands over a higher one's.
func (f *folding) settleOutputs() {
	slices.SortFunc(f.outputs, func(a, b statement[*Document]) int {
		return cmp.Or(cmp.Compare(speaks(a.try), speaks(b.try)), f.compareTries(a.try, b.try), cmp.Compare(a.id, b.id))
	})
	for _, s := range f.outputs {
		f.applyOutput(s.said)
	}
}

// speaks orders the words of ranks before those of the run as a whole.
func speaks(t try) int {
	if t.rank == noRank {
		return 1
	}
	return 0
}

func (f *folding) applyOutput(d *Document) {
	rank := max(rankOrNone(d.Reporter.Rank), 0)
	for _, o := range d.Output.Outputs {
		if o.Rank == nil && rank > 0 {
			o.Rank = d.Reporter.Rank // rank 0 owns what is not marked
		}
		f.putOutput(o)
	}
	for k, v := range d.Output.Metrics {
		if f.Metrics == nil {
			f.Metrics, f.metricRanks = map[string]Text{}, map[string]int{}
		}
		if owner, told := f.metricRanks[k]; !told || rank <= owner {
			f.Metrics[k], f.metricRanks[k] = v, rank
		}
	}
}

func (f *folding) putOutput(o Output) {
	type outputKey struct {
		name string
		rank int
	}
	i, again := f.place(outputKey{o.Name, rankOrNone(o.Rank)}, len(f.Outputs))
	if again {
		f.Outputs[i] = o
	} else {
		f.Outputs = append(f.Outputs, o)
	}
}
