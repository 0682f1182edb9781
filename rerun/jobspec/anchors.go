package jobspec

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// What is shared through anchors, and may not be.

// finish looks at what can be judged only when the whole document was read.
func (r *reader) finish() {
	for _, n := range r.x.templates {
		if !r.told[n] && !r.loose {
			r.problem(&value{node: n}, "", ProblemTemplate, templated)
		}
	}
	if !r.x.shared {
		return
	}
	shares := func(v *value, field, what string) {
		r.problem(v, field, ProblemWritten, "shares its text"+anchorOf(v)+" with a field that is not "+what+"; give each its own")
	}
	for node, i := range r.place {
		ref := &r.spec.References[i]
		ref.nodes = append(ref.nodes, r.homes[node]...)
		if used := r.x.visits[node]; used != len(ref.nodes) {
			shares(ref.nodes[0], ref.Field, map[string]string{KindImage: "an image", KindCode: "a revision", KindDataset: "a dataset"}[ref.Kind])
		}
	}
	for _, t := range r.spec.texts {
		if t.outer == r.doc && r.x.visits[t.at.node] != 1 {
			shares(t.at, t.field, "read like it")
		}
	}
}

// keepHomes notes the scalars below keys that only keep anchors: x-… of compose.
func (r *reader) keepHomes(v *value) {
	if !r.x.shared {
		return
	}
	var keep func(v *value)
	keep = func(v *value) {
		if v.node.Kind == yaml.ScalarNode {
			r.homes[v.node] = append(r.homes[v.node], v)
		}
		for _, e := range v.entries {
			keep(e.value)
		}
		for _, i := range v.items {
			keep(i)
		}
	}
	for _, e := range v.entries {
		if strings.HasPrefix(e.name, "x-") {
			keep(e.value)
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
