package jobspec

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// declared notes what stands at the places that the user declared.
func (r *reader) declared(v *value) (found bool) {
	if !isMapping(v) && v.node.Kind != yaml.SequenceNode {
		return false
	}
	r.kind, r.top = &kind{format: FormatDeclared, name: FormatDeclared}, hit{value: v}
	for _, f := range r.Fields {
		walk(v, "", f.Path, func(h hit) {
			if h.wrong != "" || h.missing != "" {
				return
			}
			r.used[f], found = true, true
			if r.spec.Format == "" {
				r.spec.Format = FormatDeclared
			}
			switch f.Kind {
			case KindImage:
				if isMapping(h.value) {
					r.imageMap(h, part{keys: helmKeys})
					return
				}
				if f.Name != "" {
					h.named = f.Name
				}
				r.image(h, part{})
			case KindCode:
				r.declaredCode(h, f)
			case KindDataset:
				r.declaredDataset(h, f)
			}
		})
	}
	return found
}

func (r *reader) declaredCode(h hit, f Field) {
	if r.badText(h) {
		return
	}
	text := h.value.node.Value
	if _, isCode, _ := findCodeURL(text); isCode {
		r.url(h)
		return
	}
	if isTemplate(text) {
		r.problem(h.value, h.field, ProblemTemplate, templated)
		return
	}
	name := f.Name
	if name == "" {
		name = KindCode
	}
	_, err := schema.ParseObjectID(text)
	r.note(Reference{Name: name, Kind: KindCode, Value: text, Pinned: err == nil, Field: h.field}, h.value)
}

// declaredDataset: the place holds a version, or a URI with or without one.
func (r *reader) declaredDataset(h hit, f Field) {
	if r.badText(h) {
		return
	}
	text := h.value.node.Value
	if isTemplate(text) {
		r.problem(h.value, h.field, ProblemTemplate, templated)
		return
	}
	ref := Reference{Name: f.Name, Kind: KindDataset, Value: text, Field: h.field}
	if strings.Contains(text, "://") {
		ref = datasetReference(f.Name, text, h.field)
	}
	r.note(ref, h.value)
}

// anyImage takes every key called image for an image, wherever it stands.
func (r *reader) anyImage(top hit) (found bool) {
	r.kind, r.top = &kind{format: FormatDeclared, name: FormatDeclared}, top
	var look func(h hit)
	look = func(h hit) {
		for i := range h.value.items {
			look(h.item(i))
		}
		for _, e := range h.value.entries {
			below := hit{field: join(h.field, e.name), value: e.value, named: h.named}
			switch {
			case e.name != KindImage:
				if below.named == "" {
					below.named = e.name
				}
				look(below)
			case e.value.isString():
				found = true
				r.image(below, part{})
			case isMapping(e.value) && (e.value.get("repository") != nil || e.value.get("tag") != nil):
				found = true
				r.imageMap(below, part{keys: helmKeys})
			default:
				look(below)
			}
		}
	}
	look(top)
	if found && r.spec.Format == "" {
		r.spec.Format = FormatDeclared
	}
	return found
}

// anyContainers notes the images of every list of containers in an object of a kind that is not known.
func (r *reader) anyContainers(object hit) (found bool) {
	k := &kind{name: "object"}
	was := r.kind
	defer func(top hit) { r.kind, r.top = was, top }(r.top)
	r.kind, r.top = k, object
	in := pod{object: object.value, template: object.value, field: object.field}
	var look func(h hit)
	look = func(h hit) {
		for i := range h.value.items {
			look(h.item(i))
		}
		for _, e := range h.value.entries {
			below := hit{field: join(h.field, e.name), value: e.value, named: h.named}
			if (e.name == "containers" || e.name == "initContainers") && e.value.node.Kind == yaml.SequenceNode {
				for i := range e.value.items {
					if item := below.item(i); isMapping(item.value) && item.value.get("image") != nil {
						found = true
						r.container(&in, item, part{})
					}
				}
				continue
			}
			if e.name == "status" && h.field == object.field {
				continue
			}
			look(below)
		}
	}
	look(object)
	if found {
		r.doc.pods = append(r.doc.pods, in)
		if r.spec.Format == "" {
			r.spec.Format = FormatKubernetes
		}
		r.spec.Live = r.spec.Live || isLive(object.value)
	}
	return found
}
