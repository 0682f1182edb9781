package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// resolveRemote asks the registry: what the reference names (always), then the manifests and the configuration below (from the
// cache, where they are known).
func (r *Resolver) resolveRemote(ctx context.Context, pin schema.ImagePin, ref registry.Reference, want wanted) (schema.ImagePin, error) {
	none := schema.ImagePin{}
	unpinnable := func(err error, hint string) (schema.ImagePin, error) {
		return none, r.fail(schema.Unpinnable, ref.String(), err, hint)
	}
	tagSays := r.askTag(ctx, ref)
	top, err := r.registry.Head(ctx, ref)
	if err != nil {
		return none, err
	}
	if isSchema1(top.MediaType) {
		return unpinnable(errors.New(schema1Text), "push the image again with a current engine")
	}
	pin.Origin = schema.Origin{Kind: schema.FromRegistry, By: ref.Host(), At: schema.At(r.now())}

	doc, err := r.manifest(ctx, ref, top.Digest)
	if err != nil {
		if registry.Absent(err) {
			return unpinnable(fmt.Errorf("the registry named %s for it and does not have that: it was moved or deleted meanwhile", top.Digest), "try again")
		}
		return none, about(ref, err)
	}
	pin.MediaType = doc.mediaType()
	platformDoc, child := doc, descriptor{}
	if doc.isIndex() {
		var reasons []schema.Reason
		child, reasons, err = choose(*doc.Manifests, want)
		if err != nil {
			return unpinnable(err, "name one of them with --platform")
		}
		pin.IndexDigest, pin.PlatformDigest = top.Digest, child.Digest
		pin.Reasons = append(pin.Reasons, reasons...)
		platformDoc, err = r.manifest(ctx, ref, child.Digest)
		if registry.Absent(err) {
			return unpinnable(fmt.Errorf("its index %s names %s for %s, which the registry does not have", top.Digest, child.Digest, want), "the registry may have collected it as garbage; push the image again")
		}
		if err != nil {
			return none, about(ref, err)
		}
		if platformDoc.isIndex() {
			return unpinnable(fmt.Errorf("its index names another index for %s", want), "name that one by digest: "+ref.WithDigest(child.Digest).String())
		}
	} else {
		pin.PlatformDigest = top.Digest
	}
	if err := platformDoc.artifact(); err != nil {
		return unpinnable(err, "name a container image; a data set or a model is given with --dataset or --model")
	}

	raw, err := r.registry.Config(ctx, ref, platformDoc.Config.Digest)
	if registry.Absent(err) {
		return unpinnable(fmt.Errorf("the registry does not have its configuration %s", platformDoc.Config.Digest), "the registry may have collected it as garbage; push the image again")
	}
	if err != nil {
		return none, about(ref, err)
	}
	config, err := parseConfig(raw)
	if err != nil {
		return unpinnable(err, "")
	}
	pin.ConfigDigest = platformDoc.Config.Digest
	p, reasons, err := settlePlatform(normal(config.OS, config.Architecture, config.Variant), child, want)
	if err != nil {
		return unpinnable(err, "leave --platform away, or name an image for it")
	}
	pin.Platform = p
	pin.Reasons = append(pin.Reasons, reasons...)
	indexAnnotations := doc.Annotations
	pin.Labels, reasons = labels(indexAnnotations, platformDoc.Annotations, config.Config.Labels)
	pin.Reasons = append(pin.Reasons, reasons...)
	pin.Reasons = append(pin.Reasons, r.tagReasons(ctx, ref, top.Digest, <-tagSays)...)
	return pin, nil
}

// about makes an error that befell a manifest or a blob below ref name what the user wrote.
func about(ref registry.Reference, err error) error {
	var e *schema.Error
	if !errors.As(err, &e) {
		return err
	}
	return &schema.Error{Op: e.Op, Kind: e.Kind, Subject: "image " + ref.String(), Err: e.Err, Hint: e.Hint}
}

// manifest gets and reads a manifest of the repository of ref.
func (r *Resolver) manifest(ctx context.Context, ref registry.Reference, d schema.Digest) (document, error) {
	b, err := r.registry.Manifest(ctx, ref, d)
	if err != nil {
		return document{}, err
	}
	doc, err := parseManifest(b)
	if err != nil {
		return doc, r.fail(schema.Unpinnable, ref.String(), err, "check that it is a container image: "+ref.WithDigest(d).String())
	}
	return doc, nil
}

// settlePlatform decides what platform to record: the one under which the index lists the image, or the one that a single image
// says itself. A user who asked for another gets an error, a default that does not fit a reason.
func settlePlatform(config platform, child descriptor, want wanted) (string, []schema.Reason, error) {
	if listed, ok := child.image(); ok {
		if config.known() && config != listed {
			return listed.String(), []schema.Reason{{Code: ReasonPlatformConflict, Subject: schema.Text(listed.String()),
				Text: fmt.Sprintf("the index lists the image for %s, its configuration says %s", listed, config)}}, nil
		}
		return listed.String(), nil, nil
	}
	switch {
	case config == want.platform:
		return config.String(), nil, nil
	case !config.known() && want.given:
		return "", nil, fmt.Errorf("the image does not say which platform it is for, and %s was asked for", want)
	case !config.known():
		return "", []schema.Reason{{Code: ReasonPlatformUnstated, Text: "the image does not say which platform it is for"}}, nil
	case want.given && (config.os != want.os || config.arch != want.arch || want.variantGiven):
		return "", nil, fmt.Errorf("the image is for %s only, and %s was asked for", config, want)
	case config.os == want.os && config.arch == want.arch:
		return config.String(), []schema.Reason{{Code: ReasonPlatformVariant, Subject: schema.Text(config.String()),
			Text: fmt.Sprintf("the image is for %s only", config)}}, nil
	}
	return config.String(), []schema.Reason{{Code: ReasonPlatformDiffers, Subject: schema.Text(config.String()),
		Text: fmt.Sprintf("the image is for %s only, this machine is %s", config, want)}}, nil
}

// tagAnswer is what the tag of tag@digest names now.
type tagAnswer struct {
	asked  bool
	digest schema.Digest
	err    error
}

// askTag asks, beside everything else, what the tag of tag@digest names.
func (r *Resolver) askTag(ctx context.Context, ref registry.Reference) <-chan tagAnswer {
	answer := make(chan tagAnswer, 1)
	if ref.Tag == "" || ref.Digest == "" {
		answer <- tagAnswer{}
		return answer
	}
	go func() {
		d, err := r.registry.Head(ctx, ref.WithTag(ref.Tag))
		answer <- tagAnswer{true, d.Digest, err}
	}()
	return answer
}

// tagReasons says how the tag of tag@digest relates to the digest, which wins in any case.
func (r *Resolver) tagReasons(ctx context.Context, ref registry.Reference, d schema.Digest, tag tagAnswer) []schema.Reason {
	reason := func(code, text string) []schema.Reason {
		return []schema.Reason{{Code: code, Subject: schema.Text(ref.Tag), Text: text}}
	}
	switch {
	case !tag.asked || tag.err == nil && tag.digest == d:
		return nil
	case registry.Absent(tag.err):
		return reason(ReasonTagGone, "the tag no longer exists; the digest was taken")
	case tag.err != nil:
		return reason(ReasonTagUnchecked, "what the tag names could not be found out; the digest was taken")
	}
	// A digest of one platform beside a tag that names the index is no contradiction.
	if doc, err := r.manifest(ctx, ref, tag.digest); err == nil && doc.isIndex() {
		for _, child := range *doc.Manifests {
			if child.Digest == d {
				return nil
			}
		}
	}
	return reason(ReasonTagMoved, fmt.Sprintf("the tag names %s now; the digest was taken", tag.digest))
}

// isSchema1 recognises the media types of manifests of schema version 1.
func isSchema1(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest.v1+")
}
