package rerun

import (
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// metrics compares those of both runs, by name.
func (j *judging) metrics() []schema.MetricComparison {
	names := map[string]bool{}
	for _, r := range j.sides() {
		for name := range r.run.Metrics {
			names[name] = true
		}
	}
	var all []schema.MetricComparison
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, j.metric(name))
	}
	return all
}

func (j *judging) metric(name string) schema.MetricComparison {
	want, had := j.old.Metrics[name]
	got, has := j.new.Metrics[name]
	c := schema.MetricComparison{Name: name, Want: want, Got: got, Result: schema.Differs}
	tolerance, given, err := j.tolerance(name)
	if given && err == nil {
		c.Tolerance = schema.Text(tolerance.String())
	}
	switch {
	case !has:
		c.Reason = "the rerun has no such metric" + unreadMetrics(j.new)
		return c
	case !had:
		c.Reason = "the original has no such metric" + unreadMetrics(j.old)
		return c
	case want == got:
		c.Result = schema.Identical
		return c
	}
	c.Delta = schema.Delta(want, got)
	c.Reason = sentence(string(got) + " instead of " + string(want))
	switch {
	case err != nil:
		c.Result, c.Reason = schema.CannotBeCompared, "its tolerance is not one that this version of runpin understands"
	case given && tolerance.Within(want, got):
		c.Result = schema.Equivalent
		c.Reason += ", within the tolerance " + tolerance.String()
	case given:
		c.Reason += ", beyond the tolerance " + tolerance.String()
	case schema.Tolerance{}.Within(want, got):
		c.Reason += ": the same number, written differently; with a tolerance of 0 that is equivalent"
	}
	return c
}

// unreadMetrics says why a run has no metrics, where its record knows.
func unreadMetrics(r schema.Run) string {
	for _, reason := range r.Reasons {
		if strings.HasPrefix(reason.Code, "metrics-") && len(r.Metrics) == 0 {
			return ": " + string(reason.Subject) + ": " + reason.Text
		}
	}
	return ""
}
