package schema

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string and writes its canonical form (RFC 8785 §3.2.2.2): the two-character escapes where they exist, \u00xx for other
// control characters, everything else as it is. It reports whether the form holds an escape.
func (c *canonicalizer) text() (escaped bool, err error) {
	c.pos++
	c.out = append(c.out, '"')
	for {
		start := c.pos
		for c.pos < len(c.in) && c.in[c.pos] >= 0x20 && c.in[c.pos] != '"' && c.in[c.pos] != '\\' {
			c.pos++
		}
		c.out = append(c.out, c.in[start:c.pos]...)
		if c.pos >= len(c.in) {
			return escaped, c.failf("unexpected end in a string")
		}
		switch c.in[c.pos] {
		case '"':
			c.pos++
			c.out = append(c.out, '"')
			return escaped, nil
		case '\\':
			r, err := c.escape()
			if err != nil {
				return escaped, err
			}
			before := len(c.out)
			c.out = appendCanonicalRune(c.out, r)
			escaped = escaped || c.out[before] == '\\'
		default:
			return escaped, c.failf("a control character in a string")
		}
	}
}

// escape reads one escape sequence, or the two of a surrogate pair.
func (c *canonicalizer) escape() (rune, error) {
	if c.pos+1 >= len(c.in) {
		return 0, c.failf("unexpected end in a string")
	}
	kind := c.in[c.pos+1]
	switch kind {
	case '"', '\\', '/':
		c.pos += 2
		return rune(kind), nil
	case 'b', 'f', 'n', 'r', 't':
		c.pos += 2
		return rune("\b\f\n\r\t"[strings.IndexByte("bfnrt", kind)]), nil
	case 'u':
		r, ok := c.hex4(c.pos)
		if !ok {
			return 0, c.failf(`a bad \u escape in a string`)
		}
		if !utf16.IsSurrogate(r) {
			c.pos += 6
			return r, nil
		}
		// encoding/json would silently turn a lone surrogate into U+FFFD.
		low, ok := c.hex4(c.pos + 6)
		pair := utf16.DecodeRune(r, low)
		if !ok || pair == utf8.RuneError {
			return 0, c.failf("a lone surrogate in a string")
		}
		c.pos += 12
		return pair, nil
	default:
		return 0, c.failf("a bad escape in a string")
	}
}

// hex4 reads the \uXXXX that stands at the place at.
func (c *canonicalizer) hex4(at int) (rune, bool) {
	if at+6 > len(c.in) || c.in[at] != '\\' || c.in[at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, b := range c.in[at+2 : at+6] {
		switch {
		case b >= '0' && b <= '9':
			b -= '0'
		case b >= 'a' && b <= 'f':
			b -= 'a' - 10
		case b >= 'A' && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(b)
	}
	return r, true
}

func appendCanonicalRune(out []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(out, '\\', byte(r))
	case '\b':
		return append(out, `\b`...)
	case '\t':
		return append(out, `\t`...)
	case '\n':
		return append(out, `\n`...)
	case '\f':
		return append(out, `\f`...)
	case '\r':
		return append(out, `\r`...)
	}
	if r < 0x20 {
		return append(out, fmt.Sprintf(`\u%04x`, r)...)
	}
	return utf8.AppendRune(out, r)
}
