package rerun

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/runpin/runpin/schema"
)

// PreflightOptions says where data sets live now, and whether every byte is to be read.
type PreflightOptions struct {
	At   map[string]string
	Deep bool
}

// Preflight asks, for every pin of the run and all at once, whether it can still be had. It writes nothing. The order is that of the record: images, code,
// data sets.
func (r *Rerunner) Preflight(ctx context.Context, run schema.Run, opts PreflightOptions) []schema.Availability {
	var checks []func() schema.Availability
	for _, pin := range run.Images {
		checks = append(checks, func() schema.Availability {
			if pin.Pullable() == "" && pin.ConfigDigest == "" && pin.FileDigest == "" {
				return neverPinned("image:"+pin.Name, pin.Ref, pin.Reasons)
			}
			a := r.Images.CheckImage(ctx, pin)
			a.Pin = "image:" + pin.Name
			return a
		})
	}
	for _, pin := range run.Code {
		checks = append(checks, func() schema.Availability {
			if pin.Commit == "" && pin.Tree == "" && pin.Script == nil {
				return neverPinned("code:"+pin.Name, pin.Ref, pin.Reasons)
			}
			a := r.Code.CheckCode(ctx, pin, r.Blobs)
			a.Pin = "code:" + pin.Name
			return a
		})
	}
	for _, pin := range run.Datasets {
		checks = append(checks, func() schema.Availability {
			if pin.ContentDigest == "" && pin.VersionID == "" {
				return neverPinned("dataset:"+pin.Name, pin.URI, pin.Reasons)
			}
			a := r.Datasets.CheckDataset(ctx, pin, opts.At[pin.Name], opts.Deep)
			a.Pin = "dataset:" + pin.Name
			return a
		})
	}
	found := make([]schema.Availability, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { found[i] = check() })
	}
	wg.Wait()
	return found
}

func neverPinned(pin string, ref schema.Text, reasons []schema.Reason) schema.Availability {
	a := schema.Availability{Pin: pin, Ref: ref, State: schema.StateGone, How: "record", Reason: "it was not pinned when the run was recorded"}
	if len(reasons) > 0 {
		a.Reason += ": " + reasons[0].Text
	}
	return a
}

// Blocking joins an error for each pin that cannot be used; needed, when not nil, limits it to those pins.
func Blocking(found []schema.Availability, needed map[string]bool) error {
	var failures []error
	for _, a := range found {
		kind := a.Kind()
		if kind == "" || (needed != nil && !needed[a.Pin]) {
			continue
		}
		text := string(a.State)
		if a.Reason != "" {
			text += ": " + a.Reason
		}
		failures = append(failures, &schema.Error{Op: "rerun.preflight", Kind: kind, Subject: a.Pin, Err: fmt.Errorf("%s", text), Hint: a.Remedy})
	}
	return errors.Join(failures...)
}
