package jobspec

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// What a stamp consists of (DESIGN §3.9): a variable in every container and an annotation on the object and on its pod template.
const (
	StampVariable   = "RUNPIN_RUN_ID"
	StampAnnotation = "runpin.dev/run"
)

// stamper collects the edits of a stamp and what they must amount to. A place that several fields share through an anchor is edited once; that
// every field then reads as wanted is for verify to say.
type stamper struct {
	spec   *Spec
	doc    *document
	alone  bool // what other runs start from, too, is left alone
	id     string
	edits  []edit
	wanted []change
	done   map[any]bool
}

var errShape = errors.New("is written in a way that leaves no place for the run's id")

// all stamps every pod template of the document.
func (s *stamper) all() (failures []error) {
	try := func(at *value, field string, err error) {
		if err != nil {
			line, column := s.doc.of.place(at.at())
			failures = append(failures, &schema.Error{Op: "jobspec.stamp", Kind: schema.Unpinnable,
				Subject: fmt.Sprintf("%s:%d:%d", s.spec.File, line, column), Err: fmt.Errorf("%s: %w", field, err),
				Hint: "leave the stamp away with --no-stamp"})
		}
	}
	for _, p := range s.doc.pods {
		if p.shared && s.alone {
			continue
		}
		if !p.plain && s.once(p.object) { // an object can have several pod templates
			try(p.object, "metadata", s.annotate(p.object))
		}
		if p.template != p.object {
			try(p.template, join(p.field, "metadata"), s.annotate(p.template))
		}
		for _, c := range p.containers {
			try(c.value, join(c.field, c.env), s.variable(c.value, c.env))
		}
	}
	return failures
}

// annotate puts the annotation on an object that has metadata, or may have.
func (s *stamper) annotate(object *value) error {
	note := entry{name: StampAnnotation, value: newText(s.id, true)}
	notes := entry{name: "annotations", value: newMapping(note)}
	if object.node.Kind != yaml.MappingNode {
		return errShape
	}
	meta := object.entry("metadata")
	if meta == nil {
		return s.addEntry(object, entry{name: "metadata", value: newMapping(notes)}, "kind", "apiVersion")
	}
	if meta.value.isNull() {
		return s.fill(meta, newMapping(notes))
	}
	if meta.value.node.Kind != yaml.MappingNode {
		return errors.New("is not a mapping")
	}
	have := meta.value.entry("annotations")
	if have == nil {
		return s.addEntry(meta.value, notes, "name", "generateName", "namespace")
	}
	if have.value.isNull() {
		return s.fill(have, newMapping(note))
	}
	if have.value.node.Kind != yaml.MappingNode {
		return errors.New("its annotations are not a mapping")
	}
	if old := have.value.entry(StampAnnotation); old != nil {
		return s.rewrite(old.value)
	}
	return s.extend(have, note)
}

// mapEnv are the keys under which variables are a mapping of names to values, where there are none yet. Compose takes a list NAME=VALUE as well.
var mapEnv = map[string]bool{"environment": true, "Environment": true}

// variable puts the variable into the environment of a container. It goes first, so that later ones can refer to it.
func (s *stamper) variable(container *value, key string) error {
	item := newMapping(entry{name: "name", value: newText(StampVariable, false)}, entry{name: "value", value: newText(s.id, true)})
	if container.node.Kind != yaml.MappingNode {
		return errors.New("is not a mapping")
	}
	env := container.entry(key)
	if mapEnv[key] {
		return s.mapped(container, env, key)
	}
	if env == nil {
		return s.addEntry(container, entry{name: key, value: newList(item)}, "image", "name")
	}
	if env.value.isNull() {
		return s.fill(env, newList(item))
	}
	if env.value.node.Kind != yaml.SequenceNode {
		return errors.New("is not a list")
	}
	for _, have := range env.value.items {
		if have.get("name").text() != StampVariable {
			continue
		}
		if v := have.get("value"); v != nil {
			return s.rewrite(v)
		}
		return errors.New(StampVariable + " is there already and has no value of its own")
	}
	return s.prepend(env, item)
}

// mapped puts the variable among variables that are a mapping, or a list of NAME=VALUE.
func (s *stamper) mapped(container *value, env *entry, key string) error {
	item := entry{name: StampVariable, value: newText(s.id, true)}
	switch {
	case env == nil:
		return s.addEntry(container, entry{name: key, value: newMapping(item)}, "image", "TrainingJobName", "name")
	case env.value.isNull():
		return s.fill(env, newMapping(item))
	case env.value.node.Kind == yaml.MappingNode && !env.value.template:
		if old := env.value.entry(StampVariable); old != nil {
			return s.rewrite(old.value)
		}
		return s.extend(env, item)
	case env.value.node.Kind == yaml.SequenceNode:
		for _, have := range env.value.items {
			if name, old, _ := strings.Cut(have.text(), "="); name == StampVariable {
				text := StampVariable + "=" + s.id
				s.wanted = append(s.wanted, change{at: have, text: text})
				if old == s.id || !s.once(have.node) {
					return nil
				}
				t, reason := s.doc.of.source.locate(have.node)
				if reason != "" {
					return errors.New(reason)
				}
				s.edits = append(s.edits, edit{t.start, t.end, t.render(text)})
				return nil
			}
		}
		return s.prepend(env, newText(StampVariable+"="+s.id, false))
	}
	return errors.New("is neither a mapping nor a list")
}

// once says whether the edit at the place is still to be made.
func (s *stamper) once(place any) bool {
	first := !s.done[place]
	s.done[place] = true
	return first
}

// rewrite replaces the text of an older stamp.
func (s *stamper) rewrite(v *value) error {
	if v.node.Kind != yaml.ScalarNode {
		return errors.New("the run's id is there already and is not text")
	}
	s.wanted = append(s.wanted, change{at: v, text: s.id})
	if v.isString() && v.node.Value == s.id || !s.once(v.node) {
		return nil
	}
	t, reason := s.doc.of.source.locate(v.node)
	if reason != "" {
		return errors.New(reason)
	}
	if t.quote == 0 {
		t.quote = '"'
	}
	s.edits = append(s.edits, edit{t.start, t.end, t.render(s.id)})
	return nil
}

// insert adds lines at offset, which is the beginning of a line or the end of the file.
func (s *stamper) insert(offset, column int, lines []string) {
	src := s.doc.of.source
	indent := strings.Repeat(" ", column-1)
	text := indent + strings.Join(lines, src.eol+indent)
	if offset == len(src.data) && !strings.HasSuffix(string(src.data[max(0, offset-1):]), "\n") {
		text = src.eol + text // a file without a final newline stays one
	} else {
		text += src.eol
	}
	s.edits = append(s.edits, edit{offset, offset, text})
}
