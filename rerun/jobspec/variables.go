package jobspec

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// Variable is a literal that a spec gives to what it starts: a variable of its environment, or an option of its command.
type Variable struct {
	Name, Value  string
	Field        string
	Line, Column int // of the value, as editors count
	End          int // column behind it, where it stands on one line
}

// envKeys are the keys below which variables stand, as a mapping of names to values, a list of name and value, or a list of NAME=VALUE.
var envKeys = map[string]bool{"env": true, "environment": true, "Environment": true, "variables": true, "env_vars": true, "environment_variables": true, "environmentVariables": true, "envVars": true}

// argKeys are the keys below which the words of a command stand.
var argKeys = map[string]bool{"args": true, "command": true, "ContainerArguments": true, "ContainerEntrypoint": true, "entrypoint": true}

// Variables gives the literals, wherever they stand in the spec.
func (s *Spec) Variables() (out []Variable) {
	if len(s.texts) == 0 {
		return scriptVariables(s)
	}
	for _, t := range s.texts {
		for _, d := range t.docs {
			if d.value == nil {
				continue
			}
			prefix := ""
			if t.outer != nil {
				prefix = t.field + "|"
			}
			d.variables(d.value, prefix, &out)
		}
	}
	return out
}

func (d *document) variables(v *value, field string, out *[]Variable) {
	for i, item := range v.items {
		d.variables(item, indexed(field, i), out)
	}
	for _, e := range v.entries {
		at := join(field, e.name)
		switch {
		case envKeys[e.name] && isMapping(e.value):
			for _, entry := range e.value.entries {
				d.variable(entry.name, entry.value, join(at, entry.name), out)
			}
		case envKeys[e.name] && e.value.node.Kind == yaml.SequenceNode:
			for i, item := range e.value.items {
				if name := item.get("name").text(); name != "" && item.get("value") != nil {
					d.variable(name, item.get("value"), join(indexed(at, i), "value"), out)
				} else if name, _, ok := strings.Cut(item.text(), "="); ok {
					d.variable(name, item, indexed(at, i), out)
				}
			}
		case argKeys[e.name] && e.value.node.Kind == yaml.SequenceNode:
			for i, item := range e.value.items {
				text := item.text()
				name, _, ok := strings.Cut(text, "=")
				switch {
				case ok && strings.HasPrefix(text, "-"):
					d.variable(strings.TrimLeft(name, "-"), item, indexed(at, i), out)
				case i > 0 && !strings.HasPrefix(text, "-") && strings.HasPrefix(e.value.items[i-1].text(), "-") && !strings.Contains(e.value.items[i-1].text(), "="):
					d.variable(strings.TrimLeft(e.value.items[i-1].text(), "-"), item, indexed(at, i), out)
				default:
					d.variable("", item, indexed(at, i), out)
				}
			}
		default:
			d.variables(e.value, at, out)
		}
	}
}

// variable notes a literal. Of NAME=VALUE and --name=VALUE the value alone counts.
func (d *document) variable(name string, v *value, field string, out *[]Variable) {
	if v.node.Kind != yaml.ScalarNode || v.isNull() || v.node.Value == "" || v.template || isTemplate(v.node.Value) {
		return
	}
	value := v.node.Value
	if head, rest, ok := strings.Cut(value, "="); ok && strings.TrimLeft(head, "-") == name {
		value = rest
	}
	n := v.at()
	variable := Variable{Name: name, Value: value, Field: field}
	variable.Line, variable.Column = d.of.place(n)
	if t, reason := d.of.source.locate(v.node); reason == "" && v.via == nil {
		if line, end := d.of.position(t.end); line == variable.Line {
			variable.End = end
		}
	}
	*out = append(*out, variable)
}

// scriptVariables gives the constant assignments of a script.
func scriptVariables(s *Spec) (out []Variable) {
	if s.source == nil {
		return nil
	}
	tree, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(s.source.data), s.File)
	if err != nil {
		return nil
	}
	syntax.Walk(tree, func(n syntax.Node) bool {
		a, ok := n.(*syntax.Assign)
		if !ok || a.Name == nil || a.Value == nil {
			return true
		}
		value := a.Value.Lit()
		if len(a.Value.Parts) == 1 {
			switch q := a.Value.Parts[0].(type) {
			case *syntax.SglQuoted:
				value = q.Value
			case *syntax.DblQuoted:
				if len(q.Parts) == 1 {
					if lit, ok := q.Parts[0].(*syntax.Lit); ok {
						value = lit.Value
					}
				}
			}
		}
		if value == "" {
			return true
		}
		v := Variable{Name: a.Name.Value, Value: value, Field: a.Name.Value}
		v.Line, v.Column = s.source.position(int(a.Value.Pos().Offset()))
		if line, end := s.source.position(int(a.Value.End().Offset())); line == v.Line {
			v.End = end
		}
		out = append(out, v)
		return true
	})
	return out
}
