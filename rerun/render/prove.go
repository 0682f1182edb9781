package render

import (
	"fmt"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// proven are the formats that rerun/jobspec reads, and the name of a file that it takes for one.
var proven = map[string]string{"job": "job.yaml", "compose": "compose.yaml", "pytorchjob": "pytorchjob.yaml", "argo": "workflow.yaml", "sbatch-pyxis": "run.sbatch", "sbatch-apptainer": "run.sbatch"}

// prove reads the result back with the reader that pins job specs: it must find the images of the plan, all of them pinned, and nothing that it cannot judge.
func prove(format string, data []byte, p *Plan) error {
	file, readable := proven[format]
	if !readable {
		return nil
	}
	wrong := func(format string, args ...any) error {
		return &schema.Error{Op: "render", Kind: schema.Internal, Subject: file, Err: fmt.Errorf(format, args...)}
	}
	spec, err := jobspec.Read(file, data)
	if err != nil {
		return wrong("the result cannot be read: %w", err)
	}
	if err := spec.Err(); err != nil {
		return wrong("the result: %w", err)
	}
	want := map[string]int{p.Image: 1}
	if p.InitImage != "" && p.restores() {
		want[p.InitImage]++
	}
	if format == "sbatch-apptainer" {
		want = map[string]int{p.digestOnly(): 1}
	}
	for _, ref := range spec.References {
		if !ref.Pinned || ref.Kind != jobspec.KindImage {
			return wrong("%s is %q, which is not pinned", ref.Field, ref.Value)
		}
		want[ref.Value]--
	}
	for image, n := range want {
		if n != 0 {
			return wrong("it does not name %s as it should", image)
		}
	}
	return nil
}
