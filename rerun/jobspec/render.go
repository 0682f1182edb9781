package jobspec

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// The values that a stamp adds are made here, and written in the style of their surroundings.

func newText(text string, quoted bool) *value {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if quoted {
		n.Style = yaml.DoubleQuotedStyle
	}
	return &value{node: n}
}

func newList(items ...*value) *value {
	return &value{node: &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}, items: items}
}

func newMapping(entries ...entry) *value {
	return &value{node: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, entries: entries}
}

// flow writes v on one line, as JSON when json is set.
func (v *value) flow(json bool) string {
	var parts []string
	switch v.node.Kind {
	case yaml.SequenceNode:
		for _, item := range v.items {
			parts = append(parts, item.flow(json))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.MappingNode:
		for _, e := range v.entries {
			parts = append(parts, flowEntry(e, json))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		if json || v.node.Style&yaml.DoubleQuotedStyle != 0 {
			return `"` + v.node.Value + `"`
		}
		return v.node.Value
	}
}

func flowEntry(e entry, json bool) string {
	name := e.name
	if json {
		name = `"` + name + `"`
	}
	return name + ": " + e.value.flow(json)
}

// blockEntry writes the lines of an entry, without indentation of its own; dash is how far lists are set in below their key.
func blockEntry(e entry, dash int) []string {
	if e.value.node.Kind == yaml.ScalarNode {
		return []string{e.name + ": " + e.value.flow(false)}
	}
	lines := []string{e.name + ":"}
	inset := 2
	if e.value.node.Kind == yaml.SequenceNode {
		inset = dash
	}
	for _, line := range blockLines(e.value, dash) {
		lines = append(lines, strings.Repeat(" ", inset)+line)
	}
	return lines
}

func blockLines(v *value, dash int) (lines []string) {
	switch v.node.Kind {
	case yaml.SequenceNode:
		for _, item := range v.items {
			for i, line := range blockLines(item, dash) {
				lines = append(lines, map[bool]string{true: "- ", false: "  "}[i == 0]+line)
			}
		}
	case yaml.MappingNode:
		for _, e := range v.entries {
			lines = append(lines, blockEntry(e, dash)...)
		}
	default:
		lines = append(lines, v.flow(false))
	}
	return lines
}
