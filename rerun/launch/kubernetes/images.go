package kubernetes

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// expected is what the pods of a job may run: the digests that stand in the job, as it was submitted where that is known.
type expected struct {
	pins  []schema.ImagePin
	same  map[string]bool            // keys of others that were found to be the pinned image
	named map[string][]schema.Digest // by the name of a container
}

// expects gives what a job may run that the cluster shows as object. Where this process submitted it, what it sent counts; else the pins of the run do: a container of the job that runs none
// of them, while one of them stands nowhere in the job, has taken its place.
func (l *Launcher) expects(run schema.RunID, object map[string]any) *expected {
	if sent, ok := l.sent.Load(run); ok {
		x := *sent.(*expected)
		x.same = map[string]bool{}
		return &x
	}
	x := expect(object, l.options.Images)
	var missing []schema.Digest
	there := byDigest(object)
	for _, pin := range x.pins {
		d := pin.Pullable()
		if d == "" || pin.Local || slices.ContainsFunc(slices.Collect(maps.Values(there)), func(text string) bool { ok, _ := x.allows([]schema.Digest{d}, digestOf(text), true); return ok }) {
			continue
		}
		missing = append(missing, d)
	}
	if len(missing) == 0 {
		return x
	}
	for _, name := range containers(object, 0) {
		ours := slices.DeleteFunc(slices.Clone(x.named[name]), func(d schema.Digest) bool { return !x.pinned(d) })
		if len(ours) < len(x.named[name]) || len(ours) == 0 {
			x.named[name] = append(ours, missing...)
		}
	}
	return x
}

// pinned reports whether a pin of the run names the digest.
func (x *expected) pinned(d schema.Digest) bool {
	return slices.ContainsFunc(x.pins, func(p schema.ImagePin) bool {
		return d == p.IndexDigest || d == p.PlatformDigest || d == p.ConfigDigest
	})
}

// containers gives the names of what has an image in an object.
func containers(v any, depth int) (names []string) {
	if depth > 64 {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		name, _ := v["name"].(string)
		if image, _ := v["image"].(string); name != "" && image != "" {
			names = append(names, name)
		}
		for _, inner := range v {
			names = append(names, containers(inner, depth+1)...)
		}
	case []any:
		for _, inner := range v {
			names = append(names, containers(inner, depth+1)...)
		}
	}
	return names
}

// digestOf gives the digest at the end of a reference, or "".
func digestOf(ref string) schema.Digest {
	_, after, _ := strings.Cut(ref, "@")
	d, err := schema.ParseDigest(after)
	if err != nil {
		return ""
	}
	return d
}

// expect collects the containers of a job, wherever its kind keeps them.
func expect(job map[string]any, pins []schema.ImagePin) *expected {
	x := &expected{pins: pins, same: map[string]bool{}, named: map[string][]schema.Digest{}}
	x.collect(job["spec"], 0)
	return x
}

func (x *expected) collect(v any, depth int) {
	if depth > 64 {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		name, _ := v["name"].(string)
		image, _ := v["image"].(string)
		if d := digestOf(image); name != "" && d != "" && !slices.Contains(x.named[name], d) {
			x.named[name] = append(x.named[name], d)
		}
		for _, inner := range v {
			x.collect(inner, depth+1)
		}
	case []any:
		for _, inner := range v {
			x.collect(inner, depth+1)
		}
	}
}

// sameImage reports whether what runs, though no pin names its digest, has the configuration that a pin names. It is asked for in the pin's own repository: what a node tells does not
// choose the host that is asked.
func (l *Launcher) sameImage(ctx context.Context, wrong *other) bool {
	if l.options.Describe == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, l.options.Timeout)
	defer cancel()
	for _, pin := range l.options.Images {
		if pin.ConfigDigest == "" || pin.Repository == "" || !slices.Contains(wrong.pinned, pin.IndexDigest) && !slices.Contains(wrong.pinned, pin.PlatformDigest) {
			continue
		}
		runs, _, err := l.options.Describe.DescribeImage(ctx, pin.Repository+"@"+string(wrong.runs), pin.Platform)
		if err == nil && runs.ConfigDigest == pin.ConfigDigest {
			return true
		}
	}
	return false
}

// other is a container that runs something else than what is pinned.
type other struct {
	container string
	pinned    []schema.Digest
	runs      schema.Digest
}

func (o *other) key() string { return string(o.runs) + " for " + join(o.pinned) }

// check compares what a pod reports with what its containers are pinned to. A container that the job does not name (a proxy that the cluster put in) is held to the digest in its own
// reference, if it has one. doubt names a container of which the comparison cannot say.
func (x *expected) check(p *pod) (wrong *other, doubt string) {
	for _, group := range []struct {
		asked []container
		told  []runtimeOf
	}{{p.Spec.Inits, p.Status.Inits}, {p.Spec.Containers, p.Status.Containers}} {
		for _, t := range group.told {
			pinned := x.named[t.Name]
			runs, byManifest := imageID(t.ImageID)
			if len(pinned) == 0 && t.Name == p.main() && runs != "" && len(x.pins) > 0 && !x.pinned(runs) { // what the pod is there for, and no image of the run
				doubt = t.Name
			}
			for _, c := range group.asked {
				if d := digestOf(c.Image); c.Name == t.Name && d != "" && len(pinned) == 0 {
					pinned = []schema.Digest{d}
				}
			}
			if len(pinned) > 0 && runs == "" && t.State.Terminated != nil { // it ran, and nobody says what
				doubt = t.Name
			}
			if len(pinned) == 0 || runs == "" {
				continue
			}
			o := &other{t.Name, pinned, runs}
			switch ok, known := x.allows(pinned, runs, byManifest); {
			case ok || x.same[o.key()]:
			case known:
				return o, ""
			default:
				doubt = t.Name
			}
		}
	}
	return nil, doubt
}

// allows reports whether what runs is one of what is pinned: the digest itself, or its index or manifest as the run's pins know them. known is false when that cannot be said: of the
// digest of a configuration, and of an index whose manifest for the platform is not known.
func (x *expected) allows(pinned []schema.Digest, runs schema.Digest, byManifest bool) (ok, known bool) {
	known = byManifest
	for _, d := range pinned {
		if d == runs {
			return true, true
		}
		for _, pin := range x.pins {
			if d != pin.IndexDigest && d != pin.PlatformDigest && d != pin.ConfigDigest {
				continue
			}
			if runs == pin.IndexDigest || runs == pin.PlatformDigest || runs == pin.ConfigDigest {
				return true, true
			}
			if pin.PlatformDigest == "" {
				known = false
			}
		}
	}
	return false, known
}

var (
	scheme   = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)
	hexAlone = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// imageID reads the imageID of a container's status, in the forms that runtimes write (kubernetes#115199): repo@sha256:…, docker-pullable://repo@sha256:… name a manifest; sha256:…,
// docker://sha256:… and bare digits the configuration of an image.
func imageID(s string) (d schema.Digest, byManifest bool) {
	if len(s) > 1024 {
		return "", false
	}
	s = s[len(scheme.FindString(s)):]
	if hexAlone.MatchString(s) {
		s = "sha256:" + s
	}
	at := strings.LastIndexByte(s, '@')
	d, err := schema.ParseDigest(s[at+1:])
	if err != nil {
		return "", false
	}
	return d, at >= 0
}
