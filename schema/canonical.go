package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"unicode/utf8"
)

// The canonical form is RFC 8785 (JSON Canonicalization Scheme) with one restriction: a number is an integer within ±(2^53−1),
// written in decimal. Everything that is not an integer is text in a record, so the form never depends on how floats are printed.

const (
	maxSafeInteger    = 1<<53 - 1
	maxCanonicalDepth = 100
	// maxCanonicalBytes bounds what is brought into the canonical form at once: offsets into it fit 32 bits.
	maxCanonicalBytes = 512 << 20
)

// Canonical gives the canonical JSON of v, which must marshal to JSON without fractions. A string that is not UTF-8 is refused,
// not replaced as encoding/json would: use [Text] where one can occur.
func Canonical(v any) ([]byte, error) {
	if err := checkText(v); err != nil {
		return nil, &Error{Op: "schema.canonical", Kind: Invalid, Err: err}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return CanonicalBytes(buf.Bytes())
}

// CanonicalBytes rewrites one JSON value into the canonical form. Duplicate keys, fractions, exponents, numbers beyond 2^53−1, −0,
// lone surrogates, invalid UTF-8, more than 100 levels and trailing data are errors. It takes time and memory in proportion to b.
func CanonicalBytes(b []byte) ([]byte, error) {
	c := canonicalizer{in: b}
	err := c.run()
	if err != nil {
		return nil, &Error{Op: "schema.canonical", Kind: Invalid, Subject: "JSON", Err: err}
	}
	return c.out, nil
}

// canonicalizer reads in once, from the left, and appends the canonical form to out. It does its own reading because encoding/json
// keeps the last of two equal keys and puts U+FFFD in place of what it cannot read: either would let two readers see two records.
type canonicalizer struct {
	in      []byte
	pos     int
	out     []byte
	members []member // of all objects that are being read, the innermost last
	swap    []byte
}

// member is one key and value of an object, as offsets into out.
type member struct {
	start, keyEnd, end int32
	escaped            bool // the key holds an escape in its canonical form
}

func (c *canonicalizer) run() error {
	if len(c.in) > maxCanonicalBytes {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(c.in), maxCanonicalBytes)
	}
	if !utf8.Valid(c.in) {
		return fmt.Errorf("not valid UTF-8")
	}
	// No character grows: the shortest spelling of each is its canonical one, except a raw control character, which is refused.
	c.out = make([]byte, 0, len(c.in))
	if err := c.value(0); err != nil {
		return err
	}
	c.space()
	if c.pos != len(c.in) {
		return c.failf("data after the value")
	}
	return nil
}

func (c *canonicalizer) failf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %w", c.pos, fmt.Errorf(format, args...))
}

func (c *canonicalizer) space() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// peek gives the next byte that is not space, or 0 at the end.
func (c *canonicalizer) peek() byte {
	c.space()
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

func (c *canonicalizer) value(depth int) error {
	if depth > maxCanonicalDepth {
		return c.failf("nested more than %d deep", maxCanonicalDepth)
	}
	switch b := c.peek(); {
	case b == '{':
		return c.object(depth)
	case b == '[':
		return c.array(depth)
	case b == '"':
		_, err := c.text()
		return err
	case b == '-' || (b >= '0' && b <= '9'):
		return c.number()
	case b == 't':
		return c.word("true")
	case b == 'f':
		return c.word("false")
	case b == 'n':
		return c.word("null")
	case c.pos >= len(c.in):
		return c.failf("unexpected end")
	default:
		return c.failf("unexpected %q", b)
	}
}

func (c *canonicalizer) word(w string) error {
	if !bytes.HasPrefix(c.in[c.pos:], []byte(w)) {
		return c.failf("a word that JSON does not have")
	}
	c.pos += len(w)
	c.out = append(c.out, w...)
	return nil
}

func (c *canonicalizer) number() error {
	start := c.pos
	for c.pos < len(c.in) {
		b := c.in[c.pos]
		if (b < '0' || b > '9') && b != '-' && b != '+' && b != '.' && b != 'e' && b != 'E' {
			break
		}
		c.pos++
	}
	s := string(c.in[start:c.pos])
	n, err := strconv.ParseInt(s, 10, 64)
	// Printing it again refuses -0, a plus sign and leading zeros.
	if err != nil || n > maxSafeInteger || n < -maxSafeInteger || strconv.FormatInt(n, 10) != s {
		c.pos = start
		return c.failf("number %s is not an integer within ±(2^53-1) in its shortest form", Shorten(s, 40))
	}
	c.out = append(c.out, s...)
	return nil
}

func (c *canonicalizer) array(depth int) error {
	c.pos++
	c.out = append(c.out, '[')
	if c.peek() == ']' {
		c.pos++
		c.out = append(c.out, ']')
		return nil
	}
	for {
		if err := c.value(depth + 1); err != nil {
			return err
		}
		switch c.peek() {
		case ',':
			c.pos++
			c.out = append(c.out, ',')
		case ']':
			c.pos++
			c.out = append(c.out, ']')
			return nil
		default:
			return c.failf("expected , or ] in an array")
		}
	}
}

func (c *canonicalizer) object(depth int) error {
	c.pos++
	c.out = append(c.out, '{')
	if c.peek() == '}' {
		c.pos++
		c.out = append(c.out, '}')
		return nil
	}
	first, sorted := len(c.members), true
	for {
		if c.peek() != '"' {
			return c.failf("expected a key in an object")
		}
		m := member{start: int32(len(c.out))}
		var err error
		if m.escaped, err = c.text(); err != nil {
			return err
		}
		m.keyEnd = int32(len(c.out))
		if c.peek() != ':' {
			return c.failf("expected : after a key")
		}
		c.pos++
		c.out = append(c.out, ':')
		if err := c.value(depth + 1); err != nil {
			return err
		}
		m.end = int32(len(c.out))
		if sorted && len(c.members) > first {
			switch order := c.compareKeys(c.members[len(c.members)-1], m); {
			case order == 0:
				return c.twice(m)
			case order > 0:
				sorted = false
			}
		}
		c.members = append(c.members, m)
		next := c.peek()
		if next != ',' && next != '}' {
			return c.failf("expected , or } in an object")
		}
		c.pos++
		if next == '}' {
			break
		}
		c.out = append(c.out, ',')
	}
	if !sorted {
		if err := c.sortMembers(c.members[first:]); err != nil {
			return err
		}
	}
	c.members = c.members[:first]
	c.out = append(c.out, '}')
	return nil
}

// sortMembers puts the members, which end out, into the order of RFC 8785 §3.2.3.
func (c *canonicalizer) sortMembers(members []member) error {
	type keyed struct {
		member
		key []byte
	}
	all := make([]keyed, len(members))
	for i, m := range members {
		all[i] = keyed{m, c.key(m)}
	}
	sort.Slice(all, func(i, j int) bool { return compareUTF16(all[i].key, all[j].key) < 0 })
	swap := c.swap[:0]
	for i, m := range all {
		if i > 0 {
			if bytes.Equal(all[i-1].key, m.key) {
				return c.twice(m.member)
			}
			swap = append(swap, ',')
		}
		swap = append(swap, c.out[m.start:m.end]...)
	}
	copy(c.out[members[0].start:], swap)
	c.swap = swap
	return nil
}

func (c *canonicalizer) twice(m member) error {
	return fmt.Errorf("key %s stands twice in one object", Shorten(string(c.out[m.start:m.keyEnd]), 80))
}

func (c *canonicalizer) compareKeys(a, b member) int { return compareUTF16(c.key(a), c.key(b)) }

func (c *canonicalizer) key(m member) []byte {
	quoted := c.out[m.start:m.keyEnd]
	if !m.escaped {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it was written by text, so it can be read
	return []byte(s)
}

// compareUTF16 orders two UTF-8 strings by their UTF-16 code units. That is the order of bytes, but for code points beyond U+FFFF:
// as surrogates they stand before U+E000 to U+FFFF.
func compareUTF16(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	for i > 0 && !utf8.RuneStart(a[i]) {
		i--
	}
	ra, _ := utf8.DecodeRune(a[i:])
	rb, _ := utf8.DecodeRune(b[i:])
	return int(utf16Order(ra) - utf16Order(rb))
}

func utf16Order(r rune) rune {
	switch {
	case r >= 0x10000:
		return r - 0x10000 + 0xD800 // between U+D7FF and U+E000, which are both out of the way:
	case r >= 0xE000:
		return r + 0x110000
	default:
		return r
	}
}
