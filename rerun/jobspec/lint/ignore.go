package lint

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Ignore is a finding that is accepted, of runpin.yaml. Path is a pattern with ** for any directories, "" for every file.
type Ignore struct {
	Rule   string `yaml:"rule"`
	Path   string `yaml:"path"`
	Reason string `yaml:"reason"`
}

// comment is `# runpin:ignore RULE[,RULE] REASON` in a file. It is about its own line, or, alone on a line, about the next line that is no comment.
type comment struct {
	line   int // where it stands
	about  int
	column int
	rules  []string
	reason string
	used   bool
}

const marker = "runpin:ignore"

// comments finds the comments of a file.
func comments(data []byte) (found []*comment) {
	if !bytes.Contains(data, []byte(marker)) {
		return nil
	}
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		at := strings.Index(line, marker)
		if at < 0 {
			continue
		}
		head := strings.TrimRight(line[:at], " \t")
		if !strings.HasSuffix(head, "#") || len(head) > 1 && !strings.HasSuffix(head, " #") && !strings.HasSuffix(head, "\t#") && head != "\ufeff#" {
			continue // it stands in a text
		}
		words := strings.Fields(strings.TrimPrefix(line[at:], marker))
		c := &comment{line: i + 1, about: i + 1, column: len([]rune(head))}
		if len(words) > 0 {
			c.rules = strings.Split(words[0], ",")
			c.reason = strings.Join(words[1:], " ")
		}
		if strings.TrimSpace(strings.TrimSuffix(head, "#")) == "" { // alone on its line
			for next := i + 1; next < len(lines); next++ {
				if text := strings.TrimSpace(lines[next]); text != "" && text[0] != '#' {
					c.about = next + 1
					break
				}
			}
		}
		found = append(found, c)
	}
	return found
}

// ignore marks the findings that are accepted, and adds what is wrong with the comments that accept them.
func (c Config) ignore(file File, findings []Finding) []Finding {
	here := comments(file.Data)
	for i := range findings {
		f := &findings[i]
		for _, rule := range c.Ignore {
			if rule.Rule == f.Rule && matches(rule.Path, file.Name) {
				f.Ignored = rule.Reason
			}
		}
		for _, note := range here {
			if note.about == f.Line && slices.Contains(note.rules, f.Rule) {
				note.used = true
				if note.reason != "" {
					f.Ignored = note.reason
				}
			}
		}
	}
	extra := &check{linter: &Linter{Config: c}, file: file}
	for _, note := range here {
		at := Finding{Line: note.line, Column: note.column}
		switch {
		case len(note.rules) == 0:
			extra.add(ruleReason, at, "names neither a rule nor a reason")
		case note.reason == "":
			extra.add(ruleReason, at, "ignores %s and gives no reason, so it is not ignored", strings.Join(note.rules, ", "))
		case !note.used:
			extra.add(ruleUnused, at, "ignores %s, which is not found here", strings.Join(note.rules, ", "))
		}
	}
	return append(findings, extra.findings...)
}

func matches(pattern, file string) bool {
	if pattern == "" {
		return true
	}
	ok, err := doublestar.Match(pattern, strings.TrimPrefix(filepath.ToSlash(filepath.Clean(file)), "./"))
	return ok && err == nil
}
