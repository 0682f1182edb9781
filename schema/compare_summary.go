package schema

import (
	"fmt"
	"slices"
)

// summary says in one sentence what most likely explains a different result.
func (c *comparing) summary(r Comparison) string {
	var causes []Difference
	inputs := 0
	for _, d := range r.Differences {
		if d.Class == ClassMust || d.Class == ClassLikely {
			causes = append(causes, d)
			if d.Input && !d.Unproven {
				inputs++
			}
		}
	}
	result, compared := c.sameResult()
	switch {
	case len(causes) == 0:
		return nothingFound(r.SameInputs, result, compared)
	case compared && result:
		return fmt.Sprintf("The results are the same, although %s%s.", causes[0].Text, others(len(causes)-1))
	case r.SameInputs:
		return fmt.Sprintf("The inputs are the same; a different result is most likely explained by this: %s%s.", causes[0].Text, others(len(causes)-1))
	case inputs == 0:
		return fmt.Sprintf("No input is known to differ; a different result is most likely explained by this: %s%s.", causes[0].Text, others(len(causes)-1))
	default:
		return fmt.Sprintf("A different result is most likely explained by this: %s%s.", causes[0].Text, others(len(causes)-1))
	}
}

func nothingFound(sameInputs, sameResult, compared bool) string {
	inputs := "No recorded input differs, and that the inputs are the same is not proved"
	if sameInputs {
		inputs = "The inputs are the same"
	}
	switch {
	case compared && sameResult:
		return inputs + ", and so are the results."
	case compared:
		return inputs + " and nothing recorded explains the different results: the program may not be deterministic, or depend on something that is not recorded."
	default:
		return inputs + "."
	}
}

// sameResult compares outputs and metrics; compared is false when there is nothing that both runs have.
func (c *comparing) sameResult() (same, compared bool) {
	both := false
	for _, o := range c.a.Outputs {
		both = both || o.Identity() != "" && slices.ContainsFunc(c.b.Outputs, func(p Output) bool { return p.Name == o.Name && p.Identity() != "" })
	}
	for k := range c.a.Metrics {
		_, inB := c.b.Metrics[k]
		both = both || inB
	}
	for _, d := range c.found {
		if d.Subject == "outputs" || d.Subject == "metrics" {
			return false, both
		}
	}
	return both, both
}

func others(n int) string {
	switch {
	case n <= 0:
		return ""
	case n == 1:
		return " (and one more difference)"
	default:
		return fmt.Sprintf(" (and %d more differences)", n)
	}
}
