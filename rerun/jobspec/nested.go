package jobspec

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// text is a text that was read as YAML documents: the file, or a string inside one of its documents. A change inside a string is made at the
// bytes of the file that the string's bytes come from.
type text struct {
	source *source
	docs   []*document

	outer   *document // where the string stands, nil of the file
	at      *value
	field   string
	offsets []int  // for each byte of the string, and for its end, the place in the outer text
	quote   byte   // of the string; 0 is a literal block
	indent  string // of the lines of a literal block
}

// maxTexts is how deep strings inside strings are read.
const maxTexts = 3

// position gives line and column in the file, as editors count them, of an offset.
func (t *text) position(offset int) (line, column int) {
	for t.outer != nil {
		offset, t = t.offsets[offset], t.outer.of
	}
	return t.source.position(offset)
}

// inFile gives the place in the file of an offset.
func (t *text) inFile(offset int) int {
	for t.outer != nil {
		offset, t = t.offsets[offset], t.outer.of
	}
	return offset
}

// place gives line and column in the file of a node of the text.
func (t *text) place(n *yaml.Node) (line, column int) {
	offset, ok := t.source.offset(n.Line, n.Column)
	switch {
	case ok:
		return t.position(offset)
	case t.outer != nil:
		return t.outer.of.place(t.at.node)
	default:
		return n.Line, n.Column
	}
}

// stringText maps a string of a document to its bytes; reason says why it cannot be changed in part.
func (d *document) stringText(v *value) (t *text, reason string) {
	t = &text{outer: d, at: v}
	n, src := v.node, d.of.source
	start, ok := src.offset(n.Line, n.Column)
	if ok {
		start, ok = src.skipProperties(start)
	}
	if !ok {
		return nil, "cannot be located in the file"
	}
	switch {
	case n.Style&yaml.FoldedStyle != 0:
		return nil, "is a folded block; write it as a literal one, with |"
	case n.Style&yaml.LiteralStyle != 0:
		ok = t.literal(src, start)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		t.quote = '"'
		ok = t.quoted(unquoteDouble(src.data[start:], &t.offsets))
	case n.Style&yaml.SingleQuotedStyle != 0:
		t.quote = '\''
		ok = t.quoted(unquoteSingle(src.data[start:], &t.offsets))
	default:
		t.quote = '\'' // of a plain text nothing need be escaped either, and no line can be added
		ok = bytes.HasPrefix(src.data[start:], []byte(n.Value))
		for i := 0; i <= len(n.Value); i++ {
			t.offsets = append(t.offsets, i)
		}
	}
	if !ok || len(t.offsets) != len(n.Value)+1 {
		return nil, "is written in a way in which its bytes cannot be told; write it as a literal block, with |"
	}
	if t.quote != 0 {
		for i := range t.offsets {
			t.offsets[i] += start
		}
	}
	t.source = newSource([]byte(n.Value))
	return t, ""
}

func (t *text) quoted(value string, _ int, ok bool) bool { return ok && value == t.at.node.Value }

// literal maps the lines of a literal block whose indicator is at start.
func (t *text) literal(src *source, start int) bool {
	at := lineEnd(src.data, start) + 1
	lines := strings.SplitAfter(t.at.node.Value, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	t.indent = ""
	for i, line := range lines {
		body := strings.TrimSuffix(line, "\n")
		if at > len(src.data) {
			return false
		}
		end := lineEnd(src.data, at)
		raw := string(bytes.TrimSuffix(src.data[at:end], []byte("\r")))
		if body == "" {
			if strings.TrimLeft(raw, " ") != "" {
				return false
			}
			t.offsets = append(t.offsets, min(at+len(t.indent), at+len(raw))) // the place of its line end
			at = end + 1
			continue
		}
		if t.indent == "" {
			if !strings.HasSuffix(raw, body) {
				return false
			}
			t.indent = raw[:len(raw)-len(body)]
			if strings.Trim(t.indent, " ") != "" || t.indent == "" {
				return false
			}
		}
		if raw != t.indent+body {
			return false
		}
		for j := 0; j < len(body); j++ {
			t.offsets = append(t.offsets, at+len(t.indent)+j)
		}
		if strings.HasSuffix(line, "\n") {
			t.offsets = append(t.offsets, at+len(t.indent)+len(body))
			if i == len(lines)-1 {
				t.offsets = append(t.offsets, min(end+1, len(src.data)))
			}
		} else {
			t.offsets = append(t.offsets, at+len(t.indent)+len(body))
		}
		at = end + 1
	}
	return true
}

// lift gives the edit of the outer text that makes an edit of this one.
func (t *text) lift(e edit) (edit, error) {
	out := edit{t.offsets[e.start], t.offsets[e.end], e.text}
	switch t.quote {
	case '"':
		out.text = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(e.text)
	case '\'':
		if strings.Contains(e.text, "\n") {
			return out, fmt.Errorf("%s: is written in a way that leaves no place for the run's id; write it as a literal block, with |", t.field)
		}
		out.text = strings.ReplaceAll(e.text, "'", "''")
	default:
		eol := t.outer.of.source.eol
		value := t.at.node.Value
		switch {
		case e.start == len(value) && strings.HasSuffix(value, "\n") && e.text != "": // lines behind the last
			out.text = t.indent + strings.ReplaceAll(strings.TrimSuffix(e.text, "\n"), "\n", eol+t.indent) + eol
		default:
			out.text = strings.ReplaceAll(e.text, "\n", eol+t.indent)
		}
	}
	return out, nil
}
