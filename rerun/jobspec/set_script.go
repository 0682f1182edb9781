package jobspec

import (
	"bytes"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/runpin/runpin/schema"
)

// scriptWords are the words of a script in order: those of its commands, and the values that it gives to variables.
type scriptWords struct {
	words []word
	calls [][2]int         // which words are a command, from and to
	named map[string][]int // which words are the value of a variable
}

func wordsOf(file string, data []byte) (*scriptWords, error) {
	s := &Spec{File: file, source: newSource(data)}
	tree, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(data), file)
	if err != nil {
		return nil, s.shellError(err)
	}
	r := &scriptReader{textReader: textReader{spec: s}}
	out := &scriptWords{named: map[string][]int{}}
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			if n.Name != nil && n.Value != nil && n.Index == nil && !n.Append {
				out.named[n.Name.Value] = append(out.named[n.Name.Value], len(out.words))
				out.words = append(out.words, r.wordOf(n.Value))
			}
		case *syntax.CallExpr:
			from := len(out.words)
			for _, w := range n.Args {
				out.words = append(out.words, r.wordOf(w))
			}
			out.calls = append(out.calls, [2]int{from, len(out.words)})
		}
		return true
	})
	return out, nil
}

// setInScript changes a variable or an option in a batch script or another shell script.
func setInScript(file string, data []byte, key, text string) ([]byte, string, error) {
	if f := textFormatOf(file, data); f != &slurmFormat && f != &shellFormat {
		return nil, "", setError(key, schema.Invalid, "a "+f.name+" has no such places; edit the file that is printed")
	}
	s := &Spec{File: file, source: newSource(data)}
	before, err := wordsOf(file, data)
	if err != nil {
		return nil, "", err
	}
	kind, name, _ := strings.Cut(key, ".")
	var found []int
	prefix := ""
	switch kind {
	case "env":
		found = before.named[name]
	case "arg":
		for _, call := range before.calls {
			for i := call[0]; i < call[1]; i++ {
				switch w := before.words[i]; {
				case strings.HasPrefix(w.text, name+"="):
					found, prefix = append(found, i), name+"="
				case w.text == name && !w.expands && i+1 < call[1] && !isOption(before.words[i+1].text):
					found = append(found, i+1)
				}
			}
		}
	default:
		return nil, "", setError(key, schema.Invalid, "a script has no fields; set a variable with env.NAME, an option with arg.--FLAG")
	}
	var places []string
	for _, i := range found {
		line, column := s.source.position(before.words[i].start)
		places = append(places, fmt.Sprintf("%s:%d:%d", file, line, column))
	}
	if len(found) != 1 {
		return nil, "", onlyError(key, places)
	}
	w := before.words[found[0]]
	if w.expands {
		return nil, "", setError(key, schema.Unpinnable, places[0]+": the shell makes its value while the script runs; set the variable that it names")
	}
	quoted, err := syntax.Quote(text, syntax.LangPOSIX)
	if err != nil {
		return nil, "", setError(key, schema.Invalid, "the value cannot be written in a script: "+oneLine(err.Error()))
	}
	out, err := s.source.apply([]edit{{w.start, w.end, prefix + quoted}})
	if err != nil {
		return nil, "", err
	}
	// Every other word is as it was.
	after, err := wordsOf(file, out)
	same := err == nil && len(after.words) == len(before.words)
	for i := 0; same && i < len(after.words); i++ {
		want := before.words[i].text
		if i == found[0] {
			want = prefix + text
		}
		same = after.words[i].text == want && after.words[i].expands == before.words[i].expands && after.words[i].param == before.words[i].param
	}
	if !same {
		return nil, "", setError(key, schema.Unpinnable, places[0]+": is written in a way in which it cannot be changed")
	}
	return out, strings.TrimPrefix(w.text, prefix), nil
}
