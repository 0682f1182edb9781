package main

import (
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// shownFiles and shownSuspects are how many a person sees; --json has all that the verdict holds.
const (
	shownFiles    = 10
	shownSuspects = 5
)

func (e *Env) verdictColor(r schema.Result) string {
	return map[schema.Result]string{schema.Identical: green, schema.Equivalent: green, schema.Differs: red, schema.CannotBeCompared: yellow}[r]
}

// showVerdict tells a person on stderr how the rerun went; stdout has the new run's id.
func (e *Env) showVerdict(run schema.Run, v schema.Verdict) {
	text := "verdict: " + e.paint(e.Err, e.verdictColor(v.Result), string(v.Result))
	if v.Cause != "" {
		text += ": " + v.Cause
	}
	e.say("%s", text)
	for _, line := range verdictLines(v) {
		e.say("  %s", line)
	}
	for _, r := range run.Relaxed {
		e.say("  relaxed: %s %s", r.Subject, r.Text)
	}
}

// showVerdictOf prints the verdict of a run, and what it rests on.
func (e *Env) showVerdictOf(run schema.Run) {
	v := *run.Verdict
	text := e.paint(e.Out, e.verdictColor(v.Result), string(v.Result)) + " to " + v.Against.Short()
	if v.Cause != "" {
		text += ": " + v.Cause
	}
	e.field("verdict", "%s", text)
	for _, line := range verdictLines(v) {
		e.field("", "  %s", line)
	}
}

// verdictLines says what was compared, how it came out, and what could explain it.
func verdictLines(v schema.Verdict) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, o := range v.Outputs {
		line := fmt.Sprintf("output %s: %s", outputText(o.Name, o.Rank), o.Result)
		if o.Result == schema.Identical {
			line += " " + o.Want.Short()
		} else {
			if o.Want != "" && o.Got != "" {
				line += fmt.Sprintf(" (%s, was %s)", o.Got.Short(), o.Want.Short())
			}
			if o.Reason != "" {
				line += ": " + o.Reason
			}
		}
		add("%s", line)
		for i, f := range o.Files {
			if i == shownFiles {
				add("  … and %d more", len(o.Files)-i+o.More)
				break
			}
			add("  %s %s", f.Change, f.Name)
		}
	}
	for _, m := range v.Metrics {
		switch line := fmt.Sprintf("metric %s: %s", m.Name, m.Result); {
		case m.Result == schema.Identical:
			add("%s %s", line, m.Got)
		case m.Delta != "":
			add("%s: %s (%s)", line, m.Reason, m.Delta)
		default:
			add("%s: %s", line, m.Reason)
		}
	}
	if v.Unlisted > 0 {
		add("… and %d more metrics", v.Unlisted)
	}
	if len(v.Ignored) > 0 {
		add("ignored: %s", strings.Join(v.Ignored, ", "))
	}
	for i, d := range v.Suspects {
		if len(v.Suspects) == 1 && v.Result != schema.Identical {
			break // it stands in the cause
		}
		if i == shownSuspects {
			add("… and %d more: `runpin diff` lists them", len(v.Suspects)-i+v.More)
			break
		}
		add("suspect: %s", d.Text)
	}
	return lines
}

func outputText(name string, rank *int) string {
	if rank != nil {
		return fmt.Sprintf("%s of rank %d", name, *rank)
	}
	return name
}

// comparedBy says how an output is compared with a rerun's, where that was said.
func comparedBy(rule schema.CompareRule) string {
	switch rule.Mode {
	case "":
		return ""
	case schema.CompareTolerance:
		if rule.Tolerance == "" {
			return ", compared by its numbers"
		}
		return ", compared by its numbers ±" + string(rule.Tolerance)
	case schema.CompareCommand:
		return ", compared by: " + shellWords(schema.Strings(rule.Command))
	case schema.CompareIgnore:
		return ", not compared"
	}
	return ", compared: " + rule.Mode
}

// verdictStatus gives the exit code of a verdict.
func verdictStatus(v schema.Verdict) error {
	switch v.Result {
	case schema.Differs:
		return &statusOnly{exitDifferent}
	case schema.CannotBeCompared:
		return &statusOnly{exitNotComparable}
	}
	return nil
}
