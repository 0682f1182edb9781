package process

import (
	"path/filepath"
	"strings"
)

// PlaceRoot replaces the absolute path root in arg by placeholder (such as "{code_root}"), wherever root stands as a whole path or as the beginning
// of one, and reports whether it did: /home/u/p/t.py, -v=/home/u/p:/w, sh -c "cd /home/u/p && …"; not /home/u/p2, /home/u/p.bak or /x/home/u/p.
// Root is clean; a separator at its end is ignored. A root or placeholder that is "", a root that is "/" or not absolute changes nothing.
// Putting root in the place of placeholder gives the bytes of arg again, unless arg held the placeholder before.
//
// A path begins at the start of arg, after white space, a quote or one of = : , ; ( [ < > | & @, after file:// and the like, and after an option of
// one letter (-I/home/u/p). It ends at the end, at a separator, white space, a quote or one of = : , ; ) ] } < > | & @. Brackets count on
// one side only: $(x)/home/u/p and ${x}/home/u/p are other paths, p[12] and p{1,2} other names, and {{name}} is no placeholder.
func PlaceRoot(arg, root, placeholder string) (string, bool) {
	return replaceRoot(arg, root, func(string) string { return placeholder }, placeholder != "")
}

// ReplaceRoot gives text with oldRoot replaced by newRoot where [PlaceRoot] would replace it, for the environment variables of a rerun in another
// checkout. Roots that are "" or not absolute, and the oldRoot "/", change nothing.
func ReplaceRoot(text, oldRoot, newRoot string) string {
	clean := trimSeparators(newRoot)
	out, _ := replaceRoot(text, oldRoot, func(rest string) string {
		if clean == "" && !strings.HasPrefix(rest, "/") {
			return "/"
		}
		return clean
	}, isAbsolute(newRoot))
	return out
}

func replaceRoot(text, root string, with func(rest string) string, allowed bool) (string, bool) {
	if !isAbsolute(root) {
		return text, false
	}
	root = trimSeparators(root)
	if !allowed || root == "" || root == filepath.VolumeName(root) {
		return text, false
	}
	var b strings.Builder
	done := 0 // up to here text is in b
	for at := 0; at < len(text); {
		i := strings.Index(text[at:], root)
		if i < 0 {
			break
		}
		i += at
		rest := text[i+len(root):]
		if !pathBegins(text, i) || !pathEnds(rest, root) {
			at = i + 1
			continue
		}
		b.WriteString(text[done:i])
		b.WriteString(with(rest))
		done = i + len(root)
		at = done
	}
	if done == 0 {
		return text, false
	}
	b.WriteString(text[done:])
	return b.String(), true
}

func isAbsolute(path string) bool { return strings.HasPrefix(path, "/") || filepath.IsAbs(path) }

func trimSeparators(path string) string {
	return strings.TrimRightFunc(path, func(r rune) bool { return r == '/' || r == filepath.Separator })
}

const (
	besidePath = "=:,;<>|&@\"'` \t\r\n\v\f\x00"
	beforePath = besidePath + "(["
	afterPath  = besidePath + ")]}"
)

// localSchemes are what stands before the absolute path in a URL of this machine. Others (hdfs:///home) name another machine's path.
var localSchemes = []string{"file://", "unix://", "ipc://", "sqlite:///"}

// pathBegins reports whether a path can begin at i.
func pathBegins(text string, i int) bool {
	if i == 0 || strings.IndexByte(beforePath, text[i-1]) >= 0 {
		return true
	}
	if text[i-1] == '/' {
		for _, s := range localSchemes {
			if strings.HasSuffix(text[:i], s) {
				return true
			}
		}
		return false
	}
	letter := text[i-1]|0x20 >= 'a' && text[i-1]|0x20 <= 'z'
	return letter && i >= 2 && text[i-2] == '-' && (i == 2 || strings.IndexByte(beforePath, text[i-3]) >= 0)
}

// pathEnds reports whether the name that ends before rest is whole.
func pathEnds(rest, root string) bool {
	switch {
	case rest == "", rest[0] == '/', strings.IndexByte(afterPath, rest[0]) >= 0:
		return true
	case rest[0] != '\\':
		return false
	}
	return !strings.HasPrefix(root, "/") || len(rest) > 1 && (rest[1] == '"' || rest[1] == '\'') // C:\p\x; an escaped quote ends a path, an escaped space does not
}
