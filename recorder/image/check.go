package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

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
// manifest (collectors delete them apart), with Options.Layers for the configuration and every layer too, all at once; the engine for a
// local image; and hashes an image file. The state is unknown whenever the answer is not a clear yes or no.
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

// checkRemote asks for everything at once: the index, the platform's manifest, and its parts.
func (r *Resolver) checkRemote(ctx context.Context, pin schema.ImagePin, a schema.Availability) schema.Availability {
	a.Value, a.How = schema.Text(pin.Pullable()), howManifest
	ref, err := registry.ParseReference(pin.Repository + "@" + string(pin.Pullable()))
	if err != nil {
		return unknown(a, err)
	}
	child := pin.IndexDigest != "" && pin.PlatformDigest != "" && pin.PlatformDigest != pin.IndexDigest
	var (
		wg                           sync.WaitGroup
		indexErr, childErr, blobsErr error
		missing                      []schema.Digest
		platform                     = fmt.Sprintf("its image for %s (%s)", pin.Platform, pin.PlatformDigest.Short())
		problems                     []problem
	)
	wg.Go(func() { _, indexErr = r.registry.Head(ctx, ref) })
	if child {
		wg.Go(func() { _, childErr = r.registry.Head(ctx, ref.WithDigest(pin.PlatformDigest)) })
	}
	if r.layers && pin.PlatformDigest != "" {
		a.How = howLayers
		wg.Go(func() { missing, blobsErr = r.missingBlobs(ctx, ref, pin.PlatformDigest) })
	}
	wg.Wait()
	if indexErr != nil {
		problems = append(problems, problemOf("", indexErr))
	}
	switch {
	case childErr == nil && child && registry.Absent(indexErr):
		problems = append(problems, problem{schema.StateGone, platform + " is still there", ""})
	case childErr != nil && indexErr == nil && registry.Absent(childErr):
		problems = append(problems, problemOf("the index is there, "+platform+" is not: ", childErr))
	case childErr != nil && (indexErr == nil || reasonOf(indexErr) != reasonOf(childErr)):
		problems = append(problems, problemOf(platform+": ", childErr))
	}
	switch {
	case len(missing) > 0 && !registry.Absent(indexErr) && !registry.Absent(childErr): // else the manifest that names them is known from before
		problems = append(problems, problem{schema.StateGone, "the manifest is there, " + namedParts(missing), ""})
	case blobsErr != nil && indexErr == nil && childErr == nil:
		problems = append(problems, problemOf("", blobsErr))
	}
	return r.judge(ctx, pin, ref, a, problems)
}

// problem is one thing that is not as recorded.
type problem struct {
	state  schema.State
	reason string
	remedy string
}

// problemOf turns an error of the registry into a state; what says what it is about.
func problemOf(what string, err error) problem {
	p := problem{schema.StateUnknown, what + reasonOf(err), schema.HintOf(err)}
	switch {
	case registry.Absent(err):
		p.state, p.remedy = schema.StateGone, ""
	case errors.Is(err, registry.ErrDigestMismatch):
		p.state = schema.StateChanged
	}
	return p
}

// judge makes one answer of the problems: what is certain comes first, and gone before changed.
func (r *Resolver) judge(ctx context.Context, pin schema.ImagePin, ref registry.Reference, a schema.Availability, problems []problem) schema.Availability {
	a.State = schema.StateAvailable
	var reasons []string
	for _, state := range []schema.State{schema.StateGone, schema.StateChanged, schema.StateUnknown} {
		for _, p := range problems {
			if p.state != state {
				continue
			}
			if a.State == schema.StateAvailable {
				a.State = state
			}
			if a.Remedy == "" && a.State == state {
				a.Remedy = p.remedy
			}
			reasons = append(reasons, p.reason)
		}
	}
	if a.State == schema.StateGone {
		a.Remedy = "push the image again from a machine that has it: " + ref.String()
		if pin.Tag != "" && !strings.Contains(reasons[0], registry.ErrNameUnknown.Error()) {
			if now, err := r.registry.Head(ctx, ref.WithTag(pin.Tag)); err == nil && now.Digest != pin.Pullable() {
				a.Found = schema.Text(now.Digest)
				reasons = append(reasons, fmt.Sprintf("the tag %s names another image now", pin.Tag))
			}
		}
	}
	a.Reason = strings.Join(reasons, "; ")
	return a
}

// namedParts says which parts of an image are missing.
func namedParts(missing []schema.Digest) string {
	const named = 3
	if len(missing) == 1 {
		return fmt.Sprintf("its part %s is not", missing[0])
	}
	text := "its parts"
	for i, d := range missing[:min(named, len(missing))] {
		if i > 0 {
			text += ","
		}
		text += " " + string(d)
	}
	if more := len(missing) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + " are not"
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

// missingBlobs asks for the configuration and the layers of an image, all at once, and names those that the registry lacks, in their order. Where it could not be
// found out for some, the error is that of the first of them; what is known to be missing is given all the same.
func (r *Resolver) missingBlobs(ctx context.Context, ref registry.Reference, d schema.Digest) ([]schema.Digest, error) {
	doc, err := r.manifest(ctx, ref, d)
	if err != nil {
		return nil, err
	}
	if doc.isIndex() {
		return nil, r.fail(schema.Unpinnable, ref.String(), errors.New("the recorded platform digest names an index"), "")
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
		return nil, r.fail(schema.Unpinnable, ref.String(), fmt.Errorf("it has more than %d layers", maxLayers), "")
	}
	there, failed := make([]bool, len(blobs)), make([]error, len(blobs))
	var g errgroup.Group
	g.SetLimit(32) // the registry client itself bounds the requests to one host
	for i, blob := range blobs {
		g.Go(func() error {
			there[i], failed[i] = r.registry.HasBlob(ctx, ref, blob.Digest)
			return nil
		})
	}
	_ = g.Wait()
	var missing []schema.Digest
	for i := range blobs {
		if err == nil {
			err = failed[i]
		}
		if !there[i] && failed[i] == nil {
			missing = append(missing, blobs[i].Digest)
		}
	}
	return missing, err
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
