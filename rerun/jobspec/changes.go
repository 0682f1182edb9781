package jobspec

import (
	"errors"
	"fmt"
	"slices"

	"github.com/runpin/runpin/schema"
)

// changes collects what is to be changed in each text of a spec, and what that must amount to.
type changes struct {
	spec     *Spec
	edits    map[*text][]edit
	wanted   map[*text][]change
	stampers map[*document]*stamper
}

// placeError is a string that leaves no place for a change.
type placeError struct{ error }

func (c *changes) stamper(d *document) *stamper {
	st := c.stampers[d]
	if st == nil {
		st = &stamper{spec: c.spec, doc: d, done: map[any]bool{}}
		c.stampers[d] = st
	}
	return st
}

// pin puts a value in the place of a reference.
func (c *changes) pin(ref Reference, pinned string) error {
	if ref.split != nil {
		parts, _ := splitReference(pinned)
		return ref.put(c.stamper(ref.doc), string(parts.digest))
	}
	if ref.Kind == KindImage && ref.Shape == DigestOnly {
		parts, _ := splitReference(pinned)
		pinned = parts.repository + "@" + string(parts.digest)
	}
	text := ref.prefix + pinned + ref.suffix
	if ref.inTag {
		parts, _ := splitReference(pinned)
		text = parts.tag + "@" + string(parts.digest)
	}
	t := ref.doc.of
	c.edits[t] = append(c.edits[t], edit{ref.token.start, ref.token.end, ref.token.render(text)})
	for _, v := range ref.nodes {
		c.wanted[t] = append(c.wanted[t], change{at: v, text: text})
	}
	return nil
}

// stamp puts the run's id into every document.
func (c *changes) stamp(id string) error {
	if _, err := schema.ParseRunID(id); err != nil {
		return err
	}
	var failures []error
	starts := false // something that is this run's alone
	for _, t := range c.spec.texts {
		for _, d := range t.docs {
			starts = starts || slices.ContainsFunc(d.pods, func(p pod) bool { return !p.shared })
		}
	}
	for _, t := range c.spec.texts {
		for _, d := range t.docs {
			st := c.stamper(d)
			st.id, st.alone = id, starts
			failures = append(failures, st.all()...)
		}
	}
	return errors.Join(failures...)
}

// make makes the changes, those of a string before those of the text that it stands in, and proves of each text that it reads as wanted.
func (c *changes) make() ([]byte, error) {
	for d, st := range c.stampers {
		c.edits[d.of] = append(c.edits[d.of], st.edits...)
		c.wanted[d.of] = append(c.wanted[d.of], st.wanted...)
	}
	for i := len(c.spec.texts) - 1; ; i-- {
		t := c.spec.texts[i]
		edits := c.edits[t]
		if len(edits) == 0 && i > 0 {
			continue
		}
		out, err := t.source.apply(edits)
		if err == nil {
			err = t.verify(out, c.wanted[t])
		}
		if err != nil {
			if t.field != "" {
				err = fmt.Errorf("%s: %w", t.field, err)
			}
			return nil, err
		}
		if i == 0 {
			return out, nil
		}
		outer := t.outer.of
		for _, e := range edits {
			lifted, err := t.lift(e)
			if err != nil {
				return nil, &placeError{err}
			}
			c.edits[outer] = append(c.edits[outer], lifted)
		}
		c.wanted[outer] = append(c.wanted[outer], change{at: t.at, text: string(out)})
	}
}
