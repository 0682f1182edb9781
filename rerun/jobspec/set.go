package jobspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// Set changes one value of a job spec: key is field.PATH (a scalar; [] is any item of a list), env.NAME (a variable) or arg.--FLAG (an option of a
// command). Exactly one place must match. Every other byte stays, and the result is read again to prove it. was is the old value. An error has kind
// Invalid when there is no such place or more than one, Unpinnable when it is written in a way that cannot be changed.
func Set(file string, data []byte, key, text string) (out []byte, was string, err error) {
	if !utf8.ValidString(text) {
		return nil, "", setError(key, schema.Invalid, "the value is not UTF-8")
	}
	if isScript(file, data) {
		return setInScript(file, data, key, text)
	}
	s, err := Reader{}.parse(file, data)
	if err != nil {
		return nil, "", err
	}
	var found []settable
	for _, d := range s.texts[0].docs {
		f := finder{doc: d}
		kind, name, _ := strings.Cut(key, ".")
		switch kind {
		case "field":
			f.field(d.value, "", name)
		case "env":
			f.variables(d.value, "", name)
		case "arg":
			f.options(d.value, "", name)
		}
		found = append(found, f.found...)
	}
	at, err := s.only(key, found)
	if err != nil {
		return nil, "", err
	}
	return s.set(key, at, text)
}

// settable is a place that a key names.
type settable struct {
	hit
	doc    *document
	prefix string // of its text, which stays, such as NAME=
	text   bool   // whatever is given is text there, also where a number stands
}

type finder struct {
	doc   *document
	found []settable
}

func (f *finder) add(v *value, field, prefix string, text bool) {
	f.found = append(f.found, settable{hit{field: field, value: v}, f.doc, prefix, text})
}

// field follows a path such as spec.tasks[2].args[0] or metadata.labels["a/b"]; [] stands for any item.
func (f *finder) field(v *value, at, rest string) {
	rest = strings.TrimPrefix(rest, ".")
	if rest == "" {
		if v.node.Kind == yaml.ScalarNode || v.template {
			f.add(v, at, "", false)
		}
		return
	}
	if items, ok := strings.CutPrefix(rest, "[]"); ok {
		for i, item := range v.items {
			f.field(item, indexed(at, i), items)
		}
		return
	}
	if name, after, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]"); ok && rest[0] == '[' && !strings.HasPrefix(name, `"`) { // of that name, or number
		if i := element(v, name); i >= 0 {
			f.field(v.items[i], indexed(at, i), after)
		}
		return
	}
	end := len(rest)
	switch {
	case strings.HasPrefix(rest, `["`):
		if i := strings.Index(rest, `"]`); i >= 2 {
			end = i + 2
		}
	default:
		if i := strings.IndexAny(rest, ".["); i > 0 {
			end = i
		}
	}
	if next := valueAt(v, "", rest[:end]); next != nil {
		f.field(next, at+map[bool]string{true: ".", false: ""}[at != "" && rest[0] != '[']+rest[:end], rest[end:])
	}
}

func (f *finder) variables(v *value, at, name string) {
	f.walk(v, at, func(e entry, at string) bool {
		if !envKeys[e.name] || e.value.node.Kind == yaml.ScalarNode {
			return false
		}
		for _, variable := range e.value.entries {
			if variable.name == name {
				f.add(variable.value, join(at, name), "", true)
			}
		}
		for i, item := range e.value.items {
			switch value := item.get("value"); {
			case item.get("name").text() == name && value != nil:
				f.add(value, join(indexed(at, i), "value"), "", false)
			case item.get("name").text() == name:
				f.add(item, indexed(at, i), "", false) // from elsewhere: refused with its place
			case strings.HasPrefix(item.text(), name+"="):
				f.add(item, indexed(at, i), name+"=", false)
			}
		}
		return true
	})
}

func (f *finder) options(v *value, at, flag string) {
	f.walk(v, at, func(e entry, at string) bool {
		if !argKeys[e.name] || e.value.node.Kind != yaml.SequenceNode {
			return false
		}
		items := e.value.items
		for i, item := range items {
			switch text := item.text(); {
			case strings.HasPrefix(text, flag+"="):
				f.add(item, indexed(at, i), flag+"=", false)
			case text == flag && i+1 < len(items) && !isOption(items[i+1].text()):
				f.add(items[i+1], indexed(at, i+1), "", false)
			}
		}
		return true
	})
}

// isOption reports whether a word is an option rather than a value: -1 and -0.5 are values.
func isOption(word string) bool {
	return len(word) > 1 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9' || word[1] == '.')
}

func (f *finder) walk(v *value, at string, visit func(e entry, at string) bool) {
	for i, item := range v.items {
		f.walk(item, indexed(at, i), visit)
	}
	for _, e := range v.entries {
		if field := join(at, e.name); !visit(e, field) {
			f.walk(e.value, field, visit)
		}
	}
}

// only gives the one place that was found.
func (s *Spec) only(key string, found []settable) (settable, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	var places []string
	for i, p := range found {
		if i == 10 {
			places = append(places, fmt.Sprintf("and %d more", len(found)-i))
			break
		}
		line, column := p.doc.of.place(p.value.at())
		places = append(places, fmt.Sprintf("%s (%s:%d:%d)", p.field, s.File, line, column))
	}
	return settable{}, onlyError(key, places)
}

func onlyError(key string, places []string) error {
	if len(places) == 0 {
		return setError(key, schema.Invalid, "the job spec has no such place")
	}
	e := setError(key, schema.Invalid, fmt.Sprintf("names more than one place: %s", strings.Join(places, ", ")))
	e.Hint = "name one of them: --set field.PATH=V"
	return e
}

func setError(key string, kind schema.Kind, reason string) *schema.Error {
	return &schema.Error{Op: "jobspec.set", Kind: kind, Subject: "--set " + schema.Shorten(key, 200), Err: errors.New(reason)}
}

func (s *Spec) set(key string, at settable, text string) ([]byte, string, error) {
	line, column := at.doc.of.place(at.value.at())
	refuse := func(reason string) ([]byte, string, error) {
		return nil, "", setError(key, schema.Unpinnable, fmt.Sprintf("%s:%d:%d: %s %s", s.File, line, column, at.field, reason))
	}
	n := at.value.node
	switch {
	case at.value.template:
		return refuse("is a template")
	case n.Kind != yaml.ScalarNode:
		return refuse("is not written as a value here; it comes from elsewhere")
	case at.value.via != nil || at.doc.uses(n) > 1:
		return refuse("is shared through an anchor; write it out where it is to differ")
	case at.value.isNull():
		return refuse("holds nothing that could be changed")
	}
	was := strings.TrimPrefix(n.Value, at.prefix)
	t, reason := at.doc.of.source.locate(n)
	if reason != "" {
		return refuse(reason)
	}
	text = at.prefix + text
	tag := n.ShortTag()
	read := plainTag(text)
	number := func(tag string) bool { return tag == "!!int" || tag == "!!float" }
	switch {
	case tag == "!!str":
	case read == tag || number(tag) && number(read):
		tag = read
	case at.text:
		tag = "!!str"
	default:
		return refuse(fmt.Sprintf("is %s, %q is not of that type", n.Value, schema.Shorten(text, 100)))
	}
	wanted := change{at: at.value, replace: &value{node: &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}}}
	// As it was quoted, if that reads as wanted; else in double quotes, which hold everything.
	for _, spelled := range spellings(t, tag, text) {
		out, err := at.doc.of.source.apply([]edit{{t.start, t.end, spelled}})
		if err == nil && at.doc.of.verify(out, []change{wanted}) == nil {
			return out, was, nil
		}
	}
	return refuse("is written in a way in which it cannot be changed")
}

func spellings(t token, tag, text string) (all []string) {
	switch {
	case t.quote == '\'' && !strings.ContainsAny(text, "\n\r"):
		all = append(all, "'"+strings.ReplaceAll(text, "'", "''")+"'")
	case t.quote == 0 && (tag != "!!str" || plainTag(text) == "!!str"):
		all = append(all, text)
	}
	if tag == "!!str" {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(text) // a string always can be
		all = append(all, strings.TrimSuffix(b.String(), "\n"))
	}
	return all
}

// plainTag tells as what readers take a text without quotes; "" when they differ, as for yes, which is a boolean in YAML 1.1.
func plainTag(text string) string {
	switch strings.ToLower(text) {
	case "y", "n", "yes", "no", "on", "off":
		return ""
	}
	n := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	return n.ShortTag()
}

// uses counts the places at which a document uses a node.
func (d *document) uses(n *yaml.Node) (times int) {
	if !d.shared {
		return 1
	}
	var walk func(v *value)
	walk = func(v *value) {
		if v.node == n {
			times++
		}
		for _, item := range v.items {
			walk(item)
		}
		for _, e := range v.entries {
			walk(e.value)
		}
	}
	walk(d.value)
	return times
}
