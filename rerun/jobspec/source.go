package jobspec

import (
	"bytes"
	"sort"
	"unicode/utf8"
)

// source is a file with its positions. The YAML parser reports a line and a column that cannot be used as they are: its columns are runes,
// and its lines end at LF, CRLF, and also at a lone CR, NEL, U+2028 and U+2029, which no editor counts.
type source struct {
	data   []byte
	scan   []lineStart // where each line begins, as the YAML scanner counts lines
	lines  []int       // where each line begins, as editors count lines
	stride []int       // byte offset of every runeStride'th rune
	eol    string      // the line end that the file uses
}

type lineStart struct{ offset, rune int }

const runeStride = 256

var byteOrderMark = []byte("\xEF\xBB\xBF")

// newSource indexes data, which must be UTF-8.
func newSource(data []byte) *source {
	s := &source{data: data, eol: "\n"}
	if bytes.Contains(data, []byte("\r\n")) {
		s.eol = "\r\n"
	}
	start := 0
	if bytes.HasPrefix(data, byteOrderMark) {
		start = len(byteOrderMark) // the scanner does not count it
	}
	s.scan = append(s.scan, lineStart{start, 0})
	s.lines = append(s.lines, start)
	count := 0
	for at := start; at < len(data); {
		if count%runeStride == 0 {
			s.stride = append(s.stride, at)
		}
		r, size := utf8.DecodeRune(data[at:])
		next := at + size
		count++
		switch r {
		case '\n':
			s.lines = append(s.lines, next)
			s.scan = append(s.scan, lineStart{next, count})
		case '\r':
			if next == len(data) || data[next] != '\n' {
				s.scan = append(s.scan, lineStart{next, count})
			}
		case 0x85, 0x2028, 0x2029:
			s.scan = append(s.scan, lineStart{next, count})
		}
		at = next
	}
	if count%runeStride == 0 {
		s.stride = append(s.stride, len(data))
	}
	return s
}

// offset gives the byte offset of a position of the YAML parser (both from 1), and false when there is no such place.
func (s *source) offset(line, column int) (int, bool) {
	if line < 1 || line > len(s.scan) || column < 1 {
		return 0, false
	}
	want := s.scan[line-1].rune + column - 1
	if want/runeStride >= len(s.stride) {
		return 0, false
	}
	at := s.stride[want/runeStride]
	for n := want % runeStride; n > 0; n-- {
		if at >= len(s.data) {
			return 0, false
		}
		_, size := utf8.DecodeRune(s.data[at:])
		at += size
	}
	return at, true
}

// position gives the line and the column (both from 1, in runes) of a byte offset as editors count them.
func (s *source) position(offset int) (line, column int) {
	line = sort.SearchInts(s.lines, offset+1)
	if line == 0 {
		return 1, 1 // inside the byte order mark
	}
	return line, s.runeIndex(offset) - s.runeIndex(s.lines[line-1]) + 1
}

// place is position for a position of the YAML parser.
func (s *source) place(line, column int) (int, int) {
	at, ok := s.offset(line, column)
	if !ok {
		return line, column
	}
	return s.position(at)
}

func (s *source) runeIndex(offset int) int {
	i := sort.SearchInts(s.stride, offset+1) - 1
	if i < 0 {
		return 0
	}
	return i*runeStride + utf8.RuneCount(s.data[s.stride[i]:offset])
}

// restOfLine looks at what follows offset on its line. It gives the offset behind the line end, and false when there is more than blanks and
// a comment, or a line end that not every parser takes for one.
func (s *source) restOfLine(offset int) (next int, ok bool) {
	comment := false
	for at := offset; at < len(s.data); {
		r, size := utf8.DecodeRune(s.data[at:])
		switch {
		case r == '\n':
			return at + 1, true
		case r == '\r' && at+1 < len(s.data) && s.data[at+1] == '\n':
			return at + 2, true
		case r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029:
			return 0, false
		case r == '#' && at > offset && !comment:
			comment = true
		case r != ' ' && r != '\t' && !comment:
			return 0, false
		}
		at += size
	}
	return len(s.data), true
}

// lineHead gives the offset at which the line of offset begins, and false when there is anything but spaces between the two, or when the line
// above ends in a way that not every parser takes for a line end.
func (s *source) lineHead(offset int) (int, bool) {
	at := offset
	for at > 0 && s.data[at-1] == ' ' {
		at--
	}
	if at == 0 || s.data[at-1] == '\n' || (at == len(byteOrderMark) && bytes.HasPrefix(s.data, byteOrderMark)) {
		return at, true
	}
	return 0, false
}

// blankBefore gives the blanks and line ends directly before offset.
func (s *source) blankBefore(offset int) string {
	at := offset
	for at > 0 && isBlank(s.data[at-1]) {
		at--
	}
	return string(s.data[at:offset])
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
