package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// unifiedDiff is what would change in a file, as `diff -u` and `git apply` have it.
func unifiedDiff(name string, before, after []byte) string {
	name = strings.TrimPrefix(name, "/")
	return renumber(udiff.Unified("a/"+name, "b/"+name, string(before), string(after)))
}

var hunkHead = regexp.MustCompile(`^@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@`)

// renumber sets where each hunk begins in the new file. go-udiff v0.4.1 forgets the lines between two changes of one hunk, so that patch(1) finds every
// later hunk at an offset, or not at all.
func renumber(diff string) string {
	lines := strings.SplitAfter(diff, "\n")
	shift := 0
	for i, line := range lines {
		switch m := hunkHead.FindStringSubmatch(line); {
		case i < 2:
		case m != nil:
			from, _ := strconv.Atoi(m[1])
			lines[i] = "@@ -" + m[1] + m[2] + " +" + strconv.Itoa(from+shift) + m[4] + " @@" + line[len(m[0]):]
		case strings.HasPrefix(line, "+"):
			shift++
		case strings.HasPrefix(line, "-"):
			shift--
		}
	}
	return strings.Join(lines, "")
}

// paintDiff colours a unified diff on a terminal.
func (e *Env) paintDiff(diff string) string {
	lines := strings.SplitAfter(diff, "\n")
	for i, line := range lines {
		body := strings.TrimSuffix(line, "\n")
		end := line[len(body):]
		switch {
		case strings.HasPrefix(body, "+++"), strings.HasPrefix(body, "---"):
			lines[i] = e.paint(e.Out, bold, body) + end
		case strings.HasPrefix(body, "+"):
			lines[i] = e.paint(e.Out, green, body) + end
		case strings.HasPrefix(body, "-"):
			lines[i] = e.paint(e.Out, red, body) + end
		case strings.HasPrefix(body, "@@"):
			lines[i] = e.paint(e.Out, cyan, body) + end
		}
	}
	return strings.Join(lines, "")
}
