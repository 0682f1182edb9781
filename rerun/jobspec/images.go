package jobspec

import (
	"slices"
	"strings"
)

// image notes the reference at h, or what is wrong with it.
func (r *reader) image(h hit, p part) {
	v := h.value
	if v.isNull() && p.optional {
		return
	}
	if r.badText(h) {
		return
	}
	written := v.node.Value
	if isTemplate(written) {
		places := r.follow(r.top.value, r.top.field, h.field, written)
		if len(places) == 0 {
			r.problem(v, h.field, ProblemTemplate, templated)
			return
		}
		r.told[v.node] = true
		for _, at := range places {
			if at.value.isString() && isTemplate(at.value.node.Value) {
				r.problem(at.value, at.field, ProblemTemplate, templated)
				continue
			}
			if h.named != "" {
				at.named = h.named
			}
			r.image(at, p)
		}
		return
	}
	if version, ok := strings.CutPrefix(written, "azureml:"); ok || strings.HasPrefix(written, "azureml://") {
		r.azureAsset(h, version)
		return
	}
	ref, rest := written, ""
	if p.prefix != "" {
		var ok bool
		if ref, ok = strings.CutPrefix(written, p.prefix); !ok {
			if p.prefix == "docker:" || !strings.HasPrefix(p.prefix, "docker") {
				return // an image of the cloud's own
			}
			if r.kind.format == FormatActions { // action.yml: a Dockerfile of the action
				r.problem(v, h.field, ProblemElsewhere, "is built from a Dockerfile; pin that, or name an image with "+p.prefix)
				return
			}
		}
		rest = written[:len(written)-len(ref)]
	}
	parts, reason := splitReference(ref)
	if reason != "" {
		r.problem(v, h.field, codeOf(reason), reason)
		return
	}
	named := h.named
	switch named {
	case "":
		named = KindImage
	case ref: // its name is what it is called by
		named = parts.repository[strings.LastIndexByte(parts.repository, '/')+1:]
	}
	shape := p.shape
	if shape == "" {
		shape = TagAndDigest
	}
	r.note(Reference{Name: named, Kind: KindImage, Value: ref, Pinned: parts.digest != "", Shape: shape, Field: h.field, prefix: rest}, v)
}

// badText tells what is wrong with a value that has to be text.
func (r *reader) badText(h hit) bool {
	switch v := h.value; {
	case v.template:
		r.problem(v, h.field, ProblemTemplate, templated)
	case v.isNull():
		r.problem(v, h.field, ProblemShape, "is empty")
	case !v.isString():
		r.problem(v, h.field, ProblemShape, "is not text")
	default:
		return false
	}
	return true
}

// codeOf gives the code of a reason of splitReference.
func codeOf(reason string) string {
	if reason == templated {
		return ProblemTemplate
	}
	return ProblemReference
}

// note adds a reference that stands at v, or one more field to the reference whose place v shares.
func (r *reader) note(ref Reference, v *value) {
	if i, ok := r.place[v.node]; ok { // the anchor's place serves this field too
		have := &r.spec.References[i]
		if ref.Field == have.Field || slices.Contains(have.Also, ref.Field) {
			return // several paths lead there
		}
		if have.Kind != ref.Kind || have.URL != ref.URL || have.prefix != ref.prefix || have.suffix != ref.suffix {
			r.problem(v, ref.Field, ProblemWritten, "shares its text"+anchorOf(v)+" with "+have.Field+", which means something else; give each its own")
			have.nodes = append(have.nodes, v) // told once
			return
		}
		have.Also = append(have.Also, ref.Field)
		have.nodes = append(have.nodes, v)
		return
	}
	t, reason := r.doc.of.source.locate(v.node)
	if reason != "" {
		r.problem(v, ref.Field, ProblemWritten, reason)
		return
	}
	ref.token, ref.nodes = t, []*value{v}
	r.add(ref, v, t.start, t.end)
}

// add adds a reference that stands between two offsets of the document's text, at the node of v.
func (r *reader) add(ref Reference, v *value, start, end int) {
	switch ref.Kind {
	case KindImage:
		ref.Name = r.taken.next(ref.Name) // code is named when all images are, so that it takes no name from them
	case KindDataset:
		ref.Name = r.datasets.next(ref.Name)
	}
	ref.doc, ref.Document = r.doc, r.doc.index
	ref.Offset, ref.End = r.doc.of.inFile(start), r.doc.of.inFile(end)
	ref.Line, ref.Column = r.doc.of.position(start)
	r.place[v.node] = len(r.spec.References)
	r.spec.References = append(r.spec.References, ref)
}
