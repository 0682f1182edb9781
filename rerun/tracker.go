package rerun

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// trackerFlags are options by which training scripts hand the id of a run to the tracker that is named in it; a rerun with the same value would go on with the
// original's run. Case, - and _ do not count. An option that says less (--run-id, --resume) is left alone: it can mean anything.
var trackerFlags = []string{"wandb_id", "wandb_run_id", "wandb.id", "wandb.run_id", "logger.wandb.id", "mlflow_run_id", "mlflow.run_id", "clearml_task_id", "comet_experiment_key", "neptune_run_id",
	"neptune_custom_run_id", "swanlab_run_id", "aim_run_hash"}

// dropTrackerVariables leaves out recorded variables that name the original's run of a tracker, unless the user set them to something else.
func (p *Prepared) dropTrackerVariables(allowed bool) {
	for _, name := range slices.Sorted(maps.Keys(p.Vars)) {
		if was, recorded := p.Of.Variables[name]; jobspec.IsTrackerVariable(name) && recorded && was == p.Vars[name] && !allowed {
			delete(p.Vars, name)
			p.Relaxed = append(p.Relaxed, schema.Reason{Code: "tracker-run", Subject: schema.Text("env." + name), Text: "left out: it names the original's run of a tracker"})
		}
	}
}

// dropTrackerRuns keeps a command from going on with the run of a tracker that the original wrote to (DESIGN §3.10): the variables that `podman run -e` and the
// like set are left out of what is started; an option that names such a run has to be set to another, because leaving it out could mean anything.
func (r *Rerunner) dropTrackerRuns(p *Prepared, allowed bool) error {
	var engines map[int]bool
	if p.startsContainerItself() {
		var err error
		if engines, err = r.dropEngineVariables(p, allowed); err != nil {
			return err
		}
	}
	for i, arg := range p.Of.CommandTemplate {
		if i >= len(p.Template) {
			break
		}
		flag, value, inline := strings.Cut(string(arg), "=")
		at := i
		if !inline && i+1 < len(p.Of.CommandTemplate) && strings.HasPrefix(flag, "-") {
			at, value = i+1, string(p.Of.CommandTemplate[i+1])
		}
		was := putIn(value, p.Of.Params)
		is := putIn(p.Template[at], p.Params)
		if inline {
			_, is, _ = strings.Cut(is, "=")
		}
		if engines[i] {
			continue
		}
		if !isTrackerFlag(flag) || at == i && !inline || namesNothing(was) || is != was {
			continue
		}
		if allowed {
			p.Relaxed = append(p.Relaxed, schema.Reason{Code: "tracker-run", Subject: schema.Text("arg." + flag), Text: "goes on with the original's run of a tracker"})
			continue
		}
		return &schema.Error{Op: "rerun", Kind: schema.Conflict, Subject: "argument " + schema.Shorten(flag, 100), Err: fmt.Errorf("it names the original's run of a tracker, and the rerun would write into that"),
			Hint: "give it another: --set arg." + schema.Shorten(flag, 100) + "=ID; --overwrite-outputs lets it be written to"}
	}
	return nil
}

func isTrackerFlag(flag string) bool {
	name := strings.ReplaceAll(strings.ToLower(strings.TrimLeft(flag, "-+")), "-", "_")
	return slices.Contains(trackerFlags, name)
}

// namesNothing: a value that every program reads as "none".
func namesNothing(value string) bool {
	switch strings.ToLower(strings.Trim(value, `"'`)) {
	case "", "none", "null", "false", "no", "new", "auto":
		return true
	}
	return strings.HasPrefix(value, "-")
}
