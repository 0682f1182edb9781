package jobspec

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// Where a stamp finds room in a file without disturbing what is there.

// addEntry adds an entry to a mapping: behind the first of the preferred keys that allows it, else behind any, else before one.
func (s *stamper) addEntry(m *value, e entry, prefer ...string) error {
	s.wanted = append(s.wanted, change{at: m, entry: &e})
	if !s.once([2]any{m.node, e.name}) {
		return nil
	}
	own := ownEntries(m, prefer)
	if m.node.Style&yaml.FlowStyle != 0 {
		return s.addFlowEntry(m, own, e)
	}
	for _, at := range own {
		end, ok := s.scalarEnd(at.value)
		if !ok || !s.isSimpleKey(at.key) {
			continue
		}
		if next, ok := s.doc.of.source.restOfLine(end); ok {
			s.insert(next, at.key.Column, blockEntry(e, s.dash(m)))
			return nil
		}
	}
	for _, at := range own {
		key, ok := s.doc.of.source.offset(at.key.Line, at.key.Column)
		if !ok {
			continue
		}
		if head, ok := s.doc.of.source.lineHead(key); ok && s.isSimpleKey(at.key) {
			s.insert(head, at.key.Column, blockEntry(e, s.dash(m)))
			return nil
		}
	}
	for i := 0; len(own) == 0 && i+1 < len(m.node.Content); i += 2 { // nothing but what it merges, as services of compose files are
		merge := m.node.Content[i]
		key, ok := s.doc.of.source.offset(merge.Line, merge.Column)
		if !ok || merge.Tag != "!!merge" {
			continue
		}
		if head, ok := s.doc.of.source.lineHead(key); ok {
			s.insert(head, merge.Column, blockEntry(e, s.dash(m)))
			return nil
		}
	}
	return errShape
}

// ownEntries gives the entries that are written in the mapping itself, the preferred ones first.
func ownEntries(m *value, prefer []string) (own []entry) {
	for _, name := range prefer {
		if e := m.entry(name); e != nil && !e.merged {
			own = append(own, *e)
		}
	}
	for _, e := range m.entries {
		if !e.merged && e.key.Kind == yaml.ScalarNode {
			own = append(own, e)
		}
	}
	return own
}

// dash says how far lists are set in below their key, judging by a list of the mapping, else of the whole spec.
func (s *stamper) dash(m *value) int {
	for _, e := range m.entries {
		if n := e.value.node; e.value.via == nil && !e.merged && n.Kind == yaml.SequenceNode && n.Style&yaml.FlowStyle == 0 && n.Column >= e.key.Column {
			return min(n.Column-e.key.Column, 8)
		}
	}
	for _, d := range s.doc.of.docs {
		for _, p := range d.pods {
			if spec := p.template.get("spec"); spec != nil && spec != m {
				if c := spec.entry("containers"); c != nil && c.value.node.Column >= c.key.Column && c.value.node.Style&yaml.FlowStyle == 0 {
					return min(c.value.node.Column-c.key.Column, 8)
				}
			}
		}
	}
	return 0
}

// scalarEnd gives the end of a value that is text or an alias on one line.
func (s *stamper) scalarEnd(v *value) (int, bool) {
	src := s.doc.of.source
	if v.via != nil {
		at, ok := src.offset(v.via.Line, v.via.Column)
		end := at + 1 + len(v.via.Value)
		if !ok || end > len(src.data) || string(src.data[at:end]) != "*"+v.via.Value {
			return 0, false
		}
		return end, true
	}
	if v.node.Kind != yaml.ScalarNode || v.node.Value == "" && v.node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
		return 0, false
	}
	t, reason := src.locate(v.node)
	return t.end, reason == ""
}

// isSimpleKey reports whether the key is followed by its colon: "? key" is not.
func (s *stamper) isSimpleKey(key *yaml.Node) bool {
	_, ok := s.colon(key)
	return ok
}

// colon gives the offset behind the colon of a key.
func (s *stamper) colon(key *yaml.Node) (int, bool) {
	t, reason := s.doc.of.source.locate(key)
	if reason != "" {
		return 0, false
	}
	at := t.end
	for at < len(s.doc.of.source.data) && s.doc.of.source.data[at] == ' ' {
		at++
	}
	if at < len(s.doc.of.source.data) && s.doc.of.source.data[at] == ':' {
		return at + 1, true
	}
	return 0, false
}

func (s *stamper) addFlowEntry(m *value, own []entry, e entry) error {
	src := s.doc.of.source
	json := s.isJSON(m)
	for _, at := range own {
		end, ok := s.scalarEnd(at.value)
		key, found := src.offset(at.key.Line, at.key.Column)
		if ok && found {
			s.edits = append(s.edits, edit{end, end, "," + between(src.blankBefore(key)) + flowEntry(e, json)})
			return nil
		}
	}
	return s.addFirst(m.node, '{', flowEntry(e, json))
}

// addFirst adds text as the first element of a flow mapping or list.
func (s *stamper) addFirst(n *yaml.Node, open byte, text string) error {
	src := s.doc.of.source
	at, ok := src.offset(n.Line, n.Column)
	if ok {
		at, ok = src.skipProperties(at)
	}
	if !ok || at >= len(src.data) || src.data[at] != open {
		return errShape
	}
	at++
	if len(n.Content) == 0 {
		s.edits = append(s.edits, edit{at, at, text})
		return nil
	}
	first, ok := src.offset(n.Content[0].Line, n.Content[0].Column)
	if blank := src.blankBefore(first); ok && first-len(blank) == at && between(blank) == blank {
		s.edits = append(s.edits, edit{first, first, text + "," + blank}) // each element is on a line of its own
		return nil
	}
	s.edits = append(s.edits, edit{at, at, text + ", "})
	return nil
}

// between gives what goes between two elements of a flow collection: a line end and the indentation when that is how they are written.
func between(blank string) string {
	for i := range blank {
		if blank[i] == '\n' {
			return blank
		}
	}
	return " "
}

// isJSON reports whether keys are to be quoted: those of m are, or those around it.
func (s *stamper) isJSON(m *value) bool {
	for _, e := range m.entries {
		return e.key != nil && e.key.Style&yaml.DoubleQuotedStyle != 0
	}
	for _, i := range m.items {
		return s.isJSON(i)
	}
	for _, d := range s.doc.of.docs {
		if d.value.node.Kind == yaml.MappingNode && len(d.value.entries) > 0 {
			return d.value.entries[0].key.Style&yaml.DoubleQuotedStyle != 0
		}
	}
	return false
}

// extend adds an entry before those of a mapping that is the value of e.
func (s *stamper) extend(of *entry, e entry) error {
	m := of.value
	s.wanted = append(s.wanted, change{at: m, entry: &e})
	if !s.once([2]any{m.node, e.name}) {
		return nil
	}
	if m.node.Style&yaml.FlowStyle != 0 {
		return s.addFirst(m.node, '{', flowEntry(e, s.isJSON(m)))
	}
	if len(m.node.Content) == 0 {
		return errShape
	}
	return s.before(of, m.node.Content[0].Column, blockEntry(e, 0))
}

// prepend adds an item before those of a list that is the value of e.
func (s *stamper) prepend(of *entry, item *value) error {
	list := of.value
	s.wanted = append(s.wanted, change{at: list, item: item})
	if !s.once(list.node) {
		return nil
	}
	if list.node.Style&yaml.FlowStyle != 0 {
		return s.addFirst(list.node, '[', item.flow(s.isJSON(list)))
	}
	if len(list.node.Content) == 0 {
		return errShape
	}
	column, ok := s.dashColumn(list.node.Content[0])
	if !ok {
		return errShape
	}
	return s.before(of, column, blockLines(newList(item), 0))
}

// dashColumn gives the column of the dash of an item of a block list: only spaces stand between the two.
func (s *stamper) dashColumn(item *yaml.Node) (int, bool) {
	src := s.doc.of.source
	at, ok := src.offset(item.Line, item.Column)
	if !ok {
		return 0, false
	}
	dash := at - 1
	for dash >= 0 && src.data[dash] == ' ' {
		dash--
	}
	if dash < 0 || dash == at-1 || src.data[dash] != '-' {
		return 0, false
	}
	return item.Column - (at - dash), true
}

// before adds lines in front of the content of a block collection: right behind the line of its key where that holds nothing else, so that
// comments stay with what they are about.
func (s *stamper) before(of *entry, column int, lines []string) error {
	src := s.doc.of.source
	if of.key != nil && of.value.via == nil {
		if at, ok := s.colon(of.key); ok {
			for at < len(src.data) && (src.data[at] == ' ' || src.data[at] == '\t') {
				at++
			}
			at, ok = src.skipProperties(at)
			if at > 0 && src.data[at-1] == ' ' {
				at-- // restOfLine wants to see the blank before a comment
			}
			if next, blank := src.restOfLine(at); ok && blank {
				s.insert(next, column, lines)
				return nil
			}
		}
	}
	first := of.value.node.Content[0]
	at, ok := src.offset(first.Line, first.Column)
	if ok && of.value.node.Kind == yaml.SequenceNode {
		at -= first.Column - column
	}
	if head, blank := src.lineHead(at); ok && blank {
		s.insert(head, column, lines)
		return nil
	}
	return errShape
}

// fill gives a value to a key that has none.
func (s *stamper) fill(e *entry, v *value) error {
	s.wanted = append(s.wanted, change{at: e.value, replace: v})
	if !s.once(e.value.node) {
		return nil
	}
	if e.value.via != nil || e.merged {
		return errors.New("is an alias for nothing")
	}
	json := e.key.Style&yaml.DoubleQuotedStyle != 0
	if e.value.node.Value != "" {
		t, reason := s.doc.of.source.locate(e.value.node)
		if reason != "" {
			return errors.New(reason)
		}
		s.edits = append(s.edits, edit{t.start, t.end, v.flow(json)})
		return nil
	}
	at, ok := s.colon(e.key)
	if !ok || e.value.node.Style&yaml.TaggedStyle != 0 || e.value.node.Anchor != "" {
		return errShape
	}
	s.edits = append(s.edits, edit{at, at, " " + v.flow(json)})
	return nil
}
