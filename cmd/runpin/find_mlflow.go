package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/runpin/runpin/recorder/mlflow"
	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// byMLflow is how a run is named by its run in MLflow: mlflow:ID, or the first characters of the id.
const byMLflow = "mlflow:"

// minMLflowID is how many characters of an id of MLflow name a run.
const minMLflowID = 8

// findByMLflow finds the run that is tied to a run of MLflow: by import, or because its command logged it.
func findByMLflow(ctx context.Context, runs runStore, id string) (schema.RunID, error) {
	subject := fmt.Sprintf("%q", byMLflow+schema.Shorten(id, 160))
	if len(id) < minMLflowID {
		return "", usageError(fmt.Sprintf("give at least %d characters of the id", minMLflowID), "%s is too short for the id of a run of MLflow", subject)
	}
	for _, label := range mlflow.LabelNames() {
		for _, filter := range []store.Filter{{Labels: []string{label + "=" + id}, Limit: 2}, {LabelPrefix: label + "=" + id, Limit: 2}} {
			found, err := runs.List(ctx, filter)
			switch {
			case err != nil:
				return "", err
			case len(found) == 1:
				return found[0].ID, nil
			case len(found) > 1:
				var names []string
				for _, r := range found {
					names = append(names, fmt.Sprintf("%s (%s=%s)", r.ID, label, r.Labels[label]))
				}
				return "", &schema.Error{Op: "find", Kind: schema.Conflict, Subject: subject, Err: fmt.Errorf("it could be any of these runs: %s", strings.Join(names, ", ")),
					Hint: "give more of the id, or the id of the run itself"}
			}
		}
	}
	return "", &schema.Error{Op: "find", Kind: schema.NotFound, Subject: subject, Err: fmt.Errorf("no run is tied to such a run of MLflow"),
		Hint: "bring the history in: runpin import mlflow DIR|DB"}
}
