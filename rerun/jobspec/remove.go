package jobspec

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

var errRemove = errors.New("is written in a way in which it cannot be taken out")

// removeEntry gives the edit that takes an entry out of a mapping, its line ends with it.
func (d *document) removeEntry(m *value, name string) (edit, error) {
	at := -1
	for i := range m.entries {
		if m.entries[i].name == name && !m.entries[i].merged {
			at = i
		}
	}
	if at < 0 || m.via != nil {
		return edit{}, errRemove
	}
	e, src := m.entries[at], d.of.source
	key, ok := src.offset(e.key.Line, e.key.Column)
	if !ok {
		return edit{}, errRemove
	}
	if m.node.Style&yaml.FlowStyle != 0 {
		return d.removeFlow(m.node, e.key)
	}
	head, first := src.lineHead(key)
	end := d.blockEnd(e)
	if first {
		return edit{head, end, ""}, nil
	}
	// The first entry of a list item shares its line with the dash: the next one moves up.
	if next := at + 1; next < len(m.entries) && !m.entries[next].merged {
		if to, ok := src.offset(m.entries[next].key.Line, m.entries[next].key.Column); ok {
			return edit{key, to, ""}, nil
		}
	}
	return edit{}, errRemove
}

// removeItem gives the edit that takes an element out of a list.
func (d *document) removeItem(list *value, i int) (edit, error) {
	src := d.of.source
	if list.via != nil {
		return edit{}, errRemove
	}
	n := list.node.Content[i]
	if list.node.Style&yaml.FlowStyle != 0 {
		return d.removeFlow(list.node, n)
	}
	at, ok := src.offset(n.Line, n.Column)
	if !ok {
		return edit{}, errRemove
	}
	dash := at - 1
	for dash >= 0 && src.data[dash] == ' ' {
		dash--
	}
	if dash < 0 || src.data[dash] != '-' {
		return edit{}, errRemove
	}
	head, ok := src.lineHead(dash)
	if !ok {
		return edit{}, errRemove
	}
	return edit{head, d.linesBelow(at, dash-head), ""}, nil
}

// blockEnd gives the offset behind the lines of an entry of a block mapping.
func (d *document) blockEnd(e entry) int {
	src := d.of.source
	key, _ := src.offset(e.key.Line, e.key.Column)
	column := e.key.Column - 1
	if e.value.via == nil && e.value.node.Kind == yaml.SequenceNode && e.value.node.Style&yaml.FlowStyle == 0 && len(e.value.node.Content) > 0 {
		return d.sequenceEnd(key, column)
	}
	return d.linesBelow(key, column)
}

// linesBelow gives the offset behind the line of at and the lines below it that are set in deeper than column.
func (d *document) linesBelow(at, column int) int {
	return d.linesWhile(at, func(line string, indent int) bool { return indent > column })
}

func (d *document) sequenceEnd(at, column int) int {
	return d.linesWhile(at, func(line string, indent int) bool {
		return indent > column || indent == column && (strings.HasPrefix(line[indent:], "- ") || strings.TrimRight(line[indent:], "\r") == "-")
	})
}

func (d *document) linesWhile(at int, inside func(line string, indent int) bool) int {
	data := d.of.source.data
	end := min(lineEnd(data, at)+1, len(data))
	for next := end; next < len(data); {
		stop := lineEnd(data, next)
		line := string(data[next:stop])
		next = min(stop+1, len(data))
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if strings.TrimRight(line[indent:], "\r") == "" {
			continue // blank lines go with what is below them, unless that goes too
		}
		if !inside(line, indent) {
			break
		}
		end = next
	}
	return end
}

// removeFlow takes the element that begins at node n (a key, in a mapping) out of a flow collection, with the comma that parts it from its neighbour.
func (d *document) removeFlow(collection, n *yaml.Node) (edit, error) {
	src := d.of.source
	step := 1
	if collection.Kind == yaml.MappingNode {
		step = 2
	}
	at := -1
	for i := 0; i < len(collection.Content); i += step {
		if collection.Content[i] == n {
			at = i
		}
	}
	start, ok := src.offset(n.Line, n.Column)
	if at < 0 || !ok {
		return edit{}, errRemove
	}
	if next := at + step; next < len(collection.Content) {
		to, ok := src.offset(collection.Content[next].Line, collection.Content[next].Column)
		if !ok {
			return edit{}, errRemove
		}
		return edit{start, to, ""}, nil
	}
	end, ok := d.flowEnd(collection.Content[at+step-1])
	if !ok {
		return edit{}, errRemove
	}
	if at == 0 {
		return edit{start, end, ""}, nil
	}
	before, ok := d.flowEnd(collection.Content[at-1])
	if !ok {
		return edit{}, errRemove
	}
	return edit{before, end, ""}, nil
}

// flowEnd gives the offset behind a node of a flow collection.
func (d *document) flowEnd(n *yaml.Node) (int, bool) {
	src := d.of.source
	if n.Kind == yaml.AliasNode {
		at, ok := src.offset(n.Line, n.Column)
		return at + 1 + len(n.Value), ok
	}
	if n.Kind == yaml.ScalarNode {
		t, reason := src.locate(n)
		return t.end, reason == ""
	}
	at, ok := src.offset(n.Line, n.Column)
	if ok {
		at, ok = src.skipProperties(at)
	}
	if len(n.Content) > 0 && ok {
		at, ok = d.flowEnd(n.Content[len(n.Content)-1])
	} else {
		at++
	}
	closing := byte(']')
	if n.Kind == yaml.MappingNode {
		closing = '}'
	}
	for ok && at < len(src.data) && (isBlank(src.data[at]) || src.data[at] == ',') {
		at++
	}
	if !ok || at >= len(src.data) || src.data[at] != closing {
		return 0, false
	}
	return at + 1, true
}
