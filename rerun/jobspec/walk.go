package jobspec

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// step is one part of a path: a key, or every key (*), or every element ([]), or the element of that name or number ([NAME]).
type step struct {
	key string
	any bool // every key of a mapping
	all bool // every element of a list
	one string
}

func steps(path string) []step {
	var out []step
	for rest := path; rest != ""; {
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		if key := rest[:end]; key == "*" {
			out = append(out, step{any: true})
		} else if key != "" {
			out = append(out, step{key: key})
		}
		for rest = rest[end:]; strings.HasPrefix(rest, "["); {
			inside, after, closed := strings.Cut(rest[1:], "]")
			if !closed {
				return append(out, step{key: rest}) // which nothing has
			}
			switch quoted := strings.Trim(inside, `"`); {
			case inside == "":
				out = append(out, step{all: true})
			case quoted != inside:
				out = append(out, step{key: quoted}) // a key with a dot in it, as fields are shown
			default:
				out = append(out, step{one: inside})
			}
			rest = after
		}
		rest = strings.TrimPrefix(rest, ".")
	}
	return out
}

// element finds the element of a list whose name, else whose number is of.
func element(list *value, of string) int {
	for i, item := range list.items {
		if item.get("name").text() == of {
			return i
		}
	}
	n, err := strconv.Atoi(of)
	if err != nil || n < 0 || n >= len(list.items) {
		return -1
	}
	return n
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
		for i := range h.value.items {
			follow(h.item(i), rest, visit)
		}
		return
	}
	if s.one != "" {
		if h.value.node.Kind != yaml.SequenceNode {
			h.wrong = wrongKind(h.value, "a list")
			visit(h)
		} else if i := element(h.value, s.one); i >= 0 {
			follow(h.item(i), rest, visit)
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

// item gives the place of an element of a list.
func (h hit) item(i int) hit {
	next := hit{field: indexed(h.field, i), value: h.value.items[i], named: h.named}
	for _, key := range []string{"name", "Name", "ChannelName", "InputName"} {
		if name := next.value.get(key).text(); name != "" {
			next.named = name
			break
		}
	}
	return next
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
