package process

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Expand gives the template with {name} replaced by its value, once: a value that holds braces is not expanded again. A name that values
// lacks stays as it is written, for braces mean much else in arguments; when it is one or two letters away from a known name, a reason says so.
// {{…}} (Jinja, Go templates), ${…} (shells) and %{…} (curl) are never touched.
func Expand(template []string, values map[string]string) ([]string, []schema.Reason) {
	known := slices.Sorted(maps.Keys(values))
	var reasons []schema.Reason
	said := map[string]bool{}
	out := make([]string, len(template))
	for i, arg := range template {
		var b strings.Builder
		for at := 0; at < len(arg); {
			start, end, ok := nextBrace(arg, at)
			if !ok {
				b.WriteString(arg[at:])
				break
			}
			name := arg[start+1 : end-1]
			if value, has := values[name]; has {
				b.WriteString(arg[at:start])
				b.WriteString(value)
				at = end
				continue
			}
			b.WriteString(arg[at:end])
			at = end
			if near := nearest(name, known); near != "" && !said[name] && len(reasons) < 16 {
				said[name] = true
				reasons = append(reasons, schema.Reason{Code: "unknown-placeholder", Subject: schema.Text("{" + name + "}"),
					Text: fmt.Sprintf("argument %d holds {%s}, which is the name of nothing and was left as it is; did you mean {%s}?", i, name, near)})
			}
		}
		out[i] = b.String()
	}
	return out, reasons
}

// maxPlaceholder bounds a name in braces.
const maxPlaceholder = 128

// nextBrace finds the next {name} at or after at. Doubled braces and braces after $ or % are passed over.
func nextBrace(s string, at int) (start, end int, ok bool) {
	for i := at; i < len(s); i++ {
		if s[i] != '{' {
			continue
		}
		run := i
		for run < len(s) && s[run] == '{' {
			run++
		}
		if run-i > 1 {
			// Everything up to the closing braces belongs to another template language.
			if j := strings.Index(s[run:], "}}"); j >= 0 {
				i = run + j + 1
				continue
			}
			i = run - 1
			continue
		}
		j := run
		for j < len(s) && j-run < maxPlaceholder && placeholderChar(s[j]) {
			j++
		}
		if j == run || j >= len(s) || s[j] != '}' || i > 0 && (s[i-1] == '$' || s[i-1] == '%') {
			continue
		}
		return i, j + 1, true
	}
	return 0, 0, false
}

func placeholderChar(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
}

// nearest gives the known name that is at most two edits away (one for short names), or "".
func nearest(name string, known []string) string {
	limit := 2
	if len(name) <= 4 {
		limit = 1
	}
	best, found := limit+1, ""
	for _, k := range known {
		if d := len(k) - len(name); d > limit || -d > limit || len(k) > maxPlaceholder || len(k) < 2 {
			continue
		}
		if d := Distance(name, k); d < best {
			best, found = d, k
		}
	}
	return found
}

// Distance is how many letters have to be changed, added or dropped to make b of a (Levenshtein's), with the case ignored: it tells a near miss.
func Distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
