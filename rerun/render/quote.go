package render

import (
	"regexp"
	"strings"
)

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

// Marks stand in a text of the plan for what is known only where the result runs: the directory of the code, and secrets by the name of the variable that
// holds them. No argument or variable of a record holds the NUL bytes around them: the system would not have started it.
const rootMark = "\x00root\x00"

func secretMark(variable string) string { return "\x00secret:" + variable + "\x00" }

var marks = regexp.MustCompile("\x00(?:root|secret:([A-Z0-9_]+))\x00")

// fill writes the parts of s: text through escape, and what stands for a mark through mark, which is given the variable.
func fill(s string, escape, mark func(string) string) string {
	var b strings.Builder
	at := 0
	for _, m := range marks.FindAllStringSubmatchIndex(s, -1) {
		if m[0] > at {
			b.WriteString(escape(s[at:m[0]]))
		}
		variable := "root"
		if m[2] >= 0 {
			variable = s[m[2]:m[3]]
		}
		b.WriteString(mark(variable))
		at = m[1]
	}
	if at < len(s) || at == 0 {
		b.WriteString(escape(s[at:]))
	}
	return b.String()
}

// quoteMarked quotes like [Quote], with shell variables in double quotes in the place of marks.
func quoteMarked(s string) string {
	return fill(s, Quote, func(variable string) string { return `"$` + variable + `"` })
}

func quoteAllMarked(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteMarked(w)
	}
	return strings.Join(quoted, " ")
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
