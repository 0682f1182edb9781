package main

import (
	"context"
	"fmt"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun/jobspec/resolve"
	"github.com/runpin/runpin/schema"
)

// registryImages lets recorder/registry serve resolve.
type registryImages struct {
	client *registry.Client
	images *image.Resolver
}

func (r registryImages) ResolveImage(ctx context.Context, ref, platform string) (resolve.Image, error) {
	parsed, err := registry.ParseReference(ref)
	if err != nil {
		return resolve.Image{}, err
	}
	remote, err := r.client.Remote(parsed)
	if err != nil {
		return resolve.Image{}, err
	}
	found, err := r.client.Head(ctx, parsed)
	if err != nil {
		return resolve.Image{}, err
	}
	out := resolve.Image{Registry: remote.Context().RegistryStr(), Repository: parsed.Repository, Digest: found.Digest, MediaType: found.MediaType, Bytes: found.Bytes}
	if platform == "" {
		return out, nil
	}
	pin, err := r.images.ResolveImage(ctx, recorder.ImageRequest{Name: "image", Ref: string(parsed.WithDigest(found.Digest).String()), Platform: platform})
	out.PlatformDigest = pin.PlatformDigest
	if err == nil && out.PlatformDigest == "" {
		err = &schema.Error{Op: "pin", Kind: schema.Unpinnable, Subject: "image " + ref, Err: fmt.Errorf("it has no manifest for %s", platform)}
	}
	return out, err
}

func (r registryImages) ImageExists(ctx context.Context, ref string) error {
	parsed, err := registry.ParseReference(ref)
	if err != nil {
		return err
	}
	_, err = r.client.Head(ctx, parsed)
	return err
}

// gitCode lets recorder/code serve resolve.
type gitCode struct{ resolver *code.Resolver }

func (g gitCode) ResolveCommit(ctx context.Context, repository, revision string) (schema.ObjectID, error) {
	return g.resolver.ResolveCommit(ctx, gitURL(repository), revision)
}
