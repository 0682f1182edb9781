package rerun

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

// numbersFound is how two texts compare number by number.
type numbersFound struct {
	problem string // they could not be compared
	differs string // the first place that is not within the tolerance
	numbers int    // that are not equal, and within
	largest float64
	where   string // of the largest difference
}

func (f *numbersFound) add(other numbersFound) {
	f.numbers += other.numbers
	if other.largest > f.largest || f.where == "" {
		f.largest, f.where = other.largest, other.where
	}
}

func (f numbersFound) verdict(t schema.Tolerance) (schema.Result, string) {
	switch {
	case f.problem != "":
		return schema.CannotBeCompared, f.problem
	case f.differs != "":
		return schema.Differs, f.differs
	case f.numbers == 0:
		return schema.Equivalent, "it differs in spaces or empty lines only"
	case f.numbers == 1:
		return schema.Equivalent, fmt.Sprintf("one number differs, within the tolerance %s: %s", t, f.where)
	default:
		return schema.Equivalent, fmt.Sprintf("%d numbers differ, all within the tolerance %s; the largest difference is %s", f.numbers, t, f.where)
	}
}

// compareNumbers compares two texts (JSON, CSV, columns): numbers within the tolerance, all other words and signs equal, and the same lines; how many spaces
// stand between them does not matter. A number in quotes is one, where it is all that the quotes hold; within a word (a date, a version, a name) there is none.
func compareNumbers(original, again []byte, t schema.Tolerance) numbersFound {
	var found numbersFound
	for _, text := range [][]byte{original, again} {
		if bytes.IndexByte(text, 0) >= 0 || !utf8.Valid(text) {
			found.problem = "it is no text, so its numbers cannot be compared: compare it with a command (--compare NAME=command:…)"
			return found
		}
	}
	a, b := words{text: original, line: 1}, words{text: again, line: 1}
	for {
		x, y := a.next(), b.next()
		switch {
		case x.kind == theEnd && y.kind == theEnd:
			return found
		case bytes.Equal(x.text, y.text) && x.kind == y.kind && x.quoted == y.quoted:
			continue
		case x.kind != aNumber || y.kind != aNumber || x.quoted != y.quoted:
			found.differs = fmt.Sprintf("line %d: %s instead of %s", b.line, y, x)
			return found
		case !t.Within(schema.Text(x.text), schema.Text(y.text)):
			found.differs = fmt.Sprintf("line %d: %s instead of %s, beyond the tolerance %s", b.line, y, x, t)
			return found
		}
		off := math.Abs(x.number - y.number)
		if math.IsNaN(off) || math.IsInf(off, 0) {
			off = 0
		}
		if found.numbers++; off > found.largest || found.where == "" {
			found.largest, found.where = off, fmt.Sprintf("%s instead of %s in line %d", y, x, b.line)
		}
	}
}

type wordKind int

const (
	theEnd wordKind = iota
	newLine
	plainWord
	aNumber
)

// maxShownWord is how long a word of an output may be that a verdict repeats.
const maxShownWord = 12

type word struct {
	kind   wordKind
	text   []byte
	quoted bool
	number float64
}

func (w word) String() string {
	switch w.kind {
	case theEnd:
		return "the end"
	case newLine:
		return "a new line"
	case aNumber:
		return string(w.text)
	}
	if len(w.text) > maxShownWord {
		return "another text" // outputs are not in the record, and what they hold could be anything
	}
	return strconv.Quote(string(w.text))
}

// words takes a text apart.
type words struct {
	text []byte
	at   int
	line int
}

func (w *words) next() word {
	lines := 0
	for w.at < len(w.text) && isSpace(w.text[w.at]) {
		if w.text[w.at] == '\n' {
			lines++
		}
		w.at++
	}
	w.line += lines
	if w.at == len(w.text) {
		return word{kind: theEnd}
	}
	if lines > 0 {
		return word{kind: newLine}
	}
	start := w.at
	if w.text[start] == '"' {
		if end := closingQuote(w.text[start:]); end > 0 {
			w.at += end
			return asNumber(word{kind: plainWord, text: w.text[start+1 : w.at-1], quoted: true})
		}
	}
	if w.at++; !isSign(w.text[start]) && w.text[start] != '"' {
		for w.at < len(w.text) && !isSpace(w.text[w.at]) && !isSign(w.text[w.at]) && w.text[w.at] != '"' {
			w.at++
		}
	}
	return asNumber(word{kind: plainWord, text: w.text[start:w.at]})
}

func asNumber(w word) word {
	if len(w.text) == 0 || len(w.text) > 400 || bytes.IndexByte([]byte("0123456789+-.iInN"), w.text[0]) < 0 {
		return w
	}
	if f, ok := schema.ParseNumber(string(w.text)); ok {
		w.kind, w.number = aNumber, f
	}
	return w
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// isSign reports whether a character stands for itself between words.
func isSign(c byte) bool {
	switch c {
	case ',', ';', ':', '=', '|', '(', ')', '[', ']', '{', '}', '<', '>':
		return true
	}
	return false
}

// closingQuote gives the length of a text in quotes at the beginning of s, which ends in the same line; 0 when none does.
func closingQuote(s []byte) int {
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
