package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// jsonReader flattens one JSON object. Unlike encoding/json it keeps the text of every number, takes NaN, Infinity and -Infinity as Python's json
// writes them, refuses a key that stands twice, and knows the line of an error.
type jsonReader struct {
	b     []byte
	at    int
	into  *flat
	lists bool // flatten lists too, by index; otherwise a series is passed over
}

// line gives the line of the place that was reached.
func (r *jsonReader) line() int { return 1 + bytes.Count(r.b[:min(r.at, len(r.b))], []byte("\n")) }

func (r *jsonReader) space() {
	for r.at < len(r.b) && (r.b[r.at] == ' ' || r.b[r.at] == '\t' || r.b[r.at] == '\n' || r.b[r.at] == '\r') {
		r.at++
	}
}

func (r *jsonReader) next() byte {
	r.space()
	if r.at >= len(r.b) {
		return 0
	}
	return r.b[r.at]
}

// document reads the one object that the file is.
func (r *jsonReader) document() error {
	if r.next() != '{' {
		return fmt.Errorf("not a JSON object")
	}
	if err := r.value("", 0, true); err != nil {
		return err
	}
	if r.next(); r.at < len(r.b) {
		return fmt.Errorf("data after the object")
	}
	return nil
}

func (r *jsonReader) value(name string, depth int, take bool) error {
	if depth > maxNesting {
		return fmt.Errorf("nested more than %d deep", maxNesting)
	}
	switch c := r.next(); {
	case c == '{':
		return r.object(name, depth, take)
	case c == '[':
		return r.array(name, depth, take)
	case c == '"':
		s, err := r.text()
		if err != nil || !take {
			return err
		}
		return r.into.add(name, kindString, s, false)
	case c == 0 && r.at >= len(r.b):
		return fmt.Errorf("the file ends in the middle of a value")
	}
	start := r.at
	for r.at < len(r.b) && bytes.IndexByte([]byte(" \t\r\n,]}:\"[{"), r.b[r.at]) < 0 {
		r.at++
	}
	word := string(r.b[start:r.at])
	kind := kindNumber
	switch word {
	case "true", "false":
		kind = kindBool
	case "null":
		kind = kindNull
	default:
		if !isJSONNumber(word) {
			r.at = start
			return fmt.Errorf("%q is not a JSON value", shortWord(word))
		}
	}
	if !take {
		return nil
	}
	return r.into.add(name, kind, word, false)
}

func isJSONNumber(s string) bool {
	return s == "NaN" || s == "Infinity" || s == "-Infinity" || isNumber(s) && (isDigit(s[len(s)-1])) && (isDigit(s[0]) || s[0] == '-' && len(s) > 1 && isDigit(s[1]))
}

func (r *jsonReader) object(name string, depth int, take bool) error {
	r.at++
	if r.next() == '}' {
		r.at++
		if take && r.lists && name != "" {
			return r.into.add(name, kindString, "{}", false)
		}
		return nil
	}
	for {
		if r.next() != '"' {
			return fmt.Errorf("a key is not a string")
		}
		key, err := r.text()
		if err != nil {
			return err
		}
		if r.next() != ':' {
			return fmt.Errorf("a colon is missing after the key %q", shortWord(key))
		}
		r.at++
		if key == "" && take {
			return fmt.Errorf("a key is empty")
		}
		full := join(name, key)
		if len(full) > 2*maxNameBytes {
			return fmt.Errorf("the name %q… is longer than %d bytes", shortWord(full), maxNameBytes)
		}
		if err := r.value(full, depth+1, take); err != nil {
			return err
		}
		if done, err := r.separator('}'); done || err != nil {
			return err
		}
	}
}

func (r *jsonReader) array(name string, depth int, take bool) error {
	r.at++
	take = take && r.lists
	if r.next() == ']' {
		r.at++
		if take {
			return r.into.add(name, kindString, "[]", false)
		}
		return nil
	}
	for i := 0; ; i++ {
		if err := r.value(join(name, strconv.Itoa(i)), depth+1, take); err != nil {
			return err
		}
		if done, err := r.separator(']'); done || err != nil {
			return err
		}
	}
}

func (r *jsonReader) separator(end byte) (done bool, err error) {
	switch r.next() {
	case end:
		r.at++
		return true, nil
	case ',':
		r.at++
		return false, nil
	}
	return false, fmt.Errorf("a comma or %q is missing", end)
}

// text reads a string.
func (r *jsonReader) text() (string, error) {
	start := r.at
	for i := start + 1; i < len(r.b); i++ {
		switch r.b[i] {
		case '\\':
			i++
		case '"':
			var s string
			if err := json.Unmarshal(r.b[start:i+1], &s); err != nil {
				return "", fmt.Errorf("a string is not valid JSON")
			}
			r.at = i + 1
			return s, nil
		}
	}
	return "", fmt.Errorf("a string has no end")
}

func shortWord(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
