package jobspec

import "strings"

// container notes what a container runs and fetches. An image that is missing may be given by what the container is made from.
func (r *reader) container(in *pod, h hit, p part) {
	if h.value.isNull() {
		return
	}
	if !isMapping(h.value) {
		r.problem(h.value, h.field, ProblemShape, wrongKind(h.value, "a mapping"))
		return
	}
	image := h.value.get("image")
	switch {
	case image != nil && h.value.get("build") != nil && r.kind.format == FormatCompose:
		r.problem(h.value.get("build"), join(h.field, "build"), ProblemElsewhere, "is built here, so it has no digest yet; build and push it, and take build out")
	case image != nil:
		r.image(hit{field: join(h.field, "image"), value: image, named: h.named}, p)
	case p.bare || r.inherits(h):
	case h.value.get("build") != nil && r.kind.format == FormatCompose:
		r.problem(h.value.get("build"), join(h.field, "build"), ProblemElsewhere, "is built here, so it has no digest yet; build and push it, and name the image")
	default:
		r.problem(h.value, h.field, ProblemShape, "has no image")
	}
	env := p.env
	if env == "" {
		env = "env"
	}
	// A step that is taken from elsewhere may not have variables, and for a provider of compose no container is started.
	if !(r.kind.group == "tekton.dev" && h.value.get("ref") != nil || r.kind.format == FormatCompose && h.value.get("provider") != nil) {
		in.containers = append(in.containers, container{h, env})
	}
	r.gitSync(h)
	r.variables(h, env)
}

// inherits says whether a container without an image gets one from elsewhere in the same object.
func (r *reader) inherits(h hit) bool {
	switch {
	case r.kind.group == "argoproj.io":
		spec := r.top.value.get("spec")
		if inner := spec.get("workflowSpec"); inner != nil {
			spec = inner
		}
		defaults := spec.get("templateDefaults")
		for _, key := range []string{"container", "script"} {
			if strings.HasSuffix(h.field, "."+key) && defaults != nil && defaults.get(key) != nil {
				return defaults.get(key).get("image") != nil
			}
		}
	case r.kind.format == FormatCompose:
		extends := h.value.get("extends") // of another file it is told by itself
		if h.value.get("provider") != nil {
			return true // no container is started for it
		}
		if h.value.get("build") != nil || extends == nil {
			return false
		}
		if extends.get("file") != nil {
			return true
		}
		name := extends.text()
		if name == "" {
			name = extends.get("service").text()
		}
		base := r.top.value.get("services").get(name)
		return base != nil && base.get("image") != nil
	case r.kind.group == "tekton.dev":
		if h.value.get("ref") != nil {
			return true // told, or pinned, by itself
		}
		if i := strings.LastIndex(h.field, ".steps["); i >= 0 {
			task := valueAt(r.doc.value, "", h.field[:i])
			return task != nil && task.get("stepTemplate") != nil && task.get("stepTemplate").get("image") != nil
		}
	}
	return false
}
