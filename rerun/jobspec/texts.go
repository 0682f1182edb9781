package jobspec

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// text reads a string that holds documents.
func (r *reader) text(h hit, p part) {
	if h.value.isNull() || h.value.node.Kind == yaml.ScalarNode && strings.TrimSpace(h.value.node.Value) == "" {
		return
	}
	if isMapping(h.value) { // some controllers take the object itself as well
		r.parts(pod{object: h.value, template: h.value, field: h.field, plain: true}, h, p.parts)
		return
	}
	if !h.value.isString() {
		r.problem(h.value, h.field, ProblemShape, "is not text")
		return
	}
	r.texts[h.value.node]++
	if r.texts[h.value.node] > 1 {
		return // an alias of what was read
	}
	depth := 0
	for t := r.doc.of; t.outer != nil; t = t.outer.of {
		depth++
	}
	t, reason := r.doc.stringText(h.value)
	if depth == maxTexts {
		reason = fmt.Sprintf("is a text inside %d texts", maxTexts)
	}
	if reason != "" {
		r.problem(h.value, h.field, ProblemWritten, reason)
		return
	}
	t.field = h.field
	if marks(t.source.data) > maxMarks {
		r.problem(h.value, h.field, ProblemShape, "has too many parts for a job spec")
		return
	}
	roots, err := nodes(t.source.data)
	if err != nil {
		reason := "is not YAML: " + strings.TrimPrefix(oneLine(err.Error()), "yaml: ")
		if isTemplate(h.value.node.Value) {
			reason += "; it holds parameters, so perhaps it " + templated
		}
		r.problem(h.value, h.field, ProblemShape, reason)
		return
	}
	r.spec.texts = append(r.spec.texts, t)
	for i, root := range roots {
		doc := &document{index: r.doc.index, root: root, of: t}
		t.docs = append(t.docs, doc)
		inner, err := r.reading.open(doc)
		if err != nil {
			reason := err.Error()
			r.problem(h.value, h.field, ProblemShape, "cannot be read: "+reason)
			return
		}
		if doc.value.isNull() {
			continue
		}
		inner.loose = true
		field := h.field + "|"
		if len(roots) > 1 {
			field = fmt.Sprintf("%s|%d|", h.field, i)
		}
		if len(p.parts) > 0 {
			inner.kind, inner.top = r.kind, hit{field: field, value: doc.value}
			inner.parts(pod{object: doc.value, template: doc.value, field: field, plain: true}, inner.top, p.parts)
		} else {
			inner.object(doc.value, field, 0)
		}
		inner.finish()
	}
}
