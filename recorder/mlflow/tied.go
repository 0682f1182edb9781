package mlflow

import (
	"slices"
	"strconv"

	"github.com/runpin/runpin/schema"
)

// maxTied is how many runs of MLflow one run is tied to: a command that logs more is a sweep, whose members are found in MLflow by their tag.
const maxTied = 16

// labelOf names the label of the nth run of MLflow, from 1.
func labelOf(n int) string {
	if n == 1 {
		return LabelRunID
	}
	return LabelRunID + "." + strconv.Itoa(n)
}

// LabelNames are the labels that may hold the id of a run of MLflow.
func LabelNames() []string {
	names := make([]string, maxTied)
	for n := range names {
		names[n] = labelOf(n + 1)
	}
	return names
}

// moreRuns says why a run of MLflow is not tied, in words that are the same at every import.
var moreRuns = "its command logged more runs in MLflow than the " + strconv.Itoa(maxTied) + " that labels name; the others are found in MLflow by their tag " + TagRunID

// tied is a run that runpin recorded, as the store has it and as a batch that has not been saved yet adds to it.
type tied struct {
	run  schema.Run
	last int64 // the time of the latest document about it
	full bool  // a run of MLflow had no place
}

// to gives the documents that tie the run to one of MLflow's that its command logged: none where they are tied already. Past the limit it says so, once.
func (t *tied) to(run Run) []schema.Document {
	free := ""
	for _, label := range LabelNames() {
		switch t.run.Labels[label] {
		case run.ID:
			return nil
		case "":
			if free == "" {
				free = label
			}
		}
	}
	if free == "" {
		t.full = true
		return t.tooMany(run)
	}
	t.last++
	doc := event(t.run.ID, schema.KindLabel, at(t.last), run.ID, free)
	doc.Label = &schema.Label{Set: map[string]string{free: run.ID}}
	if t.run.Labels == nil {
		t.run.Labels = map[string]string{}
	}
	t.run.Labels[free] = run.ID
	return []schema.Document{doc}
}

func (t *tied) tooMany(run Run) []schema.Document {
	said := schema.Reason{Code: "mlflow-more-runs", Subject: "mlflow", Text: moreRuns}
	for _, o := range t.run.Observations {
		if slices.Contains(o.Reasons, said) {
			return nil
		}
	}
	seen := schema.Observation{Reasons: []schema.Reason{said}}
	t.run.Observations = append(t.run.Observations, seen)
	t.last++
	doc := event(t.run.ID, schema.KindObservation, at(t.last), run.ID, said.Code)
	doc.Observation = &seen
	return []schema.Document{doc}
}
