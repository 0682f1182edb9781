package dataset

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/runpin/runpin/schema"
)

// Selection says which paths of a directory are part of the data set; the zero value selects all. A pattern is matched against the whole
// slash-separated path below the root: * ? [a-z] {a,b} within one part, ** over any number of parts ("**/*.tmp"). A pattern that matches a directory
// stands for everything below it. Exclude wins over include. Patterns see bytes that are not UTF-8 as U+FFFD.
type Selection struct{ include, exclude []string }

const (
	maxPatterns    = 1000
	maxPatternSize = 4096
)

// NewSelection checks the patterns. A "./" in front and a "/" behind mean nothing and may be written.
func NewSelection(include, exclude []string) (Selection, error) {
	clean := func(patterns []string) ([]string, error) {
		var out []string
		for _, p := range patterns {
			c := strings.TrimSuffix(strings.TrimPrefix(p, "./"), "/")
			if c == "" || strings.HasPrefix(c, "/") || strings.HasPrefix(c, "../") || len(p) > maxPatternSize || strings.Count(p, "{")+strings.Count(p, "**") > 32 || !doublestar.ValidatePattern(c) {
				return nil, &schema.Error{Op: "dataset.pattern", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(p, 200)),
					Err: fmt.Errorf("not a pattern for paths below the data set"), Hint: `write it like "train/**" or "**/*.csv"`}
			}
			out = append(out, c)
		}
		return out, nil
	}
	if len(include)+len(exclude) > maxPatterns {
		return Selection{}, &schema.Error{Op: "dataset.pattern", Kind: schema.Invalid, Subject: "patterns", Err: fmt.Errorf("more than %d", maxPatterns)}
	}
	var s Selection
	var err error
	if s.include, err = clean(include); err != nil {
		return s, err
	}
	s.exclude, err = clean(exclude)
	return s, err
}

// All reports whether nothing is left out.
func (s Selection) All() bool { return len(s.include) == 0 && len(s.exclude) == 0 }

// Selected decides about path, given whether the directory it is in was selected as a whole. Excluded means: neither it nor anything below it.
func (s Selection) Selected(path string, parent bool) (selected, excluded bool) {
	for _, p := range s.exclude {
		if doublestar.MatchUnvalidated(p, path) {
			return false, true
		}
	}
	if parent || len(s.include) == 0 {
		return true, false
	}
	for _, p := range s.include {
		if doublestar.MatchUnvalidated(p, path) {
			return true, false
		}
	}
	return false, false
}
