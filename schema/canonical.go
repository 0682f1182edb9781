package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The canonical form is RFC 8785 (JSON Canonicalization Scheme) with one restriction: a number is an integer within ±(2^53−1),
// written in decimal. Everything that is not an integer is text in a record, so the form never depends on how floats are printed.

const (
	maxSafeInteger    = 1<<53 - 1
	maxCanonicalDepth = 100
)

// Canonical gives the canonical JSON of v, which must marshal to JSON without fractions. A string that is not UTF-8 is refused,
// not replaced as encoding/json would: use [Text] where one can occur.
func Canonical(v any) ([]byte, error) {
	if path := invalidString(reflect.ValueOf(v), 0); path != "" {
		return nil, &Error{Op: "schema.canonical", Kind: Invalid, Subject: path, Err: fmt.Errorf("not valid UTF-8")}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return CanonicalBytes(buf.Bytes())
}

// CanonicalBytes rewrites one JSON value into the canonical form. Duplicate keys, fractions, exponents, numbers beyond 2^53−1,
// lone surrogates, invalid UTF-8, more than 100 levels and trailing data are errors.
func CanonicalBytes(b []byte) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, &Error{Op: "schema.canonical", Kind: Invalid, Subject: "JSON", Err: err}
	}
	if !utf8.Valid(b) {
		return fail(fmt.Errorf("not valid UTF-8"))
	}
	if err := loneSurrogate(b); err != nil {
		return fail(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	out := make([]byte, 0, len(b))
	out, err := canonicalValue(dec, out, 0)
	if err != nil {
		return fail(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fail(fmt.Errorf("data after the value"))
	}
	return out, nil
}

func canonicalValue(dec *json.Decoder, out []byte, depth int) ([]byte, error) {
	tok, err := dec.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if depth > maxCanonicalDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxCanonicalDepth)
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return canonicalArray(dec, out, depth)
		}
		return canonicalObject(dec, out, depth)
	case string:
		return appendCanonicalString(out, t), nil
	case json.Number:
		n, err := strconv.ParseInt(t.String(), 10, 64)
		if err != nil || n > maxSafeInteger || n < -maxSafeInteger || t.String() == "-0" {
			return nil, fmt.Errorf("number %s is not an integer within ±(2^53-1)", Shorten(t.String(), 40))
		}
		return strconv.AppendInt(out, n, 10), nil
	case bool:
		return strconv.AppendBool(out, t), nil
	default:
		return append(out, "null"...), nil
	}
}

func canonicalArray(dec *json.Decoder, out []byte, depth int) ([]byte, error) {
	out = append(out, '[')
	for i := 0; dec.More(); i++ {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = canonicalValue(dec, out, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return append(out, ']'), err
}

func canonicalObject(dec *json.Decoder, out []byte, depth int) ([]byte, error) {
	type member struct {
		key   string
		order []uint16
		value []byte
	}
	var members []member
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := tok.(string)
		if !ok {
			return nil, fmt.Errorf("an object key is not a string")
		}
		if seen[key] {
			return nil, fmt.Errorf("key %q stands twice in one object", Shorten(key, 80))
		}
		seen[key] = true
		value, err := canonicalValue(dec, nil, depth+1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, utf16.Encode([]rune(key)), value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	// RFC 8785 §3.2.3: keys are sorted by their UTF-16 code units.
	sort.Slice(members, func(i, j int) bool { return lessUTF16(members[i].order, members[j].order) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendCanonicalString(out, m.key)
		out = append(out, ':')
		out = append(out, m.value...)
	}
	return append(out, '}'), nil
}

func lessUTF16(a, b []uint16) bool {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return len(a) < len(b)
}

// appendCanonicalString follows RFC 8785 §3.2.2.2: the two-character escapes where they exist, \u00xx for other control characters,
// everything else as it is.
func appendCanonicalString(out []byte, s string) []byte {
	const short = "\b\t\n\f\r\"\\"
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch at := strings.IndexByte(short, c); {
		case at >= 0:
			out = append(out, '\\', "btnfr\"\\"[at])
		case c < 0x20:
			out = append(out, fmt.Sprintf(`\u%04x`, c)...)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// loneSurrogate refuses \uD800–\uDFFF escapes that do not form a pair: encoding/json would silently turn them into U+FFFD.
func loneSurrogate(b []byte) error {
	pending := false
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			if pending {
				return fmt.Errorf("a lone surrogate in a string")
			}
			continue
		}
		if b[i+1] != 'u' || i+6 > len(b) {
			if pending {
				return fmt.Errorf("a lone surrogate in a string")
			}
			i++
			continue
		}
		n, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 32)
		if err != nil {
			return fmt.Errorf("a bad \\u escape in a string")
		}
		high, low := n >= 0xD800 && n < 0xDC00, n >= 0xDC00 && n < 0xE000
		if pending != low {
			return fmt.Errorf("a lone surrogate in a string")
		}
		pending = high
		i += 5
	}
	if pending {
		return fmt.Errorf("a lone surrogate in a string")
	}
	return nil
}

var textType = reflect.TypeFor[Text]()

// invalidString finds a string in v that is not UTF-8 and gives the place, or "".
func invalidString(v reflect.Value, depth int) string {
	if depth > 2*maxCanonicalDepth {
		return "value nested too deep"
	}
	switch v.Kind() {
	case reflect.String:
		if v.Type() != textType && !utf8.ValidString(v.String()) {
			return fmt.Sprintf("%q", Shorten(v.String(), 80))
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return invalidString(v.Elem(), depth+1)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return ""
		}
		for i := 0; i < v.Len(); i++ {
			if s := invalidString(v.Index(i), depth+1); s != "" {
				return s
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			// A key of type Text is written as a plain string and must be UTF-8 too.
			if k := it.Key(); k.Kind() == reflect.String && !utf8.ValidString(k.String()) {
				return fmt.Sprintf("%q", Shorten(k.String(), 80))
			}
			if s := invalidString(it.Value(), depth+1); s != "" {
				return s
			}
		}
	case reflect.Struct:
		for i := 0; i < v.NumField(); i++ {
			if v.Type().Field(i).IsExported() {
				if s := invalidString(v.Field(i), depth+1); s != "" {
					return s
				}
			}
		}
	}
	return ""
}
