package jobspec

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// step is one part of a path: a key, or every element ([]), or every key (*).
type step struct {
	key string
	all bool // every element of a list
	any bool // every key of a mapping
}

func steps(path string) []step {
	var out []step
	if path == "" {
		return nil
	}
	for part := range strings.SplitSeq(path, ".") {
		lists := 0
		for strings.HasSuffix(part, "[]") {
			part, lists = strings.TrimSuffix(part, "[]"), lists+1
		}
		if part == "*" {
			out = append(out, step{any: true})
		} else {
			out = append(out, step{key: part})
		}
		for range lists {
			out = append(out, step{all: true})
		}
	}
	return out
}

// hit is a place that a path leads to. Missing is set when the last key is not there; value then is the mapping without it.
type hit struct {
	field   string
	value   *value
	named   string // name of the innermost list element on the way, or the key of the innermost * step
	missing string
	wrong   string // why the path cannot be followed here
}

// walk follows path from v and calls visit for each place it leads to. Null stands for absent, as it does for Kubernetes.
func walk(v *value, field, path string, visit func(hit)) {
	follow(hit{field: field, value: v}, steps(path), visit)
}

func follow(h hit, rest []step, visit func(hit)) {
	if len(rest) == 0 {
		visit(h)
		return
	}
	if h.value.isNull() {
		return
	}
	s, rest := rest[0], rest[1:]
	if s.all {
		if h.value.node.Kind != yaml.SequenceNode {
			h.wrong = wrongKind(h.value, "a list")
			visit(h)
			return
		}
		for i, item := range h.value.items {
			next := hit{field: indexed(h.field, i), value: item, named: h.named}
			if name := item.get("name").text(); name != "" {
				next.named = name
			}
			follow(next, rest, visit)
		}
		return
	}
	if h.value.node.Kind != yaml.MappingNode || h.value.template {
		h.wrong = wrongKind(h.value, "a mapping")
		visit(h)
		return
	}
	if s.any {
		for _, e := range h.value.entries {
			follow(hit{field: join(h.field, e.name), value: e.value, named: e.name}, rest, visit)
		}
		return
	}
	child := h.value.get(s.key)
	switch {
	case child != nil:
		follow(hit{field: join(h.field, s.key), value: child, named: h.named}, rest, visit)
	case len(rest) == 0:
		h.missing = s.key
		visit(h)
	}
}

func wrongKind(v *value, want string) string {
	if v.template || v.node.Kind == yaml.ScalarNode && isTemplate(v.node.Value) {
		return templated
	}
	return "is not " + want
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	if strings.ContainsAny(key, ".[]") {
		return field + `["` + key + `"]`
	}
	return field + "." + key
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
