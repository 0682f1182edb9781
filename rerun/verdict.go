package rerun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Evidence is what may be looked at beside the two records when runs are judged. With the zero value nothing else is.
type Evidence struct {
	Blobs    schema.BlobSource // manifests of outputs and lists of packages
	Files    bool              // the outputs themselves, where the records say they lie, once their digests are proved
	Hasher   OutputHasher      // proves those that are directories
	Commands CompareRunner     // runs the compare commands that the user gives; nil: none is run
	Recorded bool              // also those that the records name
	Dir      string            // where they run
}

// Judge compares the outcome of a rerun with its original by the two records alone: [JudgeWith] without evidence.
func Judge(old, new schema.Run, given Tolerances) schema.Verdict {
	v, _ := JudgeWith(context.Background(), old, new, given, Evidence{})
	return v
}

// JudgeWith compares the outcome of a rerun with its original. Identical needs every output equal bit for bit and every metric equal as text; equivalent needs a
// tolerance, or a compare command, for what is not; a run without outputs and metrics cannot be compared. It fails only when ctx ends.
func JudgeWith(ctx context.Context, old, new schema.Run, given Tolerances, evidence Evidence) (schema.Verdict, error) {
	j := &judging{ctx: ctx, old: old, new: new, given: given, evidence: evidence}
	v := j.judge()
	if ctx.Err() != nil {
		return schema.Verdict{}, &schema.Error{Op: "rerun.verdict", Kind: schema.Interrupted, Subject: "run " + new.ID.Short(), Err: errors.New("interrupted while its results were compared; there is no verdict"),
			Hint: "`runpin verify " + new.ID.Short() + "` compares them"}
	}
	v.Cause = sentence(v.Cause)
	if n := len(v.Metrics); n > maxMetrics { // a verdict has to fit into a document
		v.Metrics = slices.DeleteFunc(v.Metrics, func(m schema.MetricComparison) bool { return m.Result == schema.Identical })
		v.Metrics = v.Metrics[:min(len(v.Metrics), maxMetrics)]
		v.Unlisted = n - len(v.Metrics)
	}
	return v, nil
}

// JudgeOptions say how far a judgement may go.
type JudgeOptions struct {
	Commands bool   // run the compare commands that the records name: the user asked for something to be executed
	Dir      string // where they run; "" for the current directory
}

// Judge is [JudgeWith] the store's blobs, the outputs where they lie and, if that is wanted, the compare commands.
func (r *Rerunner) Judge(ctx context.Context, old, new schema.Run, given Tolerances, options JudgeOptions) (schema.Verdict, error) {
	return JudgeWith(ctx, old, new, given, Evidence{Blobs: r.Blobs, Files: true, Hasher: r.Outputs, Commands: r.Compare, Recorded: options.Commands, Dir: options.Dir})
}

// maxMetrics bounds the metrics that a verdict lists.
const maxMetrics = 5000

// judging is one comparison under way.
type judging struct {
	ctx      context.Context
	old, new schema.Run
	given    Tolerances
	evidence Evidence
	alike    map[string]bool // outputs that differ in nothing but the content of files that both have
	listed   int             // bytes of the names of files that the verdict lists
}

func (j *judging) judge() schema.Verdict {
	v := schema.Verdict{Against: j.old.ID}
	if j.old.Fingerprint != "" && j.new.Fingerprint != "" {
		same := j.old.Fingerprint == j.new.Fingerprint
		v.SameInputs = &same
	}
	cannot := func(format string, args ...any) schema.Verdict {
		v.Result, v.Cause = schema.CannotBeCompared, fmt.Sprintf(format, args...)
		return v
	}
	for _, side := range j.sides() {
		if !side.run.Status.Ended() {
			return cannot("%s did not end: it is %s", side.who, side.run.Status)
		}
	}
	v.Outputs, v.Ignored = j.outputs()
	v.Metrics = j.metrics()
	for _, side := range j.sides() {
		for _, d := range side.run.Drift {
			return cannot("%s changed while %s used it: %s", d.Pin, side.who, d.Text)
		}
	}
	if ends := [2]string{ending(j.old), ending(j.new)}; ends[0] != ends[1] {
		v.Result, v.Cause = schema.Differs, fmt.Sprintf("the rerun %s; the original %s", ends[1], ends[0])
		v.Cause += "; " + j.explain(&v)
		return v
	}
	t := tallyOf(v, j.alike)
	switch {
	case len(t.different) > 0:
		v.Result, v.Cause = schema.Differs, firstOf(t.different)
		v.Cause += "; " + j.explain(&v)
	case len(t.unknown) > 0:
		return cannot("%s", firstOf(t.unknown))
	case len(t.spoken) > 0 && len(t.near) == 0:
		v.Result, v.Cause = schema.Equivalent, "the metrics are the same, and have a tolerance: they speak for what differs: "+firstOf(t.spoken)
		v.Cause += "; " + j.explain(&v)
	case len(t.near) > 0:
		v.Result, v.Cause = schema.Equivalent, firstOf(t.near)
		if len(t.spoken) > 0 {
			v.Cause += "; the metrics speak for what differs: " + firstOf(t.spoken)
		}
		v.Cause += "; " + j.explain(&v)
	case t.identical > 0:
		v.Result = schema.Identical
	case len(v.Ignored) > 0:
		return cannot("there is nothing to compare: output %s is not to be compared, and there are no metrics", strings.Join(v.Ignored, ", "))
	default:
		return cannot("neither run recorded an output or a metric: name them when recording, with --output and --metrics, or afterwards with `runpin finish`")
	}
	return v
}

type side struct {
	who string
	run schema.Run
}

func (j *judging) sides() [2]side {
	return [2]side{{"the original", j.old}, {"the rerun", j.new}}
}

// ending says how a run ended, the same for runs that ended the same.
func ending(r schema.Run) string {
	switch {
	case r.ExitCode == nil && r.Status == schema.Failed && r.Why != "":
		return "failed: " + r.Why
	case r.ExitCode == nil || r.Status == schema.Failed && *r.ExitCode == 0:
		return string(r.Status)
	default:
		return fmt.Sprintf("ended with exit code %d", *r.ExitCode)
	}
}

// tally sorts what was compared by how it came out.
type tally struct {
	identical                int
	near, different, unknown []string
	spoken                   []string // outputs that differ and for which metrics speak
}

func tallyOf(v schema.Verdict, alike map[string]bool) tally {
	var t tally
	put := func(result schema.Result, text string) {
		switch result {
		case schema.Identical:
			t.identical++
		case schema.Equivalent:
			t.near = append(t.near, text)
		case schema.Differs:
			t.different = append(t.different, text)
		default:
			t.unknown = append(t.unknown, text)
		}
	}
	speak := metricsSpeak(v.Metrics)
	for _, o := range v.Outputs {
		text := "output " + outputName(o.Name, o.Rank) + ": " + o.Reason
		// Weights are hardly ever equal to the bit. Where nothing was said about the output itself, metrics with a tolerance speak for the content of its files, if
		// both runs wrote them.
		if speak && o.Result == schema.Differs && o.Compare == "" && alike[outputName(o.Name, o.Rank)] {
			t.spoken = append(t.spoken, text)
			continue
		}
		put(o.Result, text)
	}
	for _, m := range v.Metrics {
		put(m.Result, "metric "+m.Name+": "+m.Reason)
	}
	return t
}

// metricsSpeak reports whether the metrics can speak for outputs that differ: one of them has a tolerance, and all agree.
func metricsSpeak(metrics []schema.MetricComparison) bool {
	return slices.ContainsFunc(metrics, func(m schema.MetricComparison) bool { return m.Tolerance != "" }) &&
		!slices.ContainsFunc(metrics, func(m schema.MetricComparison) bool {
			return m.Result == schema.Differs || m.Result == schema.CannotBeCompared
		})
}

func outputName(name string, rank *int) string {
	if rank != nil {
		return fmt.Sprintf("%s of rank %d", name, *rank)
	}
	return name
}

func firstOf(texts []string) string {
	switch n := len(texts) - 1; n {
	case 0:
		return texts[0]
	case 1:
		return texts[0] + " (and one more)"
	default:
		return fmt.Sprintf("%s (and %d more)", texts[0], n)
	}
}

// maxSentence bounds a sentence of a verdict: names in it come from records and repositories.
const maxSentence = 2000

func sentence(s string) string {
	return schema.Shorten(strings.ToValidUTF8(s, "\ufffd"), maxSentence)
}
