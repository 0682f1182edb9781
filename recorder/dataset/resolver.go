package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// Resolver chooses the backend for each data set. It implements recorder.DatasetResolver, recorder.OutputHasher and rerun.Datasets.
type Resolver struct {
	backends map[string]Backend
	schemes  []string
}

var _ recorder.DatasetResolver = (*Resolver)(nil)
var _ recorder.OutputHasher = (*Resolver)(nil)

// New makes a resolver of the backends that all.Backends lists. Two for one scheme are a mistake in that list, and panic.
func New(backends []Backend) *Resolver {
	r := &Resolver{backends: map[string]Backend{}}
	for _, b := range backends {
		scheme := b.Scheme()
		if _, twice := r.backends[scheme]; twice {
			panic("dataset: two backends for the scheme " + scheme)
		}
		if scheme != strings.ToLower(scheme) || len(scheme) < 2 {
			panic(fmt.Sprintf("dataset: %q is not a scheme in lower case", scheme))
		}
		r.backends[scheme] = b
		r.schemes = append(r.schemes, scheme)
	}
	slices.Sort(r.schemes)
	return r
}

// Schemes lists the kinds of URI that can be resolved, sorted.
func (r *Resolver) Schemes() []string { return slices.Clone(r.schemes) }

// Locate takes a URI apart and finds the backend for it.
func (r *Resolver) Locate(uri string) (Backend, Location, error) {
	at, err := ParseLocation(uri)
	if err != nil {
		return nil, Location{}, err
	}
	backend, ok := r.backends[at.Scheme]
	if !ok {
		return nil, Location{}, &schema.Error{Op: "dataset.locate", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(at.Recorded, 300)),
			Err:  fmt.Errorf("no data sets of the kind %s: are known (known: %s)", at.Scheme, r.known()),
			Hint: "mount or download it and give its path; for a path with such a name write ./ before it"}
	}
	return backend, at, nil
}

func (r *Resolver) known() string {
	if len(r.schemes) == 0 {
		return "none"
	}
	return strings.Join(r.schemes, ":, ") + ":"
}

// ResolveDataset finds the version of a data set.
func (r *Resolver) ResolveDataset(ctx context.Context, req recorder.DatasetRequest) (schema.DatasetPin, error) {
	backend, at, err := r.Locate(req.URI)
	if err != nil {
		return schema.DatasetPin{}, err
	}
	if req.Role == "" {
		req.Role = schema.RoleData
	}
	return backend.Resolve(ctx, Request{DatasetRequest: req, Location: at})
}

// RecheckDataset looks again after the run: what [Resolver.CheckDataset] finds without reading what is known to be unchanged. A data set that
// can no longer be looked at is reported too, with nothing found. Being interrupted is no finding.
func (r *Resolver) RecheckDataset(ctx context.Context, pin schema.DatasetPin) *schema.Drifted {
	a := r.CheckDataset(ctx, pin, "", false)
	if a.State == schema.StateAvailable || a.State == schema.StateKept || ctx.Err() != nil {
		return nil
	}
	return &schema.Drifted{Pin: a.Pin, Expected: a.Value, Found: a.Found, Text: a.Reason}
}

// CheckDataset says whether the version that pin names can still be had: where it was recorded, or at the URI at.
func (r *Resolver) CheckDataset(ctx context.Context, pin schema.DatasetPin, at string, deep bool) schema.Availability {
	backend, place, err := r.placeOf(pin, at)
	if err != nil {
		return schema.Availability{Pin: PinName(pin), Ref: pin.URI, Value: schema.Text(pin.VersionID), State: schema.StateUnknown, Reason: err.Error(),
			Remedy: schema.HintOf(err)}
	}
	return backend.Check(ctx, CheckRequest{Pin: pin, At: place, Given: at != "", Deep: deep})
}

// PlaceDataset makes the data set appear at dest, proved equal to pin. Without copy its files may be links to the originals; its directories are
// dest's own (see [PlaceRequest]).
func (r *Resolver) PlaceDataset(ctx context.Context, pin schema.DatasetPin, at, dest string, copy bool, progress schema.Progress) error {
	backend, place, err := r.placeOf(pin, at)
	if err != nil {
		return err
	}
	placer, ok := backend.(Placer)
	if !ok {
		return &schema.Error{Op: "dataset.place", Kind: schema.Unavailable, Subject: PinName(pin),
			Err: fmt.Errorf("%s: data sets cannot be put in place yet", backend.Scheme()), Hint: "download it and give its path with --at " + pin.Name + "=PATH"}
	}
	if dest, err = filepath.Abs(dest); err != nil {
		return &schema.Error{Op: "dataset.place", Kind: schema.Invalid, Subject: PinName(pin), Err: err}
	}
	if _, err := os.Lstat(dest); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = os.ErrExist
		}
		return &schema.Error{Op: "dataset.place", Kind: schema.Conflict, Subject: dest, Err: err, Hint: "choose a path at which nothing is"}
	}
	return placer.Place(ctx, PlaceRequest{Pin: pin, At: place, Given: at != "", Dest: dest, Copy: copy, Progress: progress})
}

// HashOutput gives the digests of a file or directory that a run wrote, by the rules for data sets.
func (r *Resolver) HashOutput(ctx context.Context, path string, sink schema.BlobSink) (schema.Output, error) {
	hasher, ok := r.backends[SchemeFile].(recorder.OutputHasher)
	if !ok {
		return schema.Output{}, &schema.Error{Op: "dataset.output", Kind: schema.Internal, Subject: path, Err: fmt.Errorf("no backend hashes paths")}
	}
	return hasher.HashOutput(ctx, path, sink)
}

// placeOf finds where to look for a recorded data set.
func (r *Resolver) placeOf(pin schema.DatasetPin, at string) (Backend, Location, error) {
	if at != "" {
		return r.Locate(at)
	}
	backend, ok := r.backends[pin.Scheme]
	switch {
	case !ok:
		return nil, Location{}, &schema.Error{Op: "dataset.check", Kind: schema.Unavailable, Subject: PinName(pin),
			Err: fmt.Errorf("this runpin knows no data sets of the kind %s: (known: %s)", pin.Scheme, r.known()), Hint: "use a newer runpin, or give a path with --at " + pin.Name + "=PATH"}
	case pin.Scheme != SchemeFile:
		return backend, Location{Scheme: pin.Scheme, Recorded: string(pin.URI), URI: string(pin.URI)}, nil
	case pin.Path == nil || pin.Path.Located == "":
		return nil, Location{}, &schema.Error{Op: "dataset.check", Kind: schema.Unavailable, Subject: PinName(pin),
			Err: fmt.Errorf("the record does not say where it was"), Hint: "give its place with --at " + pin.Name + "=PATH"}
	}
	return backend, Location{Scheme: SchemeFile, Recorded: string(pin.URI), Path: string(pin.Path.Located)}, nil
}

// PinName is how a data set's pin is called in findings.
func PinName(pin schema.DatasetPin) string { return "dataset:" + pin.Name }
