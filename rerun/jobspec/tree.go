package jobspec

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// value is a node of a document as a reader of the document sees it: aliases followed and merge keys (<<) applied. A node that is used
// several times is one *yaml.Node and several values.
type value struct {
	node    *yaml.Node // what it is, aliases followed
	via     *yaml.Node // the alias through which it was reached
	entries []entry    // of a mapping, in order; merged ones last
	items   []*value   // of a sequence
	// template is set for {{ … }} without quotes, which YAML reads as a mapping that has a mapping for its key.
	template bool
}

type entry struct {
	name   string
	key    *yaml.Node
	value  *value
	merged bool // it comes from another mapping through <<
}

// get gives the value of a key, or nil.
func (v *value) get(name string) *value {
	if e := v.entry(name); e != nil {
		return e.value
	}
	return nil
}

func (v *value) entry(name string) *entry {
	for i := range v.entries {
		if v.entries[i].name == name {
			return &v.entries[i]
		}
	}
	return nil
}

// text gives the value of a string, or "".
func (v *value) text() string {
	if v == nil || !v.isString() {
		return ""
	}
	return v.node.Value
}

func (v *value) isNull() bool {
	return v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!null"
}

// isString reports whether readers take the scalar for text: an unquoted 1.5 or true is not.
func (v *value) isString() bool {
	return v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!str"
}

// at gives the node whose place is shown to people: the alias rather than what it stands for.
func (v *value) at() *yaml.Node {
	if v.via != nil {
		return v.via
	}
	return v.node
}

// expander makes values of nodes, within bounds.
type expander struct {
	left   int
	own    map[*yaml.Node]bool // anchored nodes of this document
	active map[*yaml.Node]bool
	visits map[*yaml.Node]int // how often a scalar is used
	shared bool               // the document has aliases
	// templates are the places of {{ … }} without quotes.
	templates []*yaml.Node
}

// nodeError is a document that cannot be read, and where.
type nodeError struct {
	node   *yaml.Node
	reason string
}

func (e *nodeError) Error() string { return e.reason }

// expand reads one document. left is the number of values that it may have.
func expand(root *yaml.Node, left int) (*value, *expander, error) {
	x := &expander{left: left, own: map[*yaml.Node]bool{}, active: map[*yaml.Node]bool{}, visits: map[*yaml.Node]int{}}
	x.survey(root)
	v, err := x.value(root, 0)
	return v, x, err
}

// survey notes the anchors of the document without following aliases. The parser lets an alias name an anchor of an earlier document, which
// YAML does not.
func (x *expander) survey(n *yaml.Node) {
	if n.Anchor != "" {
		x.own[n] = true
	}
	if n.Kind == yaml.AliasNode {
		x.shared = true
	}
	for _, c := range n.Content {
		x.survey(c)
	}
}

func (x *expander) value(n *yaml.Node, depth int) (*value, error) {
	x.left--
	if x.left < 0 {
		return nil, &nodeError{n, fmt.Sprintf("holds more than %d values once its aliases are followed", maxValues)}
	}
	if depth > maxDepth {
		return nil, &nodeError{n, fmt.Sprintf("is nested more than %d levels deep", maxDepth)}
	}
	if n.Kind == yaml.AliasNode {
		target := n.Alias
		if !x.own[target] {
			return nil, &nodeError{n, fmt.Sprintf("alias *%s names an anchor of another document", n.Value)}
		}
		if x.active[target] {
			return nil, &nodeError{n, fmt.Sprintf("anchor &%s contains itself", n.Value)}
		}
		x.active[target] = true
		defer delete(x.active, target)
		v, err := x.value(target, depth+1)
		if v != nil {
			v.via = n
		}
		return v, err
	}
	v := &value{node: n}
	switch n.Kind {
	case yaml.ScalarNode:
		if x.shared {
			x.visits[n]++
		}
	case yaml.SequenceNode:
		v.items = make([]*value, 0, len(n.Content))
		for _, c := range n.Content {
			item, err := x.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
	case yaml.MappingNode:
		if err := x.mapping(v, depth); err != nil {
			return nil, err
		}
	default:
		return nil, &nodeError{n, "is a node of a kind that is not understood"}
	}
	return v, nil
}

func (x *expander) mapping(v *value, depth int) error {
	n := v.node
	seen := make(map[string]int, len(n.Content)/2) // key → its place
	var merges []int
	v.entries = make([]entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, content := n.Content[i], n.Content[i+1]
		named := key
		if key.Kind == yaml.AliasNode {
			named = key.Alias
		}
		if named != nil && named.Kind == yaml.MappingNode && n.Style&named.Style&yaml.FlowStyle != 0 {
			v.template, v.entries = true, nil
			x.templates = append(x.templates, n)
			return nil
		}
		if named == nil || named.Kind != yaml.ScalarNode {
			return &nodeError{key, "is a key that is not text"}
		}
		if _, twice := seen[named.Value]; twice {
			return &nodeError{key, fmt.Sprintf("key %q is given twice; readers differ in which one they take", named.Value)}
		}
		seen[named.Value] = i
		if named.ShortTag() == "!!merge" {
			merges = append(merges, i)
			continue
		}
		child, err := x.value(content, depth+1)
		if err != nil {
			return err
		}
		v.entries = append(v.entries, entry{name: named.Value, key: key, value: child})
	}
	for _, i := range merges {
		if err := x.merge(v, i, seen, depth); err != nil {
			return err
		}
	}
	return nil
}

// merge adds the entries of the mapping, or of each mapping of the sequence, that << at place i names. Keys that are there already win, says
// YAML; but some readers let << win over the keys above it, so that is refused.
func (x *expander) merge(v *value, i int, seen map[string]int, depth int) error {
	n := v.node.Content[i+1]
	sources := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	for _, from := range sources {
		target := from
		if from.Kind == yaml.AliasNode {
			target = from.Alias
		}
		if target.Kind != yaml.MappingNode {
			return &nodeError{from, "is merged with << and is not a mapping"}
		}
		if x.active[target] {
			return &nodeError{from, fmt.Sprintf("anchor &%s contains itself", target.Anchor)}
		}
		before := x.visits
		x.visits = map[*yaml.Node]int{} // only what is not overridden counts as a use
		base, err := x.value(from, depth+1)
		x.visits = before
		if err != nil {
			return err
		}
		for _, e := range base.entries {
			if place, given := seen[e.name]; given {
				if place < i {
					return &nodeError{v.node.Content[i], fmt.Sprintf("<< stands below the key %q that it gives too; readers differ in which one they take: put << first", e.name)}
				}
				continue
			}
			seen[e.name] = i + 1
			e.merged = true
			v.entries = append(v.entries, e)
			x.count(e.value)
		}
	}
	return nil
}

func (x *expander) count(v *value) {
	if v.node.Kind == yaml.ScalarNode {
		x.visits[v.node]++
	}
	for _, e := range v.entries {
		x.count(e.value)
	}
	for _, i := range v.items {
		x.count(i)
	}
}
