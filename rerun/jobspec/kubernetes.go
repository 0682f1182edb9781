package jobspec

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// reader collects the references of one document.
type reader struct {
	spec  *Spec
	doc   *document
	x     *expander
	taken pinNames
	place map[*yaml.Node]int  // scalar → index of its reference
	told  map[*yaml.Node]bool // nodes whose problem was told
	once  map[Problem]bool
}

// object reads one object of Kubernetes at field, and says whether its kind is one that starts something.
func (r *reader) object(v *value, field string, depth int) (known bool) {
	if v.node.Kind != yaml.MappingNode || v.template {
		r.problem(v, field, wrongKind(v, "an object with apiVersion and kind"))
		return false
	}
	name, group := v.get("kind").text(), groupOf(v.get("apiVersion").text())
	if name == "" {
		r.problem(v, field, "has no kind")
		return false
	}
	if imageless[group+"/"+name] {
		return false
	}
	k := kindOf(group, name)
	if k == nil {
		where := v
		if at := v.get("kind"); at != nil {
			where = at
		}
		shown := name
		if group != "" {
			shown += " of " + group
		}
		r.problem(where, join(field, "kind"), fmt.Sprintf("kind %s is not one that runpin can pin; it may name an image", shown))
		return false
	}
	r.spec.Live = r.spec.Live || isLive(v)
	if k.objects != "" {
		walk(v, field, k.objects, func(h hit) {
			switch {
			case h.wrong != "":
				r.problem(h.value, h.field, h.wrong)
				return
			case h.missing != "":
				return // an empty list
			case depth == maxLists:
				r.problem(h.value, h.field, fmt.Sprintf("is a list inside %d lists", maxLists))
				return
			}
			known = r.object(h.value, h.field, depth+1) || known
		})
		return known
	}
	for _, path := range k.pods {
		walk(v, field, path, func(h hit) { r.pod(v, h) })
	}
	for _, path := range k.workflows {
		walk(v, field, path, func(h hit) { r.workflow(v, h) })
	}
	return true
}

func (r *reader) pod(object *value, h hit) {
	if h.wrong != "" || h.missing != "" {
		r.image(h)
		return
	}
	r.doc.pods = append(r.doc.pods, pod{object: object, template: h.value, field: h.field, within: h.value, containers: podContainers})
	for _, path := range podImages {
		walk(h.value, h.field, path, r.image)
	}
	for _, path := range podContainers {
		walk(h.value, h.field, path, r.gitSync)
	}
}

// image notes the reference at h, or what is wrong with it.
func (r *reader) image(h hit) {
	v := h.value
	switch {
	case h.wrong != "":
		r.problem(v, h.field, h.wrong)
		return
	case h.missing != "":
		r.problem(v, h.field, "has no "+h.missing)
		return
	case v.template:
		r.problem(v, h.field, templated)
		return
	case v.isNull():
		r.problem(v, h.field, "is empty")
		return
	case !v.isString():
		r.problem(v, h.field, "is not text")
		return
	}
	parts, reason := splitReference(v.node.Value)
	if reason != "" {
		r.problem(v, h.field, reason)
		return
	}
	named := h.named
	if named == "" {
		named = KindImage
	}
	r.note(Reference{Name: named, Kind: KindImage, Value: v.node.Value, Pinned: parts.digest != "", Shape: TagAndDigest, Field: h.field}, v)
}

// note adds a reference that stands at v, or one more field to the reference whose place v shares.
func (r *reader) note(ref Reference, v *value) {
	if i, ok := r.place[v.node]; ok { // the anchor's place serves this field too
		have := &r.spec.References[i]
		if have.Kind != ref.Kind || have.URL != ref.URL {
			r.problem(v, ref.Field, "shares its text"+anchorOf(v)+" with "+have.Field+", which means something else; give each its own")
			have.nodes = append(have.nodes, v) // told once
			return
		}
		have.Also = append(have.Also, ref.Field)
		have.nodes = append(have.nodes, v)
		return
	}
	t, reason := r.spec.source.locate(v.node)
	if reason != "" {
		r.problem(v, ref.Field, reason)
		return
	}
	if ref.Kind == KindImage {
		ref.Name = r.taken.next(ref.Name) // code is named when all images are, so that it takes no name from them
	}
	ref.Document, ref.Offset, ref.End, ref.token, ref.nodes = r.doc.index, t.start, t.end, t, []*value{v}
	ref.Line, ref.Column = r.spec.source.position(t.start)
	r.place[v.node] = len(r.spec.References)
	r.spec.References = append(r.spec.References, ref)
}

// finish looks at what can be judged only when the whole document was read.
func (r *reader) finish() {
	for _, n := range r.x.templates {
		if !r.told[n] {
			r.problem(&value{node: n}, "", templated)
		}
	}
	if !r.x.shared {
		return
	}
	for node, i := range r.place {
		ref := r.spec.References[i]
		if used := r.x.visits[node]; used != len(ref.nodes) {
			r.problem(ref.nodes[0], ref.Field, "shares its text"+anchorOf(ref.nodes[0])+" with a field that is not "+map[string]string{KindImage: "an image", KindCode: "a revision"}[ref.Kind]+"; give each its own")
		}
	}
}

func anchorOf(v *value) string {
	switch {
	case v.via != nil:
		return " through the anchor &" + v.via.Value
	case v.node.Anchor != "":
		return " through the anchor &" + v.node.Anchor
	default:
		return " through an anchor"
	}
}

func (r *reader) problem(v *value, field, reason string) {
	n := v.at()
	r.told[v.node] = true
	p := Problem{Document: r.doc.index, Field: field, Reason: reason}
	if v.node.Kind == yaml.ScalarNode {
		p.Value = v.node.Value
	}
	p.Line, p.Column = r.spec.source.place(n.Line, n.Column)
	if r.once[p] {
		return // several paths lead there
	}
	r.once[p] = true
	r.spec.Problems = append(r.spec.Problems, p)
}

// isLive reports whether an API server has seen the object.
func isLive(v *value) bool {
	meta := v.get("metadata")
	return meta != nil && (meta.get("uid") != nil || meta.get("resourceVersion") != nil)
}
