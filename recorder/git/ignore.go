package git

import (
	"strings"
)

// IgnorePattern is one line of a gitignore file (gitignore, "Pattern format"). Dir is the slash-separated directory of the file,
// relative to the checkout's root, "" for the root and for files that count everywhere.
type IgnorePattern struct {
	dir      string
	glob     string
	negate   bool
	dirOnly  bool
	anchored bool
}

// ParseIgnore reads a gitignore file.
func ParseIgnore(b []byte, dir string) []IgnorePattern {
	var list []IgnorePattern
	for line := range strings.SplitSeq(strings.TrimPrefix(string(b), "\ufeff"), "\n") {
		line = trimIgnoreBlanks(strings.TrimSuffix(line, "\r"))
		if line == "" || line[0] == '#' {
			continue
		}
		p := IgnorePattern{dir: dir}
		if line[0] == '!' {
			p.negate, line = true, line[1:]
		}
		if strings.HasSuffix(line, "/") {
			p.dirOnly, line = true, strings.TrimSuffix(line, "/")
		}
		if strings.Contains(line, "/") {
			p.anchored, line = true, strings.TrimPrefix(line, "/")
		}
		if p.glob = line; line != "" {
			list = append(list, p)
		}
	}
	return list
}

// trimIgnoreBlanks cuts trailing spaces that no backslash protects.
func trimIgnoreBlanks(s string) string {
	for strings.HasSuffix(s, " ") {
		i := len(s) - 1
		slashes := 0
		for j := i - 1; j >= 0 && s[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 1 {
			break
		}
		s = s[:i]
	}
	return s
}

// Ignored applies patterns to one path, the last match deciding. decided is false when none matches.
func Ignored(patterns []IgnorePattern, path string, isDir bool) (ignored, decided bool) {
	for i := len(patterns) - 1; i >= 0; i-- {
		if p := patterns[i]; p.matches(path, isDir) {
			return !p.negate, true
		}
	}
	return false, false
}

func (p IgnorePattern) matches(path string, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	if p.dir != "" {
		rest, ok := strings.CutPrefix(path, p.dir+"/")
		if !ok {
			return false
		}
		path = rest
	}
	if !p.anchored {
		return wildMatch(p.glob, path[strings.LastIndexByte(path, '/')+1:])
	}
	// git compares the part before the first wildcard by itself (dir.c, match_pathname), so that ** right behind it counts as leading.
	literal := strings.IndexAny(p.glob, `*?[\\`)
	if literal < 0 {
		return p.glob == path
	}
	rest, ok := strings.CutPrefix(path, p.glob[:literal])
	return ok && wildMatch(p.glob[literal:], rest)
}

// wildMatch matches as git's wildmatch with WM_PATHNAME: * and ? stop at a slash, ** as a whole component crosses directories.
func wildMatch(pattern, text string) bool {
	m := matcher{budget: 1 << 16}
	return m.match(pattern, text, true)
}

// matcher bounds the work of a hostile pattern; beyond the budget nothing matches, so that the file counts as not ignored.
type matcher struct{ budget int }

func (m *matcher) match(p, t string, atStart bool) bool {
	for len(p) > 0 {
		if m.budget--; m.budget < 0 {
			return false
		}
		switch p[0] {
		case '*':
			stars := 1
			for stars < len(p) && p[stars] == '*' {
				stars++
			}
			rest := p[stars:]
			if stars >= 2 && atStart && (rest == "" || rest[0] == '/') {
				if rest == "" {
					return true
				}
				// "**/" matches nothing too.
				for at := t; ; {
					if m.match(rest[1:], at, true) {
						return true
					}
					i := strings.IndexByte(at, '/')
					if i < 0 {
						return false
					}
					at = at[i+1:]
				}
			}
			for i := 0; i <= len(t); i++ {
				if m.match(rest, t[i:], false) {
					return true
				}
				if i < len(t) && t[i] == '/' {
					return false
				}
			}
			return false
		case '?':
			if t == "" || t[0] == '/' {
				return false
			}
			p, t, atStart = p[1:], t[1:], false
		case '[':
			if t == "" || t[0] == '/' {
				return false
			}
			ok, rest := matchClass(p, t[0])
			if !ok {
				return false
			}
			p, t, atStart = rest, t[1:], false
		default:
			c := p[0]
			if c == '\\' {
				if len(p) < 2 {
					return false
				}
				p = p[1:]
				c = p[0]
			}
			if t == "" || t[0] != c {
				return false
			}
			p, t, atStart = p[1:], t[1:], c == '/'
		}
	}
	return t == ""
}

// matchClass matches a bracket expression at the head of p; an unfinished one matches nothing.
func matchClass(p string, c byte) (bool, string) {
	i, negate, hit := 1, false, false
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		negate = true
		i++
	}
	for first := true; ; first = false {
		if i >= len(p) {
			return false, ""
		}
		if p[i] == ']' && !first {
			return hit != negate, p[i+1:]
		}
		if strings.HasPrefix(p[i:], "[:") {
			if end := strings.Index(p[i:], ":]"); end > 0 {
				in, known := inClass(p[i+2:i+end], c)
				if !known {
					return false, ""
				}
				hit = hit || in
				i += end + 2
				continue
			}
		}
		lo, next, ok := classByte(p, i)
		if !ok {
			return false, ""
		}
		i = next
		hi := lo
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			if hi, next, ok = classByte(p, i+1); !ok {
				return false, ""
			}
			i = next
		}
		hit = hit || lo <= c && c <= hi
	}
}

func classByte(p string, i int) (byte, int, bool) {
	if p[i] == '\\' {
		i++
	}
	if i >= len(p) {
		return 0, i, false
	}
	return p[i], i + 1, true
}

func inClass(name string, c byte) (in, known bool) {
	lower, upper, digit := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9'
	graph := c > ' ' && c < 127
	switch name {
	case "alnum":
		return lower || upper || digit, true
	case "alpha":
		return lower || upper, true
	case "blank":
		return c == ' ' || c == '\t', true
	case "cntrl":
		return c < ' ' || c == 127, true
	case "digit":
		return digit, true
	case "graph":
		return graph, true
	case "lower":
		return lower, true
	case "print":
		return graph || c == ' ', true
	case "punct":
		return graph && !lower && !upper && !digit, true
	case "space":
		return c == ' ' || c >= '\t' && c <= '\r', true
	case "upper":
		return upper, true
	case "xdigit":
		return digit || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F', true
	}
	return false, false
}
