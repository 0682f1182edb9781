package render

import (
	"bytes"
	"io"
	"strings"

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
		n.Style &^= yaml.LiteralStyle
		if strings.IndexFunc(v, special) >= 0 || v == "" {
			n.Style = yaml.DoubleQuotedStyle
		}
	case literal:
		n.SetString(string(v))
		n.Style = yaml.LiteralStyle
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
