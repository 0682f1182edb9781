package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// maxRepoDigests bounds how many claims of an engine are looked into.
const maxRepoDigests = 8

// resolveLocal looks for the image in the engines. Where the engine names digests of a registry, and the registry has one of them
// with the very same configuration, that is the pin. Engines alone are not believed: podman invents such a digest when it builds, and
// docker's containerd store lists one for images that were never pushed (registry.md §4.5).
func (r *Resolver) resolveLocal(ctx context.Context, pin schema.ImagePin, ref string, want wanted, engines []Engine) (schema.ImagePin, error) {
	found, err := inspectAny(ctx, engines, ref)
	if err != nil {
		return schema.ImagePin{}, err
	}
	own := normal(found.OS, found.Architecture, found.Variant)
	platform, reasons, err := settlePlatform(own, descriptor{}, want)
	if err != nil {
		return schema.ImagePin{}, r.fail(schema.Unpinnable, ref, err, "leave --platform away, or name an image for it")
	}
	config, hasConfig := found.config()
	if hasConfig {
		if pushed, ok := r.pushed(ctx, pin, found, config); ok {
			return pushed, nil
		}
	}
	pin.Local, pin.Engine, pin.Platform = true, found.engine, platform
	pin.Origin = schema.Origin{Kind: schema.FromEngine, By: found.engine, At: schema.At(r.now())}
	pin.Reasons = append(pin.Reasons, reasons...)
	switch {
	case hasConfig:
		pin.ConfigDigest = config
	case found.Descriptor != nil && found.isIndex():
		pin.IndexDigest, pin.MediaType = found.Descriptor.Digest, found.Descriptor.MediaType
	case found.Descriptor != nil:
		pin.PlatformDigest, pin.MediaType = found.Descriptor.Digest, found.Descriptor.MediaType
	default:
		return schema.ImagePin{}, r.fail(schema.Unavailable, ref, fmt.Errorf("%s gives it an id that is not a digest", found.engine), "")
	}
	if !hasConfig {
		pin.Reasons = append(pin.Reasons, schema.Reason{Code: ReasonConfigUnknown, Subject: pin.Ref,
			Text: found.engine + " does not tell the digest of the image's configuration"})
	}
	pin.Labels, reasons = labels(found.Labels, found.Config.Labels)
	pin.Reasons = append(pin.Reasons, reasons...)
	pin.Reasons = append(pin.Reasons, schema.Reason{Code: ReasonNotPushed, Subject: pin.Ref,
		Text: "only " + found.engine + " on this machine has the image; push it to a registry to be able to run it elsewhere, or after it is deleted here"})
	return pin, nil
}

// inspectAny asks the engines in turn. When none has the image the error is of kind NotFound, unless one could not be asked.
func inspectAny(ctx context.Context, engines []Engine, ref string) (engineImage, error) {
	var worst error = &schema.Error{Op: "image.engine", Kind: schema.NotFound, Subject: "image " + ref, Err: errors.New("there is no engine to ask")}
	for i, e := range engines {
		found, err := e.inspect(ctx, ref)
		if err == nil {
			return found, nil
		}
		if i == 0 || schema.KindOf(err) == schema.Unavailable && schema.KindOf(worst) != schema.Unavailable {
			worst = err
		}
	}
	return engineImage{}, worst
}

// pushed looks for the image in the registries that the engine names.
func (r *Resolver) pushed(ctx context.Context, pin schema.ImagePin, found engineImage, config schema.Digest) (schema.ImagePin, bool) {
	for i, claim := range found.RepoDigests {
		if i == maxRepoDigests {
			break
		}
		ref, err := registry.ParseReference(claim)
		if err != nil || ref.Digest == "" || ref.LocalName() {
			continue
		}
		want := wanted{platform: normal(found.OS, found.Architecture, found.Variant), given: true}
		there := pin
		there.Reasons = append([]schema.Reason(nil), pin.Reasons...)
		there, err = r.resolveRemote(ctx, there, ref, want)
		if err != nil || there.ConfigDigest != config {
			continue
		}
		if there.Repository != ref.Repository {
			there.Repository, there.Tag = ref.Repository, "" // the tag that was written is not one of that repository
		}
		there.Reasons = append(there.Reasons, schema.Reason{Code: ReasonFoundByEngine, Subject: pin.Ref,
			Text: fmt.Sprintf("%s has it as %s, and the registry has that too", found.engine, ref)})
		return there, true
	}
	return schema.ImagePin{}, false
}

// trimScheme takes the prefix away that pod status puts before an image id.
func trimScheme(s string) string {
	s = strings.TrimPrefix(s, "docker-pullable://")
	return strings.TrimPrefix(s, "docker://")
}
