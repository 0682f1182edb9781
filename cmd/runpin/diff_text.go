package main

import (
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// unifiedDiff is what would change in a file, as `diff -u` and `git apply` have it.
func unifiedDiff(name string, before, after []byte) string {
	return udiff.Unified("a/"+strings.TrimPrefix(name, "/"), "b/"+strings.TrimPrefix(name, "/"), string(before), string(after))
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
