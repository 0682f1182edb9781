package rerun

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Tolerances say how far a metric may be off: by name, absolute or relative. A metric without one must be equal as text.
type Tolerances struct {
	Metrics map[string]Tolerance
}

// Tolerance is the largest accepted difference, absolute, or as a share of the original value.
type Tolerance struct {
	Absolute float64
	Relative float64
}

// ParseTolerance reads "1e-3" (absolute) or "1%" (relative).
func ParseTolerance(s string) (Tolerance, error) {
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return Tolerance{}, &schema.Error{Op: "rerun.tolerance", Kind: schema.Invalid, Subject: strconv.Quote(schema.Shorten(s, 80)), Err: fmt.Errorf("not a tolerance"), Hint: "write --tolerance loss=1e-3 or --tolerance loss=1%"}
	}
	if percent {
		return Tolerance{Relative: v / 100}, nil
	}
	return Tolerance{Absolute: v}, nil
}

// Judge compares the outcome of a rerun with its original. It looks at the two records only. Identical needs every output equal bit for bit and every metric
// equal as text; equivalent needs a tolerance for what is not; a run without outputs and metrics cannot be compared.
func Judge(old, new schema.Run, tol Tolerances) schema.Verdict {
	v := schema.Verdict{Against: old.ID}
	if old.Fingerprint != "" && new.Fingerprint != "" {
		same := old.Fingerprint == new.Fingerprint
		v.SameInputs = &same
	}
	cannot := func(format string, args ...any) schema.Verdict {
		v.Result, v.Cause = schema.CannotBeCompared, fmt.Sprintf(format, args...)
		return v
	}
	if !old.Status.Ended() {
		return cannot("the original did not end: it is %s", old.Status)
	}
	if !new.Status.Ended() {
		return cannot("the rerun did not end: it is %s", new.Status)
	}
	v.Outputs = compareOutputs(old, new)
	v.Metrics = compareMetrics(old, new, tol)
	for _, side := range []struct {
		who string
		run schema.Run
	}{{"the original", old}, {"the rerun", new}} {
		for _, d := range side.run.Drift {
			return cannot("%s changed while %s used it: %s", d.Pin, side.who, d.Text)
		}
	}
	if code(old) != code(new) {
		v.Result, v.Cause = schema.Differs, fmt.Sprintf("the command ended with exit code %d; the original ended with %d", code(new), code(old))
		return v
	}
	counts := map[schema.Result]int{}
	for _, o := range v.Outputs {
		counts[o.Result]++
	}
	metrics := map[schema.Result]int{}
	for _, m := range v.Metrics {
		metrics[m.Result]++
	}
	switch {
	case counts[schema.Differs] == 0 && metrics[schema.Differs] == 0 && metrics[schema.Equivalent] == 0:
		if counts[schema.CannotBeCompared]+metrics[schema.CannotBeCompared] > 0 {
			return cannot("%s", firstReason(v))
		}
		if counts[schema.Identical]+metrics[schema.Identical] == 0 {
			return cannot("neither run declared an output or a metric")
		}
		v.Result = schema.Identical
	case tolerated(v.Metrics, tol) && metrics[schema.Differs] == 0 && allWritten(v.Outputs):
		v.Result, v.Cause = schema.Equivalent, "the metrics agree within the tolerance that was given"
	default:
		v.Result, v.Cause = schema.Differs, cause(old, new, v)
	}
	return v
}

// tolerated reports whether a tolerance that was given covers one of the metrics: only then can the metrics speak for outputs that differ.
func tolerated(metrics []schema.MetricComparison, tol Tolerances) bool {
	return slices.ContainsFunc(metrics, func(m schema.MetricComparison) bool { _, given := tol.Metrics[m.Name]; return given })
}

// allWritten reports whether both runs wrote every output: what is missing is no matter of tolerance.
func allWritten(outputs []schema.OutputComparison) bool {
	return !slices.ContainsFunc(outputs, func(o schema.OutputComparison) bool {
		return o.Result != schema.Identical && (o.Want == "" || o.Got == "")
	})
}

func code(r schema.Run) int {
	if r.ExitCode == nil {
		return -1
	}
	return *r.ExitCode
}

func compareOutputs(old, new schema.Run) []schema.OutputComparison {
	byName := map[string]schema.Output{}
	for _, o := range new.Outputs {
		byName[o.Name] = o
	}
	var out []schema.OutputComparison
	for _, o := range old.Outputs {
		n, found := byName[o.Name]
		delete(byName, o.Name)
		if o.Compare == "ignore" {
			continue
		}
		out = append(out, compareOutput(o, n, found))
	}
	for _, n := range new.Outputs {
		if _, extra := byName[n.Name]; extra && n.Compare != "ignore" {
			out = append(out, schema.OutputComparison{Name: n.Name, Result: schema.Differs, Got: n.Identity(), Reason: "the original has no such output"})
		}
	}
	return out
}

func compareOutput(o, n schema.Output, found bool) schema.OutputComparison {
	c := schema.OutputComparison{Name: o.Name, Want: o.Identity(), Got: n.Identity()}
	switch {
	case !found:
		c.Result, c.Reason = schema.Differs, "the rerun has no such output"
	case o.Stale:
		c.Result, c.Reason = schema.CannotBeCompared, "the original did not write it: it was there before"
	case n.Stale:
		c.Result, c.Reason = schema.CannotBeCompared, "the rerun did not write it: it was there before"
	case o.Missing && n.Missing:
		c.Result, c.Reason = schema.CannotBeCompared, "neither run wrote it"
	case o.Missing:
		c.Result, c.Reason = schema.Differs, "the original did not write it"
	case n.Missing:
		c.Result, c.Reason = schema.Differs, "the rerun did not write it"
	case c.Want == "" || c.Got == "":
		c.Result, c.Reason = schema.CannotBeCompared, "its digest is not known"
	case c.Want != c.Got:
		c.Result, c.Reason = schema.Differs, "its content differs"
	case o.SidecarDigest != n.SidecarDigest:
		c.Result, c.Reason = schema.Differs, "the content is equal; links, empty directories or executable bits differ"
	default:
		c.Result = schema.Identical
	}
	return c
}

func compareMetrics(old, new schema.Run, tol Tolerances) []schema.MetricComparison {
	var names []string
	for name := range old.Metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []schema.MetricComparison
	for _, name := range names {
		want := old.Metrics[name]
		got, found := new.Metrics[name]
		c := schema.MetricComparison{Name: name, Want: want, Got: got}
		t, tolerated := tol.Metrics[name]
		switch {
		case !found:
			c.Result, c.Reason = schema.Differs, "the rerun has no such metric"
		case want == got:
			c.Result = schema.Identical
		case tolerated && within(string(want), string(got), t):
			c.Result = schema.Equivalent
		default:
			c.Result, c.Reason = schema.Differs, "its value differs"
		}
		out = append(out, c)
	}
	for _, name := range slices.Sorted(maps.Keys(new.Metrics)) {
		if _, known := old.Metrics[name]; !known {
			out = append(out, schema.MetricComparison{Name: name, Result: schema.Differs, Got: new.Metrics[name], Reason: "the original has no such metric"})
		}
	}
	return out
}

func within(want, got string, t Tolerance) bool {
	a, errA := strconv.ParseFloat(want, 64)
	b, errB := strconv.ParseFloat(got, 64)
	if errA != nil || errB != nil {
		return false
	}
	if math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	return math.Abs(a-b) <= max(t.Absolute, t.Relative*math.Abs(a))
}

func firstReason(v schema.Verdict) string {
	for _, o := range v.Outputs {
		if o.Result == schema.CannotBeCompared {
			return "output " + o.Name + ": " + o.Reason
		}
	}
	return "there is nothing to compare"
}

// cause names the first thing that explains a different result: a relaxation by the user, drift, an input, the machine, or the program itself.
func cause(old, new schema.Run, v schema.Verdict) string {
	if len(new.Relaxed) > 0 && new.Relaxed[0].Code == "set" {
		return fmt.Sprintf("%s was %s", new.Relaxed[0].Subject, new.Relaxed[0].Text)
	}
	what := "the metrics differ"
	for _, o := range v.Outputs {
		if o.Result == schema.Differs {
			what = "output " + o.Name + ": " + o.Reason
			break
		}
	}
	if c, err := schema.Compare(old, new, nil); err == nil {
		for _, d := range c.Differences {
			if d.Class == schema.ClassMust && d.Subject != "outputs" && d.Subject != "metrics" {
				return what + "; the first difference between the runs: " + d.Text
			}
		}
	}
	for _, o := range old.Outputs {
		for _, r := range o.Reasons {
			if r.Code == "existed-before" {
				return what + "; output " + o.Name + " existed before the original ran, which may have read it"
			}
		}
	}
	for _, r := range old.Reasons {
		if r.Code == "code-edited" || r.Code == "stdin-unrecorded" {
			return what + "; of the original it is known that " + r.Text
		}
	}
	if v.SameInputs != nil && *v.SameInputs {
		return what + " although all recorded inputs are the same: the program is not deterministic, or it depends on something that is not recorded"
	}
	return what
}
