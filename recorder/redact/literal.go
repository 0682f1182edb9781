package redact

import (
	"bytes"
	"strings"
)

// secretLiteral finds a secret name with a literal value in a text and gives the name: NAME=value, NAME: value, "NAME": "value", and the
// two-line form of job specs, `- name: NAME` with `value: …` beside it.
func secretLiteral(b []byte, mode strictness) (string, bool) {
	judge := judgements{}
	pending := "" // the name of an entry whose value has not come yet
	for lines := newLines(b); lines.next(); {
		line := lines.text
		// What follows a very long line's beginning is data, and its formats have been looked for.
		if len(line) > 64<<10 {
			line = line[:64<<10]
		}
		entry := bytes.TrimLeft(line, " \t-{")
		if key, value, ok := yamlPair(entry); ok {
			switch key {
			case "name":
				pending = value
				if i := strings.IndexByte(pending, ','); i >= 0 && strings.Contains(value[i:], "value:") { // {name: X, value: Y}
					_, v, _ := strings.Cut(value[i:], "value:")
					if name := strings.Trim(pending[:i], `"' `); counts(name, strings.TrimRight(strings.TrimSpace(v), "}"), strict) {
						return name, true
					}
				}
				continue
			case "value":
				if pending != "" && counts(pending, value, strict) {
					return pending, true
				}
				pending = ""
				continue
			}
		}
		if name, ok := literalInLine(line, mode, judge); ok {
			return name, true
		}
	}
	return "", false
}

func yamlPair(entry []byte) (key, value string, ok bool) {
	k, v, ok := bytes.Cut(entry, []byte(":"))
	if !ok || len(k) > 16 || len(v) > maxText {
		return "", "", false
	}
	return strings.Trim(string(k), `"' `), strings.Trim(strings.TrimSuffix(strings.TrimSpace(string(v)), ","), `"'`), true
}

// literalInLine looks at each = and : of a line for a secret name before and a literal after.
func literalInLine(line []byte, mode strictness, judge judgements) (string, bool) {
	for i := 0; i < len(line); i++ {
		if line[i] != '=' && line[i] != ':' {
			continue
		}
		at := i + 1
		if i == 0 || at < len(line) && (line[at] == '=' || line[at] == '/') || strings.IndexByte("=!<>:+-*/", line[i-1]) >= 0 {
			continue
		}
		b := nameBefore(line[:i])
		if !mayBeSecret(b) || !judge.secret(b) {
			continue
		}
		name := string(b)
		value, quoted := valueAfter(line[at:])
		if mode != strict && !quoted && line[i] == ':' && !looksRandom(value) {
			continue
		}
		if counts(name, value, mode) && (quoted || literalWord(value)) {
			return name, true
		}
	}
	return "", false
}

// mayBeSecret is judgeName's forerunner: without one of these beginnings of words no name is a secret's. Most names in a text have none.
func mayBeSecret(name []byte) bool {
	for i := 0; i+2 < len(name); i++ {
		switch uint32(name[i]|0x20)<<16 | uint32(name[i+1]|0x20)<<8 | uint32(name[i+2]|0x20) {
		case 't'<<16 | 'o'<<8 | 'k', 'k'<<16 | 'e'<<8 | 'y', 'p'<<16 | 'a'<<8 | 's', 's'<<16 | 'e'<<8 | 'c', 'c'<<16 | 'r'<<8 | 'e', 'a'<<16 | 'u'<<8 | 't', 'p'<<16 | 'w'<<8 | 'd',
			'b'<<16 | 'e'<<8 | 'a', 'c'<<16 | 'o'<<8 | 'o', 'p'<<16 | 'a'<<8 | 't', 's'<<16 | 'a'<<8 | 's', 's'<<16 | 's'<<8 | 'h', 'c'<<16 | 'o'<<8 | 'n', 'd'<<16 | 'b'<<8 | 'p':
			return true
		}
	}
	return false
}

// judgements remembers the names of one text: a text says the same few again and again.
type judgements map[string]bool

func (j judgements) secret(name []byte) bool {
	if known, ok := j[string(name)]; ok { // the conversion does not allocate
		return known
	}
	secret := judgeName(string(name)) != plainName
	if len(j) < 4096 {
		j[string(name)] = secret
	}
	return secret
}

// nameBefore gives the name that ends b, with quotes and spaces around it taken away.
func nameBefore(b []byte) []byte {
	end := len(b)
	for end > 0 && (b[end-1] == ' ' || b[end-1] == '\t' || b[end-1] == '"' || b[end-1] == '\'') && len(b)-end < 8 {
		end--
	}
	start := end
	for start > 0 && end-start < maxName && (wordChar(b[start-1]) || b[start-1] == '-' || b[start-1] == '.') {
		start--
	}
	for start < end && (b[start] == '-' || b[start] == '.') {
		start++
	}
	return b[start:end]
}

// maxLiteral is how much of a value is looked at; what it is shows in its beginning.
const maxLiteral = 512

// valueAfter gives the literal that begins b: a quoted string without its quotes, or a word.
func valueAfter(b []byte) (value string, quoted bool) {
	b = bytes.TrimLeft(b, " \t")
	if len(b) == 0 {
		return "", false
	}
	if q := b[0]; q == '"' || q == '\'' {
		rest := b[1:min(len(b), maxLiteral)]
		if i := bytes.IndexByte(rest, q); i >= 0 {
			return string(rest[:i]), true
		}
		return string(rest), true
	}
	end := 0
	for end < len(b) && end < maxLiteral && strings.IndexByte(" \t,;&|#\"'", b[end]) < 0 {
		end++
	}
	return string(bytes.TrimRight(b[:end], "]})")), false // of a flow sequence or call
}

// literalWord reports whether an unquoted word is a value and not an expression: getenv("X"), args.token, a | b.
func literalWord(v string) bool { return !strings.ContainsAny(v, "()[]{}<>|&$`*!") }

func counts(name, value string, mode strictness) bool {
	if name == "" || !secretNamed(name, value) || isReference(value) || strings.Contains(value, "${") || strings.Contains(value, "$(") || strings.Contains(value, "{{") {
		return false
	}
	return mode != lenient || looksRandom(value)
}
