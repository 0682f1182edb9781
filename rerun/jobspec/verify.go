package jobspec

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// change is one difference that the result must have from the original: at has text, or replace stands in its place, or it has one more entry
// (of a mapping), or one more item before the others (of a list), or it lacks the entry called drop, or the item of that number from 1.
type change struct {
	at      *value
	text    string
	replace *value
	entry   *entry
	item    *value
	drop    string
	without int
}

// wants are the changes by place.
type wants map[*value][]change

// verify reads out and proves that it is the original with exactly the wanted changes: what a reader of either sees differs nowhere else.
func (t *text) verify(out []byte, changes []change) error {
	roots, err := nodes(out)
	if err != nil {
		return fmt.Errorf("the result is not YAML: %w", err)
	}
	if len(roots) != len(t.docs) {
		return fmt.Errorf("the result has %d documents in place of %d", len(roots), len(t.docs))
	}
	w := wants{}
	for _, c := range changes {
		w[c.at] = append(w[c.at], c)
	}
	left := 2 * maxValues
	for i, root := range roots {
		v, x, err := expand(root, left)
		if err != nil {
			return fmt.Errorf("the result cannot be read: %w", err)
		}
		left = x.left
		if place := w.differ(t.docs[i].value, v, ""); place != "" {
			return fmt.Errorf("the result differs at %s", place)
		}
	}
	return nil
}

// differ gives the first place at which is is not was with the wanted changes, or "".
func (w wants) differ(was, is *value, field string) string {
	here := field
	if here == "" {
		here = "the top"
	}
	var added []entry
	var items []*value
	gone, without := map[string]bool{}, map[int]bool{}
	for _, c := range w[was] {
		switch {
		case c.text != "":
			if !is.isString() || is.node.Value != c.text {
				return here
			}
			return ""
		case c.replace != nil:
			return w.differ(c.replace, is, field)
		case c.entry != nil:
			added = append(added, *c.entry)
		case c.item != nil:
			items = append(items, c.item)
		case c.drop != "":
			gone[c.drop] = true
		case c.without > 0:
			without[c.without-1] = true
		}
	}
	if was.node.Kind != is.node.Kind || was.template != is.template || was.node.ShortTag() != is.node.ShortTag() {
		return here
	}
	switch was.node.Kind {
	case yaml.SequenceNode:
		for i, item := range was.items {
			if !without[i] {
				items = append(items, item)
			}
		}
		if len(items) != len(is.items) {
			return here
		}
		for i := range items {
			if place := w.differ(items[i], is.items[i], fmt.Sprintf("%s[%d]", field, i)); place != "" {
				return place
			}
		}
	case yaml.MappingNode:
		if was.template {
			return ""
		}
		entries := added
		for _, e := range was.entries {
			if !gone[e.name] {
				entries = append(entries, e)
			}
		}
		if len(entries) != len(is.entries) {
			return here
		}
		find := is.entry
		if len(is.entries) > 16 {
			index := make(map[string]*entry, len(is.entries))
			for i := range is.entries {
				index[is.entries[i].name] = &is.entries[i]
			}
			find = func(name string) *entry { return index[name] }
		}
		for _, e := range entries {
			other := find(e.name)
			if other == nil {
				return join(field, e.name)
			}
			if place := w.differ(e.value, other.value, join(field, e.name)); place != "" {
				return place
			}
		}
	default:
		if was.node.Value != is.node.Value {
			return here
		}
	}
	return ""
}
