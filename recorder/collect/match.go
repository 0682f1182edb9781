package collect

import (
	"regexp"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// pinName is the name that a pin has which stands for a container of this name: rerun/jobspec names them so, and numbers those that would be equal (name_2, name_3).
func pinName(container string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(container), "_"), "_")
	switch {
	case name == "":
		name = "image"
	case name[0] < 'a' || name[0] > 'z':
		name = "image_" + name
	}
	return name[:min(len(name), 63)]
}

var numbered = regexp.MustCompile(`^(.*)_[1-9][0-9]*$`)

// matchPin finds the pin that a container was started from, or nil. Names come first; among pins of one name, the place in the spec (the type of the replica, the list
// of containers), then the digests, then the reference decide. A container that no pin is named after (a template of Argo calls it main) is found by what it was asked to run.
func matchPin(pins []schema.ImagePin, c Container, seen schema.ImagePin) *schema.ImagePin {
	var all []*schema.ImagePin
	name := pinName(c.Name)
	for i := range pins {
		base := pins[i].Name
		if m := numbered.FindStringSubmatch(base); m != nil && m[1] == name && base != name {
			base = m[1]
		}
		if base == name {
			all = append(all, &pins[i])
		}
	}
	named := len(all) > 0
	if !named {
		for i := range pins {
			all = append(all, &pins[i])
		}
	}
	narrow := func(holds func(*schema.ImagePin) bool) {
		if some := filter(all, holds); len(some) > 0 {
			all = some
		}
	}
	if named {
		if c.Role != "" {
			narrow(func(p *schema.ImagePin) bool { return stands(p, "ReplicaSpecs."+c.Role+".") })
		}
		narrow(func(p *schema.ImagePin) bool { return stands(p, "."+string(c.Kind)+"[") })
		narrow(func(p *schema.ImagePin) bool { return agrees(*p, seen) })
		narrow(func(p *schema.ImagePin) bool { return asked(*p, c.Image) })
		return all[0]
	}
	byReference := filter(all, func(p *schema.ImagePin) bool { return asked(*p, c.Image) })
	if len(byReference) == 0 {
		byReference = filter(all, func(p *schema.ImagePin) bool { return agrees(*p, seen) })
	}
	if len(byReference) == 0 {
		return nil
	}
	return byReference[0]
}

func filter(pins []*schema.ImagePin, holds func(*schema.ImagePin) bool) []*schema.ImagePin {
	return slices.DeleteFunc(slices.Clone(pins), func(p *schema.ImagePin) bool { return !holds(p) })
}

// stands reports whether one of the places that name the pin has this in it.
func stands(p *schema.ImagePin, place string) bool {
	return slices.ContainsFunc(p.Where, func(w schema.Text) bool { return strings.Contains(strings.ToLower(string(w)), strings.ToLower(place)) })
}

// agrees reports whether a digest that was seen is one of the pin's.
func agrees(p, seen schema.ImagePin) bool {
	for _, d := range []schema.Digest{seen.IndexDigest, seen.PlatformDigest, seen.ConfigDigest} {
		if d != "" && (d == p.IndexDigest || d == p.PlatformDigest || d == p.ConfigDigest) {
			return true
		}
	}
	return false
}

// asked reports whether a container's image is written as the pin's was, or as it was pinned.
func asked(p schema.ImagePin, image string) bool {
	return image != "" && (image == string(p.Ref) || image == p.PinnedReference(true) || image == p.PinnedReference(false))
}
