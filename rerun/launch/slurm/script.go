package slurm

import (
	"bytes"
	"strings"
)

// directives are what the #SBATCH lines of a script say, as far as it matters to whoever follows the job.
type directives struct {
	output, errors   string
	array            string
	comment          string
	chdir            string
	clusters         string
	name             string
	wait             []span // the words that make sbatch wait
	waitInside       bool   // -W stands together with another option
	hasError         bool
	hetjob, testOnly bool
	held             bool
}

type span struct{ start, end int }

// withArgument are the short options of sbatch that have a value.
const withArgument = "aAbBcCdDeFGiJLmMnNopqStUwx"

// readDirectives reads the #SBATCH lines as sbatch does: comments and blank lines may stand between them, and the first command ends them.
func readDirectives(data []byte) directives {
	var d directives
	for at := 0; at < len(data); {
		end := len(data)
		if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
			end = at + n
		}
		line := data[at:end]
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' {
			break
		}
		if bytes.HasPrefix(line, []byte("#SBATCH")) {
			d.line(words(data, at+len("#SBATCH"), end))
		}
		at = end + 1
	}
	return d
}

type word struct {
	text string
	span
}

// words splits a line as sbatch does, with its two kinds of quotes and its backslash, which stands in both. A # ends the line.
func words(data []byte, at, end int) []word {
	var all []word
	for at < end {
		for at < end && isSpace(data[at]) {
			at++
		}
		if at == end || data[at] == '#' {
			return all
		}
		start := at
		var text []byte
		for quote := byte(0); at < end; at++ {
			switch c := data[at]; {
			case quote != 0 && c == quote:
				quote = 0
				continue
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
				continue
			case c == '\\' && at+1 < end:
				at++
			case quote == 0 && (isSpace(c) || c == '#'):
				goto done
			}
			text = append(text, data[at])
		}
	done:
		all = append(all, word{string(text), span{start, at}})
	}
	return all
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func (d *directives) line(all []word) {
	for i := 0; i < len(all); i++ {
		next := func() string {
			if i+1 < len(all) {
				i++
				return all[i].text
			}
			return ""
		}
		w := all[i]
		switch option, isLong := strings.CutPrefix(w.text, "--"); {
		case isLong:
			name, value, has := strings.Cut(option, "=")
			d.option(name, func() string {
				if has {
					return value
				}
				return next()
			}, w.span)
		case len(w.text) > 1 && w.text[0] == '-':
			d.short(w, next)
		case w.text == "hetjob" || w.text == "packjob":
			d.hetjob = true
		}
	}
}

// short reads a cluster of short options, of which the last may have a value.
func (d *directives) short(w word, next func() string) {
	names := map[byte]string{'o': "output", 'e': "error", 'a': "array", 'D': "chdir", 'M': "clusters", 'J': "job-name", 'H': "hold"}
	for i := 1; i < len(w.text); i++ {
		c := w.text[i]
		switch {
		case c == 'W' && len(w.text) == 2:
			d.wait = append(d.wait, w.span)
		case c == 'W':
			d.waitInside = true
		case strings.IndexByte(withArgument, c) < 0:
			d.option(names[c], func() string { return "" }, w.span)
		default:
			rest := w.text[i+1:]
			d.option(names[c], func() string {
				if rest != "" {
					return rest
				}
				return next()
			}, w.span)
			return
		}
	}
}

// long are the options below with the shortest beginning that stands for them.
var long = map[string]string{"output": "out", "error": "err", "array": "arr", "comment": "com", "chdir": "chd", "job-name": "job-", "test-only": "tes", "hold": "hol"}

func (d *directives) option(name string, value func() string, at span) {
	for full, least := range long {
		if strings.HasPrefix(name, least) && strings.HasPrefix(full, name) {
			name = full
		}
	}
	switch name {
	case "output":
		d.output = value()
	case "error":
		d.errors, d.hasError = value(), true
	case "array":
		d.array = value()
	case "comment":
		d.comment = value()
	case "chdir", "workdir":
		d.chdir = value()
	case "clusters", "cluster":
		d.clusters = value()
	case "job-name":
		d.name = value()
	case "wait":
		d.wait = append(d.wait, at)
	case "test-only":
		d.testOnly = true
	case "hold":
		d.held = true
	}
}
