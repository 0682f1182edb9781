package jobspec

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/runpin/runpin/schema"
)

// Rewrite puts new in the place of old, a URL, wherever it stands in a text of the spec as a whole or with something behind it that is set off (a path, a revision,
// a query). Everything else stays byte for byte. An error has kind Unpinnable where it is written in a way in which it cannot be changed.
func Rewrite(file string, data []byte, old, new string) (out []byte, err error) {
	if old == "" || strings.ContainsAny(new, "'\"\\\n\r\t ") {
		return nil, &schema.Error{Op: "jobspec.rewrite", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(new, 200)), Err: fmt.Errorf("cannot stand in a job spec")}
	}
	if isScript(file, data) {
		return rewriteScript(file, data, old, new)
	}
	next := 0 // a change leaves the number and the order of the texts
	for range maxPasses {
		s, err := Reader{}.parse(file, data)
		if err != nil {
			return nil, err
		}
		at, found, n := settable{}, false, 0
		for _, d := range s.texts[0].docs {
			d.eachText(d.value, "", func(v *value, field string) {
				if n++; !found && n > next && v.node.Kind == yaml.ScalarNode && replaced(v.node.Value, old, new) != v.node.Value {
					at, found, next = settable{hit{field: field, value: v}, d, "", true}, true, n
				}
			})
		}
		if !found {
			return data, nil
		}
		if data, _, err = s.set(at.field, at, replaced(at.value.node.Value, old, new)); err != nil {
			return nil, err
		}
	}
	return nil, &schema.Error{Op: "jobspec.rewrite", Kind: schema.Unpinnable, Subject: file, Err: fmt.Errorf("names %s at more than %d places", schema.Shorten(old, 100), maxPasses)}
}

// replaced gives text with old replaced where it is not part of a longer name. What new holds is not replaced again.
func replaced(text, old, new string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, old)
		if i < 0 {
			return b.String() + text
		}
		end := i + len(old)
		begins := i == 0 || !isAlnum(text[i-1]) && text[i-1] != '/' && text[i-1] != '.' && text[i-1] != '-'
		ends := end == len(text) || !isAlnum(text[end]) && text[end] != '-' && text[end] != '_' && text[end] != '.'
		b.WriteString(text[:i])
		if begins && ends {
			b.WriteString(new)
		} else {
			b.WriteString(old)
		}
		text = text[end:]
	}
}

func rewriteScript(file string, data []byte, old, new string) ([]byte, error) {
	next := 0
	for range maxPasses {
		words, err := wordsOf(file, data)
		if err != nil {
			return nil, err
		}
		at := -1
		for i, w := range words.words {
			if i >= next && !w.expands && replaced(w.text, old, new) != w.text {
				at = i
				break
			}
		}
		if at < 0 {
			return data, nil
		}
		w := words.words[at]
		next = at + 1
		quoted, err := syntax.Quote(replaced(w.text, old, new), syntax.LangPOSIX)
		if err != nil {
			return nil, err
		}
		if data, err = newSource(data).apply([]edit{{w.start, w.end, quoted}}); err != nil {
			return nil, err
		}
	}
	return nil, &schema.Error{Op: "jobspec.rewrite", Kind: schema.Unpinnable, Subject: file, Err: fmt.Errorf("names %s at more than %d places", schema.Shorten(old, 100), maxPasses)}
}
