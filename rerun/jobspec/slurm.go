package jobspec

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"github.com/runpin/runpin/schema"
)

// FormatSlurm is the format of a batch script for sbatch: a shell script with #SBATCH lines.
const FormatSlurm = "slurm"

// script is what is known of a batch script beside its references.
type script struct {
	head   int      // behind the last #SBATCH line that counts, else behind the #! line: where the stamp goes
	stamps []assign // where RUNPIN_RUN_ID is set
}

// assign is a place that sets the variable of the stamp. plain is set for `export RUNPIN_RUN_ID=ID` on the top level.
type assign struct {
	at         int
	start, end int // of the value
	value      string
	plain      bool
}

// isScript reports whether the file is for sbatch, judging by its content, and by its name where the content leaves it open.
func isScript(file string, data []byte) bool {
	switch ext := path.Ext(file); {
	case ext == ".sbatch" || ext == ".slurm":
		return true
	case !bytes.HasPrefix(data, []byte("#!")):
		return false
	case ext == ".sh":
		return true
	}
	return bytes.Contains(data, []byte("\n#SBATCH"))
}

// scriptReader collects the references of a batch script.
type scriptReader struct {
	spec     *Spec
	taken    pinNames
	comments []span
	seen     []span // what was understood, or told as a problem
}

type span struct{ start, end int }

// readScript finds the references of a batch script.
func readScript(file string, data []byte) (*Spec, error) {
	refuse := func(line, column int, reason string) (*Spec, error) {
		return nil, problemsError(file, []Problem{{Line: line, Column: column, Reason: reason}})
	}
	switch {
	case len(data) > maxScript:
		return refuse(1, 0, fmt.Sprintf("the file has %d bytes; a batch script has at most %d", len(data), maxScript))
	case !utf8.Valid(data):
		return refuse(1+bytes.Count(data[:invalidAt(data)], []byte("\n")), 0, "is not text in UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return refuse(1+bytes.Count(data[:bytes.IndexByte(data, 0)], []byte("\n")), 0, "is not text: it holds a NUL byte")
	case openers(data) > maxOpeners:
		return refuse(1, 0, "has too many parts for a batch script")
	case !bytes.HasPrefix(data, []byte("#!")):
		return refuse(1, 1, "does not begin with #!, so sbatch refuses it")
	}
	interpreter := interpreterOf(data)
	if !shells[interpreter] {
		return refuse(1, 1, fmt.Sprintf("is a script for %q; runpin reads scripts for sh, bash, dash, ksh and zsh", schema.Shorten(interpreter, 80)))
	}
	s := &Spec{File: file, Format: FormatSlurm, source: newSource(data), script: &script{}}
	tree, err := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true)).Parse(bytes.NewReader(data), file)
	if err != nil {
		return nil, s.shellError(err)
	}
	r := &scriptReader{spec: s, taken: pinNames{}}
	syntax.Walk(tree, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.Comment); ok {
			r.comments = append(r.comments, span{int(c.Pos().Offset()), lineEnd(data, int(c.Pos().Offset()))})
		}
		return true
	})
	r.directives()
	r.commands(tree)
	r.leftOver()
	for i := range s.References {
		s.References[i].Name = r.taken.next(s.References[i].Name)
	}
	sort.SliceStable(s.Problems, func(i, j int) bool {
		a, b := s.Problems[i], s.Problems[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	if len(s.References) > maxRefs {
		return refuse(1, 0, fmt.Sprintf("names more than %d images", maxRefs))
	}
	return s, nil
}

func (s *Spec) shellError(err error) error {
	p := Problem{Line: 1, Reason: "is not a shell script: " + oneLine(err.Error())}
	var parse syntax.ParseError
	var lang syntax.LangError
	at := -1
	if errors.As(err, &parse) {
		at, p.Reason = int(parse.Pos.Offset()), "is not a shell script: "+oneLine(parse.Text)
	} else if errors.As(err, &lang) {
		at, p.Reason = int(lang.Pos.Offset()), "is written for another shell: "+oneLine(lang.Feature)
	}
	if at >= 0 && at <= len(s.source.data) {
		p.Line, p.Column = s.source.position(at)
	}
	return problemsError(s.File, []Problem{p})
}

// openers bounds how deeply a script can be nested, which bounds the parser's stack.
func openers(data []byte) (n int) {
	for _, c := range data {
		switch c {
		case '(', '{', '`', '!':
			n++
		}
	}
	return n
}

// shells are the interpreters whose scripts the parser reads.
var shells = map[string]bool{"sh": true, "bash": true, "dash": true, "ash": true, "ksh": true, "mksh": true, "zsh": true}

// interpreterOf gives the program of the #! line, looking through env.
func interpreterOf(data []byte) string {
	line, _, _ := bytes.Cut(data[2:], []byte("\n"))
	for _, word := range strings.Fields(string(line)) {
		name := path.Base(word)
		if name == "env" || strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		return name
	}
	return ""
}

func lineEnd(data []byte, at int) int {
	if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(data)
}

func (r *scriptReader) problem(at int, field, value, reason string) {
	p := Problem{Field: field, Value: value, Reason: reason}
	p.Line, p.Column = r.spec.source.position(at)
	r.spec.Problems = append(r.spec.Problems, p)
}

// directives reads the #SBATCH lines as sbatch does: comments and blank lines may stand between them, and the first command ends them.
func (r *scriptReader) directives() {
	data := r.spec.source.data
	first := true
	for at := 0; at < len(data); {
		end := lineEnd(data, at)
		next := min(end+1, len(data))
		line := data[at:end]
		text := bytes.TrimSpace(line)
		if first {
			r.spec.script.head, first = next, false
		}
		if len(text) > 0 && text[0] != '#' {
			return
		}
		if bytes.HasPrefix(line, []byte("#SBATCH")) {
			words, reason := r.directiveWords(at+len("#SBATCH"), end)
			if reason != "" {
				r.problem(at, "#SBATCH", "", reason)
			}
			r.container("#SBATCH", words)
			r.spec.script.head = next
		}
		at = next
	}
}

// leftOver tells of every sign of a container that no rule above has dealt with: in a text, a here-document, an assignment.
func (r *scriptReader) leftOver() {
	data := r.spec.source.data
	within := func(spans []span, at int) bool {
		for _, s := range spans {
			if at >= s.start && at < s.end {
				return true
			}
		}
		return false
	}
	for _, m := range signs.FindAllIndex(data, -1) {
		if within(r.seen, m[0]) || within(r.comments, m[0]) {
			continue
		}
		r.problem(m[0], "", string(data[m[0]:m[1]]), "stands where runpin cannot tell what it starts; write the command out, with the image in it")
		r.seen = append(r.seen, span{m[0], lineEnd(data, m[0])})
	}
}
