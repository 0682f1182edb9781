package render

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// pair is one entry of a mapping; the order is that of the text.
type pair struct {
	key   string
	value any // string, bool, int, []string, []any, []pair, literal; nil is left out
}

// literal is a text of several lines.
type literal string

// node makes YAML of a value. What is text in the plan is text in the file: the encoder quotes what would read as anything else.
func node(v any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch v := v.(type) {
	case string:
		n.SetString(v)
		n.Style = yaml.DoubleQuotedStyle
		if plainWord(v) {
			n.Style = 0
		}
	case literal:
		n.SetString(string(v))
		n.Style = yaml.DoubleQuotedStyle
		if plainLines(string(v)) {
			n.Style = yaml.LiteralStyle
		}
	case []string:
		n = &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			n.Content = append(n.Content, node(item))
		}
	case []any:
		n = &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			n.Content = append(n.Content, node(item))
		}
	case []pair:
		n = &yaml.Node{Kind: yaml.MappingNode}
		for _, p := range v {
			if p.value != nil {
				n.Content = append(n.Content, node(p.key), node(p.value))
			}
		}
	default:
		_ = n.Encode(v) // bool and int
	}
	return n
}

// plainWord says whether s needs no quotes: no reader takes it for anything but text. The encoder knows YAML 1.2; Kubernetes reads 1.1, where yes and no are
// booleans and 1:30 is a number.
func plainWord(s string) bool {
	first := strings.TrimLeft(s, "-./")
	if first == "" || strings.IndexFunc(s, special) >= 0 || strings.HasSuffix(s, ":") || strings.HasPrefix(s, "---") {
		return false
	}
	switch strings.ToLower(first) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf":
		return false
	}
	return first[0] >= 'a' && first[0] <= 'z' || first[0] >= 'A' && first[0] <= 'Z'
}

// plainLines says whether a text can stand in a literal block as it is: whole lines of printable characters, the first of which says how far all are set in.
func plainLines(text string) bool {
	if text == "" || text[0] == ' ' || text[0] == '\n' || !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n") || !utf8.ValidString(text) {
		return false
	}
	return strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r == 0xfeff || !unicode.IsPrint(r)) }) < 0
}

// writeYAML writes a document behind the plan's title.
func (p *Plan) writeYAML(w io.Writer, doc []pair) error {
	var b bytes.Buffer
	for _, line := range p.Title {
		b.WriteString("# " + line + "\n")
	}
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(node(doc)); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// present gives v, or nothing where the list is empty.
func present[T any](v []T) any {
	if len(v) == 0 {
		return nil
	}
	return v
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
