package process

import (
	"fmt"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

// The bounds of a metrics or params file. What needs more is data, and belongs into an output or a data set.
const (
	MaxFileBytes = 1 << 20
	MaxEntries   = 10_000
	maxNesting   = 64
	maxNameBytes = 1024
)

type scalarKind int

const (
	kindString scalarKind = iota
	kindNumber
	kindBool
	kindNull
)

// flat collects named values. Its methods refuse what would be lost or be ambiguous: a name that stands twice, or is not UTF-8.
type flat struct {
	values map[string]schema.Text
	keep   func(kind scalarKind, text string) bool
}

func (f *flat) add(name string, kind scalarKind, text string, replace bool) error {
	if !f.keep(kind, text) {
		return nil
	}
	switch _, twice := f.values[name]; {
	case name == "":
		return fmt.Errorf("a value has no name")
	case !utf8.ValidString(name):
		return fmt.Errorf("the name %q is not valid UTF-8", schema.Shorten(name, 80))
	case len(name) > maxNameBytes:
		return fmt.Errorf("the name %q… is longer than %d bytes", schema.Shorten(name, 40), maxNameBytes)
	case twice && !replace:
		return fmt.Errorf("%q is given twice", schema.Shorten(name, 80))
	case !twice && len(f.values) >= MaxEntries:
		return fmt.Errorf("more than %d values", MaxEntries)
	}
	f.values[name] = schema.Text(text)
	return nil
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func fileError(op, name string, line int, err error, hint string) error {
	subject := schema.Shorten(name, 160)
	if line > 0 {
		subject = fmt.Sprintf("%s, line %d", subject, line)
	}
	return &schema.Error{Op: op, Kind: schema.Invalid, Subject: subject, Err: err, Hint: hint}
}

// isNumber: a decimal number, or one of the spellings of NaN and the infinities that programs write.
func isNumber(s string) bool {
	if s == "" || len(s) > 4096 {
		return false
	}
	rest := s
	if rest[0] == '+' || rest[0] == '-' {
		rest = rest[1:]
	}
	switch rest {
	case "nan", "NaN", "NAN", "inf", "Inf", "INF", "Infinity", "infinity", ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN":
		return true
	}
	digits, i := 0, 0
	for ; i < len(rest) && isDigit(rest[i]); i++ {
		digits++
	}
	if i < len(rest) && rest[i] == '.' {
		for i++; i < len(rest) && isDigit(rest[i]); i++ {
			digits++
		}
	}
	if digits == 0 {
		return false
	}
	if i < len(rest) && (rest[i] == 'e' || rest[i] == 'E') {
		i++
		if i < len(rest) && (rest[i] == '+' || rest[i] == '-') {
			i++
		}
		start := i
		for ; i < len(rest) && isDigit(rest[i]); i++ {
		}
		if i == start {
			return false
		}
	}
	return i == len(rest)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
