package render

import "strings"

// Quote writes s as one word of a POSIX shell that stands for exactly the bytes of s. Everything but a NUL byte can be said so; what comes from a record
// reaches a shell through this function alone.
func Quote(s string) string {
	if s != "" && strings.IndexFunc(s, special) < 0 && s[0] != '=' {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// special says of everything but letters, digits and a few marks that it has, or may have, a meaning to a shell.
func special(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:@%+,-=", r))
}

// quoteAll writes words one behind the other.
func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}

// rootMark stands in a text of the plan for the directory of the code where that is known only when the script runs. No text of a record holds a NUL byte in an
// argument: the system would not have started it.
const rootMark = "\x00root\x00"

// quoteRooted quotes like [Quote] and puts the shell variable root, in double quotes, in the place of every rootMark.
func quoteRooted(s string) string {
	parts := strings.Split(s, rootMark)
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteString(`"$root"`)
		}
		if part != "" || len(parts) == 1 {
			b.WriteString(Quote(part))
		}
	}
	return b.String()
}

// comment makes text fit for one comment line.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
}
