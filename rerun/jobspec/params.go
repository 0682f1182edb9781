package jobspec

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// follow gives the places that fill in a text that is one parameter as a whole, or nothing.
func (r *reader) follow(object *value, at, field, text string) []hit {
	switch r.kind.group {
	case "argoproj.io":
		path := "spec"
		if r.kind.name == "CronWorkflow" {
			path = "spec.workflowSpec"
		}
		var out []hit
		walk(object, at, path, func(h hit) {
			if h.wrong == "" && h.missing == "" {
				out, _ = followArgo(&trail{map[*yaml.Node]bool{}, &r.follows}, h.value, h.field, field, text, 0)
			}
		})
		return out
	case "tekton.dev":
		out, _ := followTekton(object, at, field, text, 0)
		return out
	}
	if r.kind.format == FormatActions {
		return followMatrix(object, at, field, text)
	}
	return nil
}

// followTekton follows $(params.NAME): to the values that the nearest pipeline task or run gives, and to the default of its declaration.
func followTekton(object *value, at, field, text string, depth int) (places []hit, ok bool) {
	name, whole := strings.CutPrefix(text, "$(params.")
	name, closed := strings.CutSuffix(name, ")")
	if !whole || !closed || strings.ContainsAny(name, "()$") || depth > maxParameters {
		return nil, false
	}
	// From the inside out: the task's own declaration, what a pipeline task gives, the pipeline's declaration, what the run gives.
	var scopes []string
	for i := len(field); i > 0; i = strings.LastIndexByte(field[:i], '.') {
		scopes = append(scopes, field[:i])
	}
	given := false
	for _, scope := range scopes {
		v := valueAt(object, at, scope)
		if !isMapping(v) || given {
			continue
		}
		v.eachParam(scope, name, func(h hit, key string) {
			given = given || key == "value"
			places = append(places, h)
		})
	}
	var out []hit
	for _, h := range places {
		if h.value.isString() && isTemplate(h.value.node.Value) {
			outer := strings.TrimSuffix(h.field, ".value")
			if more, followed := followTekton(object, at, outsideOf(outer), h.value.node.Value, depth+1); followed {
				out = append(out, more...)
				continue
			}
		}
		out = append(out, h)
	}
	return out, len(out) > 0
}

// outsideOf gives the place around a pipeline task whose list of params holds field: the parameters that it names are the pipeline's.
func outsideOf(field string) string {
	for _, list := range []string{".tasks[", ".finally["} {
		if i := strings.LastIndex(field, list); i >= 0 {
			return field[:i]
		}
	}
	if i := strings.Index(field, ".params["); i >= 0 {
		return field[:i]
	}
	return field
}

// eachParam visits what a mapping's list of params says of a name.
func (v *value) eachParam(field, name string, visit func(h hit, key string)) {
	list := v.get("params")
	if list == nil {
		return
	}
	for i, item := range list.items {
		if item.get("name").text() != name {
			continue
		}
		for _, key := range []string{"value", "default"} {
			if got := item.get(key); got != nil && !got.isNull() {
				visit(hit{field: join(indexed(join(field, "params"), i), key), value: got}, key)
			}
		}
	}
}

// valueAt gives what stands at a field such as spec.tasks[2].params, or nil.
func valueAt(v *value, at, field string) *value {
	rest, ok := strings.CutPrefix(field, at)
	if !ok {
		return nil
	}
	rest = strings.TrimPrefix(rest, ".")
	for rest != "" && v != nil {
		end := strings.IndexAny(rest, ".[")
		switch {
		case end < 0:
			return v.get(rest)
		case end > 0:
			v, rest = v.get(rest[:end]), rest[end:]
		case rest[0] == '.':
			rest = rest[1:]
		default:
			closing := strings.IndexByte(rest, ']')
			if closing < 0 {
				return nil
			}
			index := rest[1:closing]
			rest = rest[closing+1:]
			if key := strings.Trim(index, `"`); key != index {
				v = v.get(key)
				continue
			}
			n := 0
			for _, c := range []byte(index) {
				if c < '0' || c > '9' || n > maxValues {
					return nil
				}
				n = n*10 + int(c-'0')
			}
			if n >= len(v.items) {
				return nil
			}
			v = v.items[n]
		}
	}
	return v
}

// followMatrix follows ${{ matrix.NAME }} to the values that the job's matrix lists.
func followMatrix(object *value, at, field, text string) (places []hit) {
	name, whole := strings.CutPrefix(text, "${{")
	name, closed := strings.CutSuffix(name, "}}")
	name, matrix := strings.CutPrefix(strings.TrimSpace(name), "matrix.")
	parts := strings.SplitN(field, ".", 3)
	if !whole || !closed || !matrix || strings.ContainsAny(name, " .{}") || len(parts) < 3 || parts[0] != "jobs" {
		return nil
	}
	job := "jobs." + parts[1]
	v := valueAt(object, at, job)
	if v == nil {
		return nil
	}
	for _, path := range []string{"strategy.matrix." + name + "[]", "strategy.matrix.include[]." + name} {
		walk(v, job, path, func(h hit) {
			if h.wrong == "" && h.missing == "" {
				places = append(places, h)
			}
		})
	}
	return places
}
