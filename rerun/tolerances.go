package rerun

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Tolerances say how results are compared, by the name of a metric or an output. What is given here stands over what the records say. A metric without a
// tolerance must be equal as text, an output without a rule bit for bit.
type Tolerances struct {
	Metrics map[string]Tolerance
	Outputs map[string]schema.CompareRule
}

// Tolerance is the largest accepted difference.
type Tolerance = schema.Tolerance

// ParseTolerance reads "1e-3" (an amount) or "1%" (a share of the original's value).
func ParseTolerance(s string) (Tolerance, error) { return schema.ParseTolerance(s) }

// Check refuses names that none of the runs has: a misspelt one would compare something else than the user means.
func (t Tolerances) Check(runs ...schema.Run) error {
	metrics, outputs := map[string]bool{}, map[string]bool{}
	for _, r := range runs {
		for name := range r.Metrics {
			metrics[name] = true
		}
		for name := range r.Tolerances {
			metrics[name] = true
		}
		for _, o := range slices.Concat(r.Outputs, r.DeclaredOutputs) {
			outputs[o.Name] = true
		}
	}
	var failures []error
	refuse := func(flag, name, what string, known map[string]bool) {
		if !known[name] {
			hint := "the run has no " + what
			if len(known) > 0 {
				hint = what + "s: " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
			}
			failures = append(failures, &schema.Error{Op: "rerun.tolerance", Kind: schema.Invalid, Subject: "--" + flag + " " + name, Err: fmt.Errorf("there is no %s of that name", what), Hint: hint})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Metrics)) {
		refuse("tolerance", name, "metric", metrics)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Outputs)) {
		refuse("compare", name, "output", outputs)
	}
	return errors.Join(failures...)
}

// carry puts how the original's results are compared, and what the user says now, into the plan of the rerun.
func (t Tolerances) carry(p *Prepared) {
	p.Tolerances = copyTexts(p.Of.Tolerances)
	for name, tolerance := range t.Metrics {
		if p.Tolerances == nil {
			p.Tolerances = map[string]schema.Text{}
		}
		p.Tolerances[name] = schema.Text(tolerance.String())
	}
	for i := range p.Outputs {
		if rule, given := t.Outputs[p.Outputs[i].Name]; given {
			p.Outputs[i].SetCompareRule(rule)
		}
	}
}

// said gives the runs in the order in which their word on how to compare counts: a rerun's plan holds what the user said when starting it.
func (j *judging) said() []schema.Run {
	if j.new.RerunOf == j.old.ID {
		return []schema.Run{j.new, j.old}
	}
	return []schema.Run{j.old, j.new}
}

// tolerance gives that of a metric, if there is one.
func (j *judging) tolerance(metric string) (t Tolerance, given bool, err error) {
	if t, given = j.given.Metrics[metric]; given {
		return t, true, nil
	}
	for _, run := range j.said() {
		if text := run.Tolerances[metric]; text != "" {
			t, err = schema.ParseTolerance(string(text))
			return t, true, err
		}
	}
	return t, false, nil
}

// rule gives how an output is compared. What reports a run's outputs later need not repeat what its plan says.
func (j *judging) rule(output string) schema.CompareRule {
	if rule, given := j.given.Outputs[output]; given {
		return rule
	}
	for _, run := range j.said() {
		for _, o := range slices.Concat(run.Outputs, run.DeclaredOutputs) {
			if o.Name == output && cmp.Or(o.Compare, string(o.Tolerance)) != "" {
				return o.CompareRule()
			}
		}
	}
	return schema.CompareRule{}
}
