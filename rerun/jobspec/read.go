package jobspec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// Reader reads job specs. The zero value knows the table of kinds.
type Reader struct {
	// ContainerImage finds the image among the words of a command that starts a container, docker or podman first: its place, or an error that says why
	// it cannot be told. Without it such commands are problems. Implemented by recorder/process.
	ContainerImage func(argv []string) (int, error)

	Fields   []Field // further places, declared by the user
	AnyImage bool    // also take every key called image, wherever it stands, for a reference to an image
}

// Read is [Reader.Read] without declared fields.
func Read(file string, data []byte) (*Spec, error) { return Reader{}.Read(file, data) }

// Read finds the references of a job spec. file names it in messages. An error has kind Unpinnable: the file cannot be read as a job spec at
// all. What is wrong with single references is in Problems.
func (rd Reader) Read(file string, data []byte) (*Spec, error) {
	if f := textFormatOf(file, data); f != nil {
		return f.read(rd, file, data)
	}
	s := &Spec{File: file}
	roots, src, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	s.source = src
	whole := &text{source: src}
	s.texts = append(s.texts, whole)
	shared := &reading{Reader: rd, spec: s, file: file, left: maxValues, follows: maxFollowed, taken: pinNames{}, datasets: pinNames{}, used: map[Field]bool{}}
	known := false
	for i, root := range roots {
		doc := &document{index: i, root: root, of: whole}
		whole.docs = append(whole.docs, doc)
		r, err := shared.open(doc)
		if err != nil {
			return nil, s.nodeError(err)
		}
		if doc.value.isNull() {
			continue // an empty document
		}
		known = r.document() || known
		if len(s.References) > maxRefs {
			return nil, problemsError(file, []Problem{{Line: 1, Reason: fmt.Sprintf("names more than %d images", maxRefs)}})
		}
	}
	for i := range s.References {
		if s.References[i].Kind == KindCode {
			s.References[i].Name = shared.taken.next(s.References[i].Name)
		}
	}
	for _, f := range rd.Fields {
		if !shared.used[f] {
			s.Unused = append(s.Unused, f)
		}
	}
	if s.Format == "" {
		s.Format = FormatKubernetes
	}
	sort.SliceStable(s.Problems, func(i, j int) bool {
		a, b := s.Problems[i], s.Problems[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	if !known && len(s.Unused) > 0 {
		return nil, s.UnusedError()
	}
	if !known || len(s.References) == 0 && len(s.Problems) == 0 && !shared.settled {
		return nil, s.nothing()
	}
	return s, nil
}

// UnusedError is for a declared field that leads nowhere; nil when each leads somewhere. It has kind Invalid.
func (s *Spec) UnusedError() error {
	if len(s.Unused) == 0 {
		return nil
	}
	return &schema.Error{Op: "jobspec.field", Kind: schema.Invalid, Subject: s.File, Err: fmt.Errorf("the declared field %s leads nowhere", s.Unused[0]),
		Hint: "a path is keys joined by dots: spec.workers[].image, spec.params[data].value"}
}

const whatIsPinned = "`runpin help formats` lists what runpin can pin; for anything else declare the place with --field image=PATH, or look for every key called image with --any-image"

// ErrNothing is what [Reader.Read] wraps for a file that starts nothing that is known: it may be no job spec at all.
var ErrNothing = errors.New("names no image to run")

// nothing says that the file starts nothing that is known here.
func (s *Spec) nothing() error {
	e := &schema.Error{Op: "jobspec.read", Kind: schema.Unpinnable, Subject: s.File,
		Err: ErrNothing, Hint: whatIsPinned}
	if err := s.Err(); err != nil {
		e.Err = &nothingError{fmt.Errorf("holds no kind that runpin can pin: %w", err)}
	}
	return e
}

// nothingError is ErrNothing with what was found instead.
type nothingError struct{ error }

func (e *nothingError) Unwrap() []error { return []error{ErrNothing, e.error} }

func (s *Spec) nodeError(err error) error {
	ne, ok := err.(*nodeError)
	if !ok {
		return err
	}
	p := Problem{Reason: ne.reason}
	p.Line, p.Column = s.texts[0].place(ne.node)
	if ne.node.Kind == yaml.ScalarNode {
		p.Value = ne.node.Value
	}
	return problemsError(s.File, []Problem{p})
}

// parse checks the bounds and gives the root node of each document.
func parse(file string, data []byte) ([]*yaml.Node, *source, error) {
	if len(data) > maxBytes {
		return nil, nil, problemsError(file, []Problem{{Line: 1, Reason: fmt.Sprintf("the file has %d bytes; a job spec has at most %d", len(data), maxBytes)}})
	}
	if !utf8.Valid(data) {
		at := invalidAt(data)
		return nil, nil, problemsError(file, []Problem{{Line: 1 + bytes.Count(data[:at], []byte("\n")), Reason: "is not text in UTF-8"}})
	}
	if marks(data) > maxMarks {
		return nil, nil, problemsError(file, []Problem{{Line: 1, Reason: "has too many parts for a job spec"}})
	}
	roots, err := nodes(data)
	if err != nil {
		return nil, nil, syntaxError(file, data, err)
	}
	return roots, newSource(data), nil
}

func invalidAt(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return len(data)
}

// marks bounds the number of nodes from above.
func marks(data []byte) (n int) {
	for _, c := range data {
		switch c {
		case ',', '[', '{', ':', '-', '?':
			n++
		}
	}
	return n
}

// nodes parses all documents. The parser reports some malformed input by a panic.
func nodes(data []byte) (roots []*yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			roots, err = nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err == io.EOF {
			return roots, nil
		} else if err != nil {
			return nil, err
		}
		if len(doc.Content) == 1 {
			roots = append(roots, doc.Content[0])
		}
	}
}

var syntaxAt = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

var unknownAnchor = regexp.MustCompile(`unknown anchor '([^']+)' referenced$`)

// syntaxError makes an error of the parser's message, which knows a line at best.
func syntaxError(file string, data []byte, err error) error {
	p := Problem{Line: 1, Reason: "is not YAML: " + strings.TrimPrefix(oneLine(err.Error()), "yaml: ")}
	if m := syntaxAt.FindStringSubmatch(oneLine(err.Error())); m != nil {
		line, _ := strconv.Atoi(m[1])
		p.Line, _ = newSource(data).place(line, 1)
		p.Reason = "is not YAML: " + m[2]
	}
	at := -1 // of what the parser tells no line
	switch name := unknownAnchor.FindStringSubmatch(p.Reason); {
	case strings.HasSuffix(p.Reason, "control characters are not allowed"):
		at = bytes.IndexFunc(data, func(c rune) bool {
			return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c >= 0x7f && c < 0xa0 && c != 0x85
		})
	case name != nil:
		at = bytes.Index(data, []byte("*"+name[1]))
	case strings.HasSuffix(p.Reason, "unknown escape character") && bytes.Contains(data, []byte(`\/`)):
		p.Reason += `; JSON has \/ for /, which YAML 1.1 does not: write / alone`
	}
	if at >= 0 {
		p.Line = 1 + bytes.Count(data[:at], []byte("\n"))
	}
	if bytes.Contains(data, []byte("{{")) {
		p.Reason += "; it holds {{ … }}, so perhaps it " + templated
	}
	return problemsError(file, []Problem{p})
}
