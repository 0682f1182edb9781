package rerun

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/runpin/runpin/schema"
)

var gpuRequest = regexp.MustCompile(`^(?:all|none|[1-9][0-9]{0,2}|device=[A-Za-z0-9][A-Za-z0-9:.,-]{0,900})$`)

// CheckGPUs refuses what --gpus does not take: all, none, a number, or device=ID,ID.
func CheckGPUs(asked string) error {
	if asked == "" || gpuRequest.MatchString(asked) {
		return nil
	}
	return &schema.Error{Op: "rerun.gpus", Kind: schema.Invalid, Subject: fmt.Sprintf("--gpus %q", schema.Shorten(asked, 100)), Err: fmt.Errorf("is no choice of GPUs"),
		Hint: "give all, none, a number, or device=0,1"}
}

// chooseGPUs gives a container the GPUs that the original's was given, or those that the user asks for. A run that had GPUs on a machine and is moved into an image
// is given all, where the engine can.
func (r *Rerunner) chooseGPUs(ctx context.Context, p *Prepared, asked string) error {
	if err := CheckGPUs(asked); err != nil {
		return err
	}
	if !p.InContainer() {
		if asked == "" {
			return nil
		}
		return &schema.Error{Op: "rerun.gpus", Kind: schema.Invalid, Subject: "--gpus " + asked, Err: fmt.Errorf("it is for a container that runpin starts, and this runs at %s", p.Launcher),
			Hint: "choose them with --set env.CUDA_VISIBLE_DEVICES=…"}
	}
	was := p.Of.GPUs
	if err := CheckGPUs(was); err != nil {
		return err // of a record, which can come from anywhere
	}
	p.GPUs = was
	hadGPUs := slices.ContainsFunc(p.Of.Environments, func(e schema.Environment) bool { return len(e.GPUs) > 0 })
	if was == "" && hadGPUs && (p.Of.Launcher == "local" || p.Of.Launcher == "") && asked == "" && r.Places != nil {
		if r.Places.CanGPUs(ctx, p.Launcher) {
			asked = "all"
		} else {
			r.Warn("the original had GPUs, and %s cannot give any to a container here", p.Launcher)
		}
	}
	if asked == "" || asked == was {
		return nil
	}
	p.GPUs = asked
	if was == "" {
		was = "none"
	}
	if asked != was {
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: "gpus", Subject: "gpus", Text: "the container was given " + asked + "; the original's was given " + was})
	}
	return nil
}
