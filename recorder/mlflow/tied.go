package mlflow

import "strconv"

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
