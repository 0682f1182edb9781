package jobspec

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// token is the text of a scalar in the file, quotes included.
type token struct {
	start, end int
	quote      byte // ' or " or 0
}

// locate finds the text of a scalar node. reason says why it cannot be replaced by a splice: the bytes at the node's place must decode to the
// node's value, on one line.
func (s *source) locate(n *yaml.Node) (t token, reason string) {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return token{}, "is a block scalar; write it on one line"
	}
	at, ok := s.offset(n.Line, n.Column)
	if ok {
		at, ok = s.skipProperties(at)
	}
	if !ok {
		return token{}, "cannot be located in the file"
	}
	rest := s.data[at:]
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		value, size, ok := unquoteDouble(rest, nil)
		if !ok || value != n.Value {
			return token{}, "is spread over several lines or escaped in a way that is not understood; write it on one line"
		}
		return token{at, at + size, '"'}, ""
	case n.Style&yaml.SingleQuotedStyle != 0:
		value, size, ok := unquoteSingle(rest, nil)
		if !ok || value != n.Value {
			return token{}, "is spread over several lines; write it on one line"
		}
		return token{at, at + size, '\''}, ""
	default:
		if !bytes.HasPrefix(rest, []byte(n.Value)) {
			return token{}, "is spread over several lines; write it on one line"
		}
		return token{at, at + len(n.Value), 0}, ""
	}
}

// skipProperties goes over the anchor and the tag of a node, on one line.
func (s *source) skipProperties(at int) (int, bool) {
	for at < len(s.data) && (s.data[at] == '&' || s.data[at] == '!') {
		for at < len(s.data) && !isBlank(s.data[at]) && !(s.data[at] == ',' || s.data[at] == ']' || s.data[at] == '}') {
			at++
		}
		for at < len(s.data) && (s.data[at] == ' ' || s.data[at] == '\t') {
			at++
		}
	}
	return at, true
}

// unquoteSingle reads a single-quoted scalar that ends on the line on which it begins. at, unless nil, gets the place of each byte of the value and
// of its end.
func unquoteSingle(b []byte, at *[]int) (value string, size int, ok bool) {
	if len(b) == 0 || b[0] != '\'' {
		return "", 0, false
	}
	var out strings.Builder
	for i := 1; i < len(b); i++ {
		note(at, i, 1)
		switch {
		case b[i] == '\n' || b[i] == '\r':
			return "", 0, false
		case b[i] == '\'' && i+1 < len(b) && b[i+1] == '\'':
			out.WriteByte('\'')
			i++
		case b[i] == '\'':
			return out.String(), i + 1, true
		default:
			out.WriteByte(b[i])
		}
	}
	return "", 0, false
}

func note(at *[]int, place, times int) {
	if at == nil {
		return
	}
	for range times {
		*at = append(*at, place)
	}
}

// escapes are the one-letter escapes of YAML 1.1 §5.6 (and JSON's).
var escapes = map[byte]string{'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
	' ': " ", '"': `"`, '/': "/", '\\': `\`, '\'': "'", 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029"}

// unquoteDouble reads a double-quoted scalar that ends on the line on which it begins. at is as for unquoteSingle.
func unquoteDouble(b []byte, at *[]int) (value string, size int, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", 0, false
	}
	var out strings.Builder
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\n', '\r':
			return "", 0, false
		case '"':
			note(at, i, 1)
			return out.String(), i + 1, true
		case '\\':
			start := i
			i++
			if i >= len(b) {
				return "", 0, false
			}
			if text, ok := escapes[b[i]]; ok {
				note(at, start, len(text))
				out.WriteString(text)
				continue
			}
			digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[b[i]]
			if digits == 0 || i+digits >= len(b) {
				return "", 0, false
			}
			code, err := strconv.ParseUint(string(b[i+1:i+1+digits]), 16, 32)
			if err != nil || !utf8.ValidRune(rune(code)) {
				return "", 0, false
			}
			note(at, start, utf8.RuneLen(rune(code)))
			out.WriteRune(rune(code))
			i += digits
		default:
			note(at, i, 1)
			out.WriteByte(b[i])
		}
	}
	return "", 0, false
}
