package rerun

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// checkHandedOver refuses a data set that is had from another place (--at, --relocate) where the command would not be told of that: a path that stands in a shell
// command or in the code leads to whatever lies at the old place now. That may be what was recorded, too, or nothing, which fails aloud; it may not be something
// else.
func (r *Rerunner) checkHandedOver(ctx context.Context, req Request, p *Prepared) error {
	if p.Job != nil && p.Launcher == "kubernetes" {
		return nil
	}
	for i := range p.Datasets {
		pin := &p.Datasets[i]
		if req.At[pin.Name] == "" || p.handsOver(*pin, req.Dir) {
			continue
		}
		there := r.Datasets.CheckDataset(ctx, *pin, "", req.Deep)
		if there.State == schema.StateAvailable || there.State == schema.StateGone {
			continue
		}
		kind := schema.Drift
		if there.State == schema.StateUnknown {
			kind = schema.Unavailable
		}
		return &schema.Error{Op: "rerun.preflight", Kind: kind, Subject: "dataset:" + pin.Name,
			Err:  fmt.Errorf("the command is not told where the data set is, so it would read %s, which is not what was recorded (%s)", recordedPlace(*pin), there.State),
			Hint: "put what was recorded there, or move away what is there now; a run that takes the path as an argument can be given another"}
	}
	return nil
}

// handsOver reports whether the command finds the data set where the rerun has it: in the place of the recorded path, or by a path that it is given.
func (p *Prepared) handsOver(pin schema.DatasetPin, dir string) bool {
	if p.InContainer() { // it is mounted at the recorded path
		return true
	}
	if p.placed(pin, dir) != "" {
		return true
	}
	return slices.ContainsFunc(p.Template, func(arg string) bool { return strings.Contains(arg, "{"+pin.Name+"}") })
}

func recordedPlace(pin schema.DatasetPin) string {
	if pin.Path != nil {
		return string(pin.Path.Located)
	}
	return string(pin.URI)
}
