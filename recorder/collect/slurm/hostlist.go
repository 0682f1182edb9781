package slurm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxNodes bounds how far a list of nodes is written out.
const maxNodes = 4096

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$`)

// Nodes writes out a list of nodes: node[01-03,7],gpu1 is node01 node02 node03 node7 gpu1. What is no list of nodes gives none.
func Nodes(list string) []string {
	if list == "" || list == "(null)" || len(list) > 64<<10 || strings.Contains(list, "None assigned") {
		return nil
	}
	var out []string
	for _, part := range splitOutside(list) {
		expanded, ok := expand(part, maxNodes-len(out))
		if !ok {
			return nil
		}
		out = append(out, expanded...)
	}
	for _, name := range out {
		if !hostName.MatchString(name) {
			return nil
		}
	}
	return out
}

// splitOutside splits at the commas outside of brackets.
func splitOutside(s string) []string {
	var parts []string
	depth, from := 0, 0
	for i, c := range s {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth == 0 {
				parts, from = append(parts, s[from:i]), i+1
			}
		}
	}
	return append(parts, s[from:])
}

// expand writes out the brackets of one part, from the left.
func expand(part string, room int) ([]string, bool) {
	open := strings.IndexByte(part, '[')
	if open < 0 {
		return []string{part}, room > 0
	}
	end := strings.IndexByte(part[open:], ']')
	if end < 0 || strings.Count(part, "[") > 4 {
		return nil, false
	}
	head, inside, tail := part[:open], part[open+1:open+end], part[open+end+1:]
	var out []string
	for _, r := range strings.Split(inside, ",") {
		from, to, isRange := strings.Cut(r, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.Atoi(from)
		b, errB := strconv.Atoi(to)
		if errA != nil || errB != nil || a < 0 || b < a || len(from) > 9 || b-a >= room {
			return nil, false
		}
		for n := a; n <= b; n++ {
			rest, ok := expand(head+fmt.Sprintf("%0*d", len(from), n)+tail, room-len(out))
			if !ok || len(out)+len(rest) > room {
				return nil, false
			}
			out = append(out, rest...)
		}
	}
	return out, true
}
