package image

import (
	"context"
	"fmt"

	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// DescribeImage tells what a digest names that a runtime has told: ref is REPOSITORY@DIGEST. The pin has an index digest, or the digests of one platform's image and
// its configuration; of an index it has both when the platform (os/arch, "" where it is not known) or the index itself leaves no choice. Children are the images of an index.
// Nothing is chosen by this machine: what ran may have run on another kind.
func (r *Resolver) DescribeImage(ctx context.Context, ref, platform string) (pin schema.ImagePin, children []schema.Digest, err error) {
	ctx, cancel := r.registry.Bounded(ctx)
	defer cancel()
	parsed, err := registry.ParseReference(ref)
	if err != nil {
		return pin, nil, err
	}
	if parsed.Digest == "" {
		return pin, nil, r.fail(schema.Unpinnable, ref, fmt.Errorf("it has no digest"), "")
	}
	doc, err := r.manifest(ctx, parsed, parsed.Digest)
	if err != nil {
		return pin, nil, about(parsed, err)
	}
	pin.Repository, pin.MediaType = parsed.Repository, doc.mediaType()
	single := parsed.Digest
	if doc.isIndex() {
		pin.IndexDigest = parsed.Digest
		var only descriptor
		for _, child := range *doc.Manifests {
			if _, ok := child.image(); ok {
				children = append(children, child.Digest)
				only = child
			}
		}
		if platform != "" {
			want, err := wantedPlatform(platform)
			if err != nil {
				return pin, children, err
			}
			if only, _, err = choose(*doc.Manifests, want); err != nil {
				return pin, children, nil // the node took one; which, the runtime does not say
			}
		} else if len(children) != 1 {
			return pin, children, nil
		}
		single = only.Digest
		if doc, err = r.manifest(ctx, parsed, single); err != nil {
			return pin, children, nil
		}
	}
	if doc.isIndex() || doc.artifact() != nil {
		return pin, children, nil
	}
	pin.PlatformDigest = single
	pin.ConfigDigest = doc.Config.Digest
	if raw, err := r.registry.Config(ctx, parsed, doc.Config.Digest); err == nil {
		if config, err := parseConfig(raw); err == nil {
			if p := normal(config.OS, config.Architecture, config.Variant); p.known() {
				pin.Platform = p.String()
			}
		}
	}
	return pin, children, nil
}
