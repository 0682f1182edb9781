package rerun

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// setFields puts other values into a pinned spec, for --set field.PATH=V. PATH is keys joined by dots, with [N], [NAME] or [] for elements of a list, as in
// jobspec.Field, and must match exactly one value of one line. Every other byte stays as it is, and what was text, a number or a boolean stays one. A reference
// that was pinned must still be pinned afterwards. said tells what was replaced.
func setFields(file string, spec []byte, settings []Setting, reader jobspec.Reader) (out []byte, said []string, err error) {
	before, err := reader.Read(file, spec)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range settings {
		path, ok := strings.CutPrefix(s.Key, "field.")
		if !ok {
			return nil, nil, fieldError(s, "a run that has a job spec is changed with --set field.PATH=V", "it is a setting of a command; what is printed is a job spec")
		}
		was := ""
		if spec, was, err = setField(spec, path, s); err != nil {
			return nil, nil, err
		}
		said = append(said, fmt.Sprintf("%s set to %q; the recorded spec had %q", s.Key, s.Value, was))
	}
	after, err := reader.Read(file, spec)
	if err != nil {
		return nil, nil, err
	}
	pinned := map[string]bool{}
	for _, ref := range before.References {
		pinned[ref.Field] = ref.Pinned
	}
	for _, ref := range after.References {
		if was, there := pinned[ref.Field]; !ref.Pinned && !ref.Soft && (was || !there) {
			return nil, nil, &schema.Error{Op: "rerun.set", Kind: schema.Unpinnable, Subject: fmt.Sprintf("%s:%d:%d", file, ref.Line, ref.Column), Err: fmt.Errorf("%q names neither a digest nor a commit any more", ref.Value),
				Hint: "set it to what cannot move: REPO:TAG@sha256:…"}
		}
	}
	return spec, said, after.Err()
}

func fieldError(s Setting, hint, format string, args ...any) error {
	return &schema.Error{Op: "rerun.set", Kind: schema.Invalid, Subject: "--set " + s.Key, Err: fmt.Errorf(format, args...), Hint: hint}
}

func setField(spec []byte, path string, s Setting) (out []byte, was string, err error) {
	docs, err := documents(spec)
	if err != nil {
		return nil, "", fieldError(s, "", "the spec is not YAML: %w", err)
	}
	var found []*yaml.Node
	for _, d := range docs {
		found = append(found, follow(d, splitPath(path))...)
	}
	if len(found) != 1 {
		return nil, "", fieldError(s, "keys joined by dots, and [N] or [NAME] for an element: field.spec.template.spec.containers[main].args[0]", "it matches %d values; exactly one is needed", len(found))
	}
	n := found[0]
	if n.Kind != yaml.ScalarNode || n.Anchor != "" || n.Style&^(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		return nil, "", fieldError(s, "edit the printed spec", "line %d: only a plain or quoted value can be set, that is not shared through an anchor", n.Line)
	}
	start, end, ok := token(spec, n)
	if !ok {
		return nil, "", fieldError(s, "edit the printed spec", "line %d: the value is written in a way that cannot be edited safely", n.Line)
	}
	written, err := spelled(n, s.Value)
	if err != nil {
		return nil, "", fieldError(s, "", "%w", err)
	}
	out = append(append(append([]byte{}, spec[:start]...), written...), spec[end:]...)
	was, n.Value, n.Style = n.Value, s.Value, 0
	changed, err := documents(out)
	if err != nil || !same(docs, changed) {
		return nil, "", fieldError(s, "edit the printed spec", "line %d: the value cannot be written there without changing another", n.Line)
	}
	return out, was, nil
}

// documents parses a stream of YAML.
func documents(data []byte) (docs []*yaml.Node, err error) {
	for dec := yaml.NewDecoder(strings.NewReader(string(data))); ; {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			if err.Error() == "EOF" {
				return docs, nil
			}
			return nil, err
		}
		docs = append(docs, n.Content...)
	}
}

var pathPart = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

func splitPath(path string) []string { return pathPart.FindAllString(path, -1) }

// follow gives the values at a path. An alias is not followed: its value stands elsewhere too.
func follow(n *yaml.Node, path []string) (found []*yaml.Node) {
	if len(path) == 0 {
		return []*yaml.Node{n}
	}
	element, isElement := strings.CutPrefix(path[0], "[")
	element = strings.TrimSuffix(element, "]")
	switch {
	case n.Kind == yaml.MappingNode && !isElement:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == path[0] {
				found = append(found, follow(n.Content[i+1], path[1:])...)
			}
		}
	case n.Kind == yaml.SequenceNode && isElement:
		for i, item := range n.Content {
			if element == "" || element == strconv.Itoa(i) || len(follow(item, []string{"name"})) == 1 && follow(item, []string{"name"})[0].Value == element {
				found = append(found, follow(item, path[1:])...)
			}
		}
	}
	return found
}

// token gives where a scalar stands. The parser counts columns in characters, and lines by more marks than editors do: a spec that has such a mark is left alone.
func token(spec []byte, n *yaml.Node) (start, end int, ok bool) {
	text := string(spec)
	if strings.ContainsAny(text, "\u2028\u2029\u0085\ufeff") || strings.Contains(strings.ReplaceAll(text, "\r\n", "\n"), "\r") {
		return 0, 0, false
	}
	for line := 1; line < n.Line; line++ {
		next := strings.IndexByte(text[start:], '\n')
		if next < 0 {
			return 0, 0, false
		}
		start += next + 1
	}
	column := 1
	for i := range text[start:] {
		if column == n.Column {
			start += i
			break
		}
		column++
	}
	rest := text[start:]
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\\' {
				i++
			} else if rest[i] == '"' {
				end = start + i + 1
				break
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\'' && i+1 < len(rest) && rest[i+1] == '\'' {
				i++
			} else if rest[i] == '\'' {
				end = start + i + 1
				break
			}
		}
	default:
		if n.Value != "" && strings.HasPrefix(rest, n.Value) {
			end = start + len(n.Value)
		}
	}
	if end <= start || strings.ContainsAny(text[start:end], "\r\n") {
		return 0, 0, false
	}
	var back yaml.Node
	if yaml.Unmarshal(spec[start:end], &back) != nil || len(back.Content) != 1 || back.Content[0].Value != n.Value || back.Content[0].Kind != yaml.ScalarNode {
		return 0, 0, false
	}
	return start, end, true
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
	case n.Style == 0 && plainText.MatchString(value) && !booleans.MatchString(value):
		return value, nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`, nil
}

// same compares what two streams say.
func same(a, b []*yaml.Node) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !reflect.DeepEqual(meaning(a[i], 0), meaning(b[i], 0)) {
			return false
		}
	}
	return true
}

// meaning is a node without its place, style and comments.
func meaning(n *yaml.Node, depth int) any {
	if n.Kind == yaml.AliasNode || depth > 1000 {
		return "*" + n.Value
	}
	out := []any{n.Kind, n.ShortTag(), n.Value, n.Anchor}
	for _, c := range n.Content {
		out = append(out, meaning(c, depth+1))
	}
	return out
}
