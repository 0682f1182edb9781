package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// compareUsage is what --compare takes, in the help of each verb that has it.
const compareUsage = "`OUTPUT=MODE`, where MODE is exact, ignore, tolerance[:1e-3|:1%] (its numbers may be off) or 'command:CMD {original} {rerun}' (exit 0 equivalent, 1 different)"

// readTolerances reads --tolerance and --compare.
func readTolerances(c *cli.Context) (rerun.Tolerances, error) {
	given := rerun.Tolerances{Metrics: map[string]rerun.Tolerance{}, Outputs: map[string]schema.CompareRule{}}
	metrics, err := keyValues("tolerance", c.StringSlice("tolerance"))
	if err != nil {
		return given, err
	}
	rules, err := keyValues("compare", c.StringSlice("compare"))
	if err != nil {
		return given, err
	}
	for _, name := range sortedKeys(metrics) {
		if given.Metrics[name], err = rerun.ParseTolerance(metrics[name]); err != nil {
			return given, fmt.Errorf("--tolerance %s: %w", name, err)
		}
	}
	for _, name := range sortedKeys(rules) {
		if given.Outputs[name], err = parseCompareRule(rules[name]); err != nil {
			return given, fmt.Errorf("--compare %s: %w", name, err)
		}
	}
	return given, nil
}

// recordCompare takes how results are to be compared from the flags, and where they say nothing from runpin.yaml, whose commands are not taken: a repository
// that was cloned must not decide what is executed (DESIGN §3.11).
func recordCompare(env *Env, c *cli.Context, settings Settings, req *recorder.Request) error {
	given, err := readTolerances(c)
	if err != nil {
		return err
	}
	var failures []error
	req.Tolerances, req.Compare = map[string]schema.Text{}, given.Outputs
	for name, t := range given.Metrics {
		req.Tolerances[name] = schema.Text(t.String())
	}
	for _, name := range sortedKeys(settings.Tolerance) {
		if _, told := req.Tolerances[name]; told {
			continue
		}
		t, err := rerun.ParseTolerance(settings.Tolerance[name])
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: tolerance of %s: %w", settings.path, name, err))
		}
		req.Tolerances[name] = schema.Text(t.String())
	}
	for _, name := range sortedKeys(settings.Compare) {
		if _, told := req.Compare[name]; told {
			continue
		}
		rule, err := parseCompareRule(settings.Compare[name])
		switch {
		case err != nil:
			failures = append(failures, fmt.Errorf("%s: compare of %s: %w", settings.path, name, err))
		case rule.Mode == schema.CompareCommand:
			env.warn("%s: the compare command of output %s is ignored: a file in a repository cannot name what is executed; give it with --compare", settings.path, name)
		default:
			req.Compare[name] = rule
		}
	}
	for name := range req.Tolerances {
		if name == "" || len(name) > 1024 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			failures = append(failures, usageError("", "%q is no name of a metric", schema.Shorten(name, 80)))
		}
	}
	if len(req.Tolerances) == 0 {
		req.Tolerances = nil
	}
	return errors.Join(failures...)
}

// parseCompareRule reads exact, ignore, tolerance[:T] or command:CMD.
func parseCompareRule(s string) (rule schema.CompareRule, err error) {
	mode, rest, more := strings.Cut(s, ":")
	rule.Mode = mode
	switch {
	case mode == schema.CompareTolerance && more:
		t, err := rerun.ParseTolerance(rest)
		rule.Tolerance = schema.Text(t.String())
		return rule, err
	case mode == schema.CompareCommand && more:
		rule.Command, err = compareCommand(rest)
		return rule, err
	case (mode == schema.CompareExact || mode == schema.CompareIgnore || mode == schema.CompareTolerance) && !more:
		return rule, nil
	}
	return rule, usageError("one of exact, ignore, tolerance, tolerance:1e-3, tolerance:1%, 'command:CMD {original} {rerun}'", "%q is no way to compare an output", schema.Shorten(s, 80))
}

// compareCommand splits a command into words. Both paths follow it where it does not say where they go.
func compareCommand(s string) ([]schema.Text, error) {
	words, err := splitWords(s)
	if err != nil || len(words) == 0 {
		return nil, usageError("'command:CMD {original} {rerun}'", "the command to compare with cannot be read: %q", schema.Shorten(s, 80))
	}
	names := func(place string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, place) })
	}
	switch original, again := names("{original}"), names("{rerun}"); {
	case !original && !again:
		words = append(words, "{original}", "{rerun}")
	case original != again:
		return nil, usageError("'command:CMD {original} {rerun}'", "the command to compare with names only one of the two outputs: %q", schema.Shorten(s, 80))
	}
	if kept, withheld := redact.Argv(words); len(withheld) > 0 || !slices.Equal(kept, words) {
		return nil, usageError("let the command read it from a file or a variable", "the command to compare with looks as if it held a secret, and it is recorded")
	}
	return schema.Texts(words), nil
}

// splitWords splits at spaces; quotes and backslashes keep a word together as in a shell. Nothing else of a shell is understood.
func splitWords(s string) (words []string, err error) {
	var word strings.Builder
	var quote rune
	begun, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			begun, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			begun, quote = true, r
		case quote == 0 && strings.ContainsRune(" \t\n", r):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// sayWhetherComparable says, when a run has ended, what keeps a rerun from being compared with it.
func (e *Env) sayWhetherComparable(run schema.Run) {
	for _, name := range sortedKeys(run.Tolerances) {
		if _, has := run.Metrics[name]; !has && run.Status == schema.Succeeded {
			e.warn("tolerance of %s: the run has no metric of that name; it has %s", name, orNone(strings.Join(sortedKeys(run.Metrics), ", ")))
		}
	}
	if !run.CanBeCompared() {
		fmt.Fprintf(e.Err, "%s nothing of this run can be compared with a rerun of it: name what it writes with --output PATH, or its numbers with --metrics FILE\n", e.paint(e.Err, cyan, "runpin: hint:"))
	}
}
