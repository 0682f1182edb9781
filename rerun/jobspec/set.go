package jobspec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// Setting changes one value of a spec. Key is field.PATH (a path as of [Field]), env.NAME (a variable of a container), or arg.--FLAG (an option among
// the words of a command).
type Setting struct{ Key, Value string }

// Set puts other values into a spec that is pinned. Each setting must match exactly one value, on one line; every other byte stays as it is, and what was
// text, a number or a boolean stays one. A reference that was pinned must still be pinned afterwards. said tells what was replaced. An error has kind
// Invalid for a setting that does not fit, Unpinnable when a pin is lost.
func (rd Reader) Set(file string, spec []byte, settings []Setting) (out []byte, said []string, err error) {
	before, err := rd.Read(file, spec)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range settings {
		was := ""
		if spec, was, err = setOne(file, spec, s); err != nil {
			return nil, nil, err
		}
		said = append(said, fmt.Sprintf("%s set to %q; the recorded spec had %q", s.Key, s.Value, was))
	}
	after, err := rd.Read(file, spec)
	if err != nil {
		return nil, nil, err
	}
	pinned := map[string]bool{}
	for _, ref := range before.References {
		pinned[ref.Field] = ref.Pinned
	}
	for _, ref := range after.References {
		if was, there := pinned[ref.Field]; !ref.Pinned && !ref.Soft && (was || !there) {
			return nil, nil, &schema.Error{Op: "jobspec.set", Kind: schema.Unpinnable, Subject: fmt.Sprintf("%s:%d:%d", file, ref.Line, ref.Column), Err: fmt.Errorf("%q names neither a digest nor a commit any more", ref.Value),
				Hint: "set it to what cannot move: REPO:TAG@sha256:…"}
		}
	}
	return spec, said, after.Err()
}

// settable is a value that a setting matches. before is what stands in front of it in the same text, such as --lr=.
type settable struct {
	doc    *document
	value  *value
	before string
}

func setOne(file string, spec []byte, s Setting) (out []byte, was string, err error) {
	refuse := func(hint, format string, args ...any) ([]byte, string, error) {
		return nil, "", &schema.Error{Op: "jobspec.set", Kind: schema.Invalid, Subject: "--set " + s.Key, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if isScript(file, spec) {
		return refuse("edit the printed spec", "it is no YAML or JSON, in which alone a value can be set")
	}
	parsed, err := Reader{}.parse(file, spec)
	if err != nil {
		return nil, "", err
	}
	what, name, _ := strings.Cut(s.Key, ".")
	var found []settable
	for _, d := range parsed.texts[0].docs {
		switch what {
		case "field":
			walk(d.value, "", name, func(h hit) {
				if h.wrong == "" && h.missing == "" {
					found = append(found, settable{d, h.value, ""})
				}
			})
		case "env":
			d.eachVariable(d.value, func(have string, v *value, before string) {
				if have == name {
					found = append(found, settable{d, v, before})
				}
			})
		case "arg":
			d.eachOption(d.value, func(flag string, v *value, before string) {
				if flag == name {
					found = append(found, settable{d, v, before})
				}
			})
		default:
			return refuse("a run that has a job spec is changed with --set field.PATH=V, env.NAME=V or arg.--FLAG=V", "it is a setting of a command; what is printed is a job spec")
		}
	}
	if len(found) != 1 {
		return refuse("keys joined by dots, and [N] or [NAME] for an element: field.spec.template.spec.containers[main].args[0]", "it matches %d values; exactly one is needed", len(found))
	}
	at := found[0]
	line, _ := at.doc.of.place(at.value.at())
	n := at.value.node
	if n.Kind != yaml.ScalarNode || at.value.via != nil || n.Anchor != "" || n.Style&^(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		return refuse("edit the printed spec", "line %d: only a plain or quoted value can be set, that is not shared through an anchor", line)
	}
	t, reason := at.doc.of.source.locate(n)
	if reason != "" {
		return refuse("edit the printed spec", "line %d: the value %s", line, reason)
	}
	text := at.before + s.Value
	written, err := spelled(n, text)
	if err != nil {
		return refuse("", "%w", err)
	}
	out, err = parsed.source.apply([]edit{{t.start, t.end, written}})
	if err == nil {
		err = parsed.texts[0].verify(out, []change{{at: at.value, replace: &value{node: &yaml.Node{Kind: yaml.ScalarNode, Tag: n.ShortTag(), Value: text}}}})
	}
	if err != nil {
		return refuse("edit the printed spec", "line %d: the value cannot be written there without changing another", line)
	}
	return out, strings.TrimPrefix(n.Value, at.before), nil
}

// eachVariable visits the variables below a value.
func (d *document) eachVariable(v *value, visit func(name string, v *value, before string)) {
	for _, item := range v.items {
		d.eachVariable(item, visit)
	}
	for _, e := range v.entries {
		switch {
		case envKeys[e.name] && isMapping(e.value):
			for _, entry := range e.value.entries {
				visit(entry.name, entry.value, "")
			}
		case envKeys[e.name]:
			for _, item := range e.value.items {
				if name := item.get("name").text(); name != "" && item.get("value") != nil {
					visit(name, item.get("value"), "")
				} else if name, _, ok := strings.Cut(item.text(), "="); ok {
					visit(name, item, name+"=")
				}
			}
		default:
			d.eachVariable(e.value, visit)
		}
	}
}

// eachOption visits the options among the words of commands: --flag=V, and --flag V.
func (d *document) eachOption(v *value, visit func(flag string, v *value, before string)) {
	for _, item := range v.items {
		d.eachOption(item, visit)
	}
	for _, e := range v.entries {
		if !argKeys[e.name] {
			d.eachOption(e.value, visit)
			continue
		}
		for i, item := range e.value.items {
			text := item.text()
			if !strings.HasPrefix(text, "-") {
				continue
			}
			if flag, _, ok := strings.Cut(text, "="); ok {
				visit(flag, item, flag+"=")
			} else if i+1 < len(e.value.items) {
				visit(text, e.value.items[i+1], "")
			}
		}
	}
}

var (
	plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./@-]*(:[A-Za-z0-9_./@-]+)*$`)
	booleans  = regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n|nan|inf)$`)
)

// spelled writes a value in the style of the one that it replaces.
func spelled(n *yaml.Node, value string) (string, error) {
	if strings.IndexFunc(value, func(r rune) bool { return r == 0xfeff || r == unicode.ReplacementChar || !unicode.IsPrint(r) }) >= 0 {
		return "", errors.New("the value has a character that does not belong on a line")
	}
	if tag := n.ShortTag(); tag != "!!str" {
		var is yaml.Node
		if yaml.Unmarshal([]byte(value), &is) != nil || len(is.Content) != 1 || is.Content[0].ShortTag() != tag || is.Content[0].Value != value || tag == "!!null" {
			return "", fmt.Errorf("the spec has %s there, which %q is not", strings.TrimPrefix(tag, "!!"), value)
		}
		return value, nil
	}
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		return "'" + strings.ReplaceAll(value, "'", "''") + "'", nil
	case n.Style&yaml.DoubleQuotedStyle == 0 && plainText.MatchString(value) && !booleans.MatchString(value):
		return value, nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`, nil
}
