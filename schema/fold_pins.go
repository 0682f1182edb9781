package schema

import (
	"cmp"
	"slices"
	"strings"
)

// imageKey is the place of an image in [folding.places].
type imageKey string

// observeImage lets a runtime's word confirm or complete a pin. Where it contradicts the pin the disagreement is drift: shown, never averaged.
func (f *folding) observeImage(seen ImagePin, at Time) {
	i, pinned := f.place(imageKey(seen.Name), len(f.Images))
	if !pinned {
		f.Images = append(f.Images, seen)
		if seen.PlatformDigest != "" {
			f.noteRan(seen.Name, seen)
		}
		return
	}
	p := &f.Images[i]
	switch want, got, differs := imageContradiction(*p, seen); {
	case otherPlatform(*p, seen):
		f.noteRan(p.Name, seen)
	case differs:
		f.addDrift(Drifted{Pin: "image:" + p.Name, Expected: Text(want), Found: Text(got), Text: "another image ran than the one that was pinned"}, at)
		return
	default:
		p.complete(seen)
		if p.PlatformDigest != "" && p.PlatformDigest == seen.PlatformDigest || p.ConfigDigest != "" && p.ConfigDigest == seen.ConfigDigest {
			f.noteRan(p.Name, *p)
		}
	}
	if p.Use != Enforced {
		p.Use = Observed
	}
}

// otherPlatform reports whether what ran is another image of the index that was pinned: a node takes the one of its own kind.
func otherPlatform(p, seen ImagePin) bool {
	return p.IndexDigest != "" && p.IndexDigest == seen.IndexDigest && p.PlatformDigest != "" && seen.PlatformDigest != "" && seen.PlatformDigest != p.PlatformDigest &&
		seen.PlatformDigest != p.IndexDigest && (p.ConfigDigest == "" || p.ConfigDigest != seen.ConfigDigest)
}

// noteRan remembers the image of one platform that a pin's index was on some node.
func (f *folding) noteRan(name string, one ImagePin) {
	if f.ran == nil {
		f.ran = map[string][]ImagePin{}
	}
	if !slices.ContainsFunc(f.ran[name], func(known ImagePin) bool { return known.PlatformDigest == one.PlatformDigest }) {
		f.ran[name] = append(f.ran[name], one)
	}
}

// settlePlatforms: a pin is of the platform that ran, whatever was planned, and of none where several did. What was sealed before that was known is sealed again.
func (f *folding) settlePlatforms() {
	for i := range f.Images {
		p := &f.Images[i]
		ran := f.ran[p.Name]
		if len(ran) == 0 || len(ran) == 1 && ran[0].PlatformDigest == p.PlatformDigest {
			continue
		}
		f.resealed = true
		var names []string
		for _, one := range ran {
			names = append(names, cmp.Or(one.Platform, string(one.PlatformDigest)))
		}
		slices.Sort(names)
		said := Reason{Code: "several-platforms", Subject: Text(p.IndexDigest), Text: "several platforms of the pinned index ran: " + strings.Join(names, ", ")}
		if len(ran) == 1 {
			said = Reason{Code: "other-platform", Subject: Text(p.IndexDigest), Text: names[0] + " of the pinned index ran, and not " + cmp.Or(p.Platform, string(p.PlatformDigest))}
		} else {
			ran = []ImagePin{{}}
		}
		p.PlatformDigest, p.Platform, p.ConfigDigest = ran[0].PlatformDigest, ran[0].Platform, ran[0].ConfigDigest
		p.Reasons = append(slices.Clip(p.Reasons), said)
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
