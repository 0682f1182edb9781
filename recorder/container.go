package recorder

import (
	"path"
	"path/filepath"
	"slices"

	"github.com/runpin/runpin/schema"
)

type seenPaths struct{ typed, absolute map[string]string }

// enterContainer mounts the checkout at containerRoot, each data set read-only where the command expects it, and the directories of outputs that
// lie outside the checkout.
func (p *Planned) enterContainer(place *placement, root, rel string, sources map[string]string) seenPaths {
	plan := &p.Run.Plan
	seen := seenPaths{map[string]string{}, map[string]string{}}
	place.launcher, place.dir = plan.Launcher, path.Join(containerRoot, filepath.ToSlash(rel))
	place.mounts = []Mount{{Source: root, Target: containerRoot}}
	for i := range plan.Images {
		plan.Images[i].Use, plan.Images[i].Engine = schema.Enforced, plan.Launcher
		place.image = pinnedRef(plan.Images[i])
	}
	for name, value := range plan.Variables {
		place.env = append(place.env, name+"="+string(value))
	}
	slices.Sort(place.env)
	inside := func(pt schema.Path) string {
		switch {
		case pt.Base == schema.BaseCheckout:
			return path.Join(containerRoot, string(pt.Rel))
		case !path.IsAbs(string(pt.Typed)):
			return path.Join(place.dir, string(pt.Typed))
		default:
			return path.Clean(string(pt.Typed))
		}
	}
	note := func(name string, pt schema.Path, target string) {
		seen.absolute[name], seen.typed[name] = target, string(pt.Typed)
		if filepath.IsAbs(string(pt.Typed)) {
			seen.typed[name] = target
		}
	}
	for _, d := range plan.Datasets {
		if d.Path == nil || sources[d.Name] == "" {
			continue
		}
		target := inside(*d.Path)
		note(d.Name, *d.Path, target)
		place.mounts = append(place.mounts, Mount{Source: sources[d.Name], Target: target, ReadOnly: true})
	}
	mounted := map[string]bool{}
	for _, o := range plan.DeclaredOutputs {
		if o.Path == nil {
			continue
		}
		target := inside(*o.Path)
		note(o.Name, *o.Path, target)
		if parent := path.Dir(target); o.Path.Base != schema.BaseCheckout && !mounted[parent] && !under(parent, containerRoot) {
			mounted[parent] = true
			place.mounts = append(place.mounts, Mount{Source: filepath.Dir(string(o.Path.Located)), Target: parent})
		}
	}
	return seen
}
