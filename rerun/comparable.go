package rerun

import (
	"fmt"
	"slices"

	"github.com/runpin/runpin/schema"
)

// verdictPin is the question whether a rerun can be compared with the run at all.
const verdictPin = "verdict"

// incomparable says why no rerun can be compared with the run, whatever comes out of it, and what helps; "" where one may. It goes by the rules of [Rerunner.Judge].
func incomparable(run schema.Run, given Tolerances) (why, remedy string) {
	const finish = "say afterwards how it ended and what it wrote, with runpin finish"
	if !run.Status.Ended() {
		return fmt.Sprintf("the original did not end (it is %s), so a rerun can only be not-comparable", run.Status), finish
	}
	if len(run.Drift) > 0 {
		d := run.Drift[0]
		return fmt.Sprintf("%s changed while the original used it, so a rerun can only be not-comparable", schema.Shorten(d.Pin, 200)), "record the run again"
	}
	if len(run.Metrics) > 0 || run.MetricsFile != nil {
		return "", ""
	}
	j := judging{old: run, new: run, given: given}
	telling := func(o schema.Output) bool {
		return j.rule(o.Name).Mode != schema.CompareIgnore && (o.Missing || !o.Stale && o.Identity() != "") // what was missing and is there now is a difference
	}
	switch {
	case slices.ContainsFunc(run.Outputs, telling):
		return "", ""
	case len(run.Outputs) == 0 && len(run.DeclaredOutputs) == 0:
		why = "the original has neither an output nor a metric"
	case len(run.Outputs) == 0:
		why = "nobody reported what the original wrote, and it has no metric"
	default:
		why = "no output of the original can be compared (it is to be ignored, or was there before the run), and it has no metric"
	}
	return why + ", so a rerun that ends as it did can only be not-comparable", "name outputs and metrics when recording, with --output and --metrics, or afterwards with runpin finish"
}

// aboutVerdict says before anything runs that it could not be judged.
func aboutVerdict(run schema.Run, given Tolerances) (Question, bool) {
	why, remedy := incomparable(run, given)
	return told(schema.Availability{Pin: verdictPin, State: schema.StateUnknown, Reason: why, Remedy: remedy}), why != ""
}
