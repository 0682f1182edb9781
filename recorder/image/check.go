package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// How a check was made.
const (
	howManifest = "head-manifest"
	howLayers   = "head-layers"
	howEngine   = "engine-inspect"
	howHashed   = "hashed"
)

// CheckImage says whether the image of a pin can still be had, by digest. It asks the registry for the index and for the platform's
// manifest (collectors delete them apart), with Options.Layers for the configuration and every layer too; the engine for a local
// image; and hashes an image file. The state is unknown whenever the answer is not a clear yes or no.
func (r *Resolver) CheckImage(ctx context.Context, pin schema.ImagePin) schema.Availability {
	a := schema.Availability{Pin: "image:" + pin.Name, Ref: pin.Ref}
	if pin.FileDigest != "" {
		return r.checkFile(ctx, pin, a) // a large file may take longer than a registry may
	}
	ctx, cancel := r.registry.Bounded(ctx)
	defer cancel()
	switch {
	case pin.Local:
		return r.checkLocal(ctx, pin, a)
	case pin.Pullable() == "" || pin.Repository == "":
		a.State = schema.StateUnknown
		a.Reason = "the record holds no digest that a registry could be asked for"
		a.Remedy = "record the run again with an image that a registry has"
		return a
	}
	return r.checkRemote(ctx, pin, a)
}

func (r *Resolver) checkRemote(ctx context.Context, pin schema.ImagePin, a schema.Availability) schema.Availability {
	a.Value, a.How = schema.Text(pin.Pullable()), howManifest
	ref, err := registry.ParseReference(pin.Repository + "@" + string(pin.Pullable()))
	if err != nil {
		return unknown(a, err)
	}
	if _, err := r.registry.Head(ctx, ref); err != nil {
		return r.notThere(ctx, pin, ref, a, "", err)
	}
	if pin.IndexDigest != "" && pin.PlatformDigest != "" && pin.PlatformDigest != pin.IndexDigest {
		if _, err := r.registry.Head(ctx, ref.WithDigest(pin.PlatformDigest)); err != nil {
			return r.notThere(ctx, pin, ref, a, fmt.Sprintf("the index is there, its image for %s (%s) is not: ", pin.Platform, pin.PlatformDigest.Short()), err)
		}
	}
	if r.layers && pin.PlatformDigest != "" {
		a.How = howLayers
		if missing, err := r.missingBlob(ctx, ref, pin.PlatformDigest); err != nil {
			return r.notThere(ctx, pin, ref, a, "", err)
		} else if missing != "" {
			a.State, a.Reason = schema.StateGone, fmt.Sprintf("the manifest is there, its part %s is not", missing)
			a.Remedy = "push the image again from a machine that has it"
			return a
		}
	}
	a.State = schema.StateAvailable
	return a
}

// notThere turns an error of the registry into a state; what says what is missing.
func (r *Resolver) notThere(ctx context.Context, pin schema.ImagePin, ref registry.Reference, a schema.Availability, what string, err error) schema.Availability {
	switch {
	case registry.Absent(err):
		a.State, a.Reason = schema.StateGone, what+reasonOf(err)
		a.Remedy = "push the image again from a machine that has it: " + ref.String()
		if pin.Tag != "" && !errors.Is(err, registry.ErrNameUnknown) {
			if now, terr := r.registry.Head(ctx, ref.WithTag(pin.Tag)); terr == nil && now.Digest != pin.Pullable() {
				a.Found = schema.Text(now.Digest)
				a.Reason += fmt.Sprintf("; the tag %s names another image now", pin.Tag)
			}
		}
		return a
	case errors.Is(err, registry.ErrDigestMismatch):
		a.State, a.Reason, a.Remedy = schema.StateChanged, reasonOf(err), schema.HintOf(err)
		return a
	}
	return unknown(a, err)
}

func unknown(a schema.Availability, err error) schema.Availability {
	a.State, a.Reason, a.Remedy = schema.StateUnknown, reasonOf(err), schema.HintOf(err)
	return a
}

// reasonOf gives the cause without the subject, which Ref and Value name already.
func reasonOf(err error) string {
	var e *schema.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// maxLayers bounds how many blobs of one image are asked for; engines do not run images with more than some hundred layers.
const maxLayers = 2000

// missingBlob asks for the configuration and the layers of an image and names the first, in their order, that the registry lacks.
func (r *Resolver) missingBlob(ctx context.Context, ref registry.Reference, d schema.Digest) (schema.Digest, error) {
	doc, err := r.manifest(ctx, ref, d)
	if err != nil {
		return "", err
	}
	if doc.isIndex() {
		return "", r.fail(schema.Unpinnable, ref.String(), errors.New("the recorded platform digest names an index"), "")
	}
	blobs := []descriptor{*doc.Config}
	if doc.Layers != nil {
		for _, layer := range *doc.Layers {
			if len(layer.URLs) == 0 { // others are fetched elsewhere
				blobs = appendNew(blobs, layer)
			}
		}
	}
	if len(blobs) > maxLayers {
		return "", r.fail(schema.Unpinnable, ref.String(), fmt.Errorf("it has more than %d layers", maxLayers), "")
	}
	there := make([]bool, len(blobs))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, blob := range blobs {
		g.Go(func() (err error) {
			there[i], err = r.registry.HasBlob(gctx, ref, blob.Digest)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	for i, ok := range there {
		if !ok {
			return blobs[i].Digest, nil
		}
	}
	return "", nil
}

func (r *Resolver) checkLocal(ctx context.Context, pin schema.ImagePin, a schema.Availability) schema.Availability {
	id := pin.ConfigDigest
	if id == "" {
		id = pin.Pullable()
	}
	a.Value, a.How = schema.Text(id), howEngine
	if !id.Valid() {
		a.State, a.Reason = schema.StateUnknown, "the record holds no digest of the image"
		return a
	}
	engines, err := r.enginesFor(pin.Engine)
	if err != nil {
		return unknown(a, err)
	}
	found, err := inspectAny(ctx, engines, string(id))
	switch {
	case schema.KindOf(err) == schema.NotFound:
		a.State, a.Reason = schema.StateGone, reasonOf(err)
		a.Remedy = "the image was never pushed: run where it was recorded, or build it again, push it, and record anew"
		return a
	case err != nil:
		return unknown(a, err)
	}
	if got, ok := found.config(); ok && pin.ConfigDigest != "" && got != pin.ConfigDigest {
		a.State, a.Found, a.Reason = schema.StateChanged, schema.Text(got), found.engine+" answers another image for the id"
		return a
	}
	a.State = schema.StateAvailable
	return a
}

func (r *Resolver) checkFile(ctx context.Context, pin schema.ImagePin, a schema.Availability) schema.Availability {
	path := pin.Ref.String()
	a.Value, a.How = schema.Text(pin.FileDigest), howHashed
	got, err := hashFile(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(path):
		wd, _ := os.Getwd()
		a.State, a.Reason = schema.StateUnknown, strings.TrimSpace("there is no such file below "+wd)
		a.Remedy = "the path is relative: ask again in the directory where the run was recorded"
	case errors.Is(err, fs.ErrNotExist):
		a.State, a.Reason, a.Remedy = schema.StateGone, "there is no such file", "put the file back, or make the image again and record anew"
	case err != nil:
		return unknown(a, err)
	case got != pin.FileDigest:
		a.State, a.Found = schema.StateChanged, schema.Text(got)
		a.Reason, a.Remedy = "the file has other bytes than were recorded", "put the recorded file back"
	default:
		a.State = schema.StateAvailable
	}
	return a
}
