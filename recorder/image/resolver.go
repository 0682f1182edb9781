package image

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// Options of a [Resolver].
type Options struct {
	Registry *registry.Client // required
	Engines  []Engine         // where local images are looked for, in this order; nil for podman and docker, where they are installed
	Layers   bool             // CheckImage also asks for the configuration and every layer of the platform's image
	Now      func() time.Time // nil for time.Now
}

// Resolver resolves and checks images. It is safe for concurrent use.
type Resolver struct {
	registry *registry.Client
	engines  []Engine
	layers   bool
	now      func() time.Time
}

var _ recorder.ImageResolver = (*Resolver)(nil)

// New gives a resolver. It asks nobody anything.
func New(o Options) *Resolver {
	r := &Resolver{registry: o.Registry, engines: o.Engines, layers: o.Layers, now: o.Now}
	if r.engines == nil {
		r.engines = []Engine{{Name: Podman}, {Name: Docker}}
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// Codes of the reasons that a pin can carry.
const (
	ReasonImplicitLatest   = "implicit-latest"             // neither tag nor digest was written
	ReasonTagMoved         = "tag-moved"                   // the tag of tag@digest names another digest now
	ReasonTagGone          = "tag-gone"                    // the tag of tag@digest no longer exists
	ReasonTagUnchecked     = "tag-unchecked"               // what the tag of tag@digest names could not be found out
	ReasonPlatformDiffers  = "platform-differs"            // the image has one platform, and it is not this machine's
	ReasonPlatformUnstated = "platform-unstated"           // the image does not say which platform it is for
	ReasonPlatformVariant  = "platform-variant"            // another variant of the processor was taken
	ReasonPlatformConflict = "platform-conflict"           // index and configuration name different platforms
	ReasonNotPushed        = "not-rerunnable-until-pushed" // only an engine has it
	ReasonFoundByEngine    = "found-by-engine"             // the engine told which digest of a registry it is
	ReasonConfigUnknown    = "config-digest-unknown"       // the engine does not tell the configuration's digest
	ReasonLabelsLeftOut    = "labels-left-out"             // the labels are too large to be recorded
	ReasonLabelWithheld    = "label-withheld"              // a label holds a secret
	ReasonFileOnly         = "image-file"                  // nothing but the bytes of the file is known
)

// ResolveImage finds out what the reference names, now. The pin's use is claimed; whoever runs the work by its digest raises it.
//
// Errors are *schema.Error: Unpinnable when there is no such image, it is denied, is no image, or has no (or more than one) manifest
// for the platform; Unavailable when the registry cannot be asked; Drift when it answers other bytes than a digest names.
func (r *Resolver) ResolveImage(ctx context.Context, req recorder.ImageRequest) (schema.ImagePin, error) {
	want, err := wantedPlatform(req.Platform)
	if err != nil {
		return schema.ImagePin{}, err
	}
	engines, err := r.enginesFor(req.Engine)
	if err != nil {
		return schema.ImagePin{}, err
	}
	pin := schema.ImagePin{Name: req.Name, Ref: schema.Text(req.Ref), Use: schema.Claimed}
	if isImageFile(req.Ref) {
		return r.resolveFile(ctx, pin)
	}
	ctx, cancel := r.registry.Bounded(ctx)
	defer cancel()

	ref, err := registry.ParseReference(req.Ref)
	if errors.Is(err, registry.ErrImageID) {
		id := trimScheme(req.Ref)
		return r.orLocal(ctx, pin, id, want, engines, err)
	}
	if err != nil {
		return schema.ImagePin{}, err
	}
	pin.Repository, pin.Tag = ref.Repository, ref.EffectiveTag()
	if ref.ImplicitLatest() {
		pin.Reasons = append(pin.Reasons, schema.Reason{Code: ReasonImplicitLatest, Subject: pin.Ref, Text: "no tag was given, so latest was meant"})
	}
	if ref.LocalName() { // podman's prefix for what was never pushed: a registry there would be a surprise
		local, lerr := r.resolveLocal(ctx, pin, ref.String(), want, engines)
		if lerr == nil || schema.KindOf(lerr) != schema.NotFound {
			return local, lerr
		}
		found, err := r.resolveRemote(ctx, pin, ref, want)
		if schema.KindOf(err) == schema.Unavailable {
			return schema.ImagePin{}, r.fail(schema.Unpinnable, ref.String(), fmt.Errorf("%s, and no registry answers at localhost", reasonOf(lerr)),
				"build it, or give the name under which a registry has it")
		}
		return found, err
	}
	found, err := r.resolveRemote(ctx, pin, ref, want)
	// Docker Hub denies what it does not have, so a name that was only ever built here looks like that.
	if registry.Absent(err) || errors.Is(err, registry.ErrDenied) {
		return r.orLocal(ctx, pin, ref.String(), want, engines, err)
	}
	return found, err
}

// orLocal looks for the image in the engines, and gives err when they do not have it.
func (r *Resolver) orLocal(ctx context.Context, pin schema.ImagePin, ref string, want wanted, engines []Engine, err error) (schema.ImagePin, error) {
	local, lerr := r.resolveLocal(ctx, pin, ref, want, engines)
	if lerr != nil && (schema.KindOf(lerr) == schema.NotFound || schema.KindOf(lerr) == schema.Unavailable) {
		return schema.ImagePin{}, err
	}
	return local, lerr
}

func (r *Resolver) fail(kind schema.Kind, subject string, err error, hint string) error {
	return &schema.Error{Op: "image.resolve", Kind: kind, Subject: "image " + subject, Err: err, Hint: hint}
}
