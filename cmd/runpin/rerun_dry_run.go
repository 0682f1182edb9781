package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// dryRunJSON is what `rerun --execute --dry-run --json` prints for each run.
type dryRunJSON struct {
	Of    schema.RunID          `json:"rerun_of"`
	On    string                `json:"on,omitempty"`
	Dir   string                `json:"dir,omitempty"`
	Pins  []schema.Availability `json:"pins"`
	Steps []rerun.Step          `json:"steps"`
	Error *jsonFailures         `json:"error,omitempty"`
}

// runDryRun says of each run what a rerun would do, or why it would be refused. Nothing is written and nothing is started.
func runDryRun(env *Env, c *cli.Context, w *wiring, runs []schema.Run, several bool) error {
	var failures []error
	for i, run := range runs {
		dir, err := plannedDir(env, c, run, several)
		if err != nil {
			return err
		}
		req, err := executeRequest(env, c, w, run)
		if err != nil {
			return err
		}
		req.Dir = dir
		foreseen, err := w.rerunner.Foresee(c.Context, req)
		w.progress.clear()
		if err != nil && !several {
			return err
		}
		if schema.IsKind(err, schema.Interrupted) {
			return err
		}
		if err != nil {
			failures = append(failures, unwrapCoded(err))
		}
		if c.Bool("json") {
			out := dryRunJSON{Of: run.ID, On: foreseen.On, Dir: foreseen.Dir, Pins: foreseen.Preflight, Steps: foreseen.Steps}
			if err != nil {
				failure := failureJSON(err).Error
				out.Error, out.Steps = &failure, nil
			}
			if out.Pins == nil {
				out.Pins = []schema.Availability{}
			}
			if out.Steps == nil {
				out.Steps = []rerun.Step{}
			}
			if err := env.printJSON(out); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(env.Out)
		}
		env.field("rerun of", "%s", run.ID)
		if err != nil {
			for _, failure := range schema.Failures(unwrapCoded(err)) {
				env.field("refused", "%s", failure)
			}
			continue
		}
		env.showForeseen(foreseen)
	}
	if !c.Bool("json") {
		env.say("nothing was written and nothing was started")
	}
	if len(failures) > 0 {
		return &statusOnly{exitCode(errors.Join(failures...))}
	}
	return nil
}

func (e *Env) showForeseen(f rerun.Foreseen) {
	e.field("on", "%s", f.On)
	for _, a := range f.Preflight {
		e.field("pin", "%s: %s%s", a.Pin, a.State, how(a))
	}
	for _, s := range f.Steps {
		what, about, _ := strings.Cut(s.About, ":")
		if about != "" {
			about += ": "
		}
		e.field(what, "%s%s", about, s.Text)
	}
}

func how(a schema.Availability) string {
	if a.How == "" {
		return ""
	}
	return " (" + a.How + ")"
}

// plannedDir names the directory that a rerun would have, without making it.
func plannedDir(env *Env, c *cli.Context, run schema.Run, several bool) (string, error) {
	if c.String("workdir") != "" {
		dir, err := filepath.Abs(c.String("workdir"))
		if several {
			dir = filepath.Join(dir, string(run.ID))
		}
		return dir, err
	}
	return filepath.Join(cacheOfReruns(env), strings.ToLower(run.ID.Short())+"-NEW"), nil
}
