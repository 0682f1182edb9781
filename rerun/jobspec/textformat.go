package jobspec

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

// textFormat is a format that is neither YAML nor JSON. Its references are words of the text; a pin is spliced into a word, and proved by reading the
// result and taking the pins out again (verifyScript).
type textFormat struct {
	name string
	is   func(file string, data []byte) bool
	read func(rd Reader, file string, data []byte) (*Spec, error)
	row  Row // for people
}

// textFormats are asked in order.
var textFormats []*textFormat

func init() { // the readers read again what they have pinned, so the list cannot be an initial value
	slurmFormat.read, shellFormat.read = readScript, readScript
	dockerfileFormat.read, definitionFormat.read = readDockerfile, readDefinition
	textFormats = []*textFormat{&dockerfileFormat, &definitionFormat, &slurmFormat, &shellFormat}
}

func textFormatOf(file string, data []byte) *textFormat {
	for _, f := range textFormats {
		if f.is(file, data) {
			return f
		}
	}
	return nil
}

// isScript reports a file of one of the text formats.
func isScript(file string, data []byte) bool { return textFormatOf(file, data) != nil }

// script is what is known of a text beside its references.
type script struct {
	reader Reader
	format *textFormat
	head   int      // where lines are put that have to come before the first command; -1 where there is no such place
	stamps []assign // where RUNPIN_RUN_ID is set
	guards []guard
}

// guard is a line that checks an image file by its hash before anything starts.
type guard struct {
	start, end int // of the line, its end included
	path, hex  string
	at         int // of the hash
}

// assign is a place that sets the variable of the stamp. plain is set for `export RUNPIN_RUN_ID=ID` on the top level.
type assign struct {
	at         int
	start, end int // of the value
	value      string
	plain      bool
}

// textReader collects the references of a text.
type textReader struct {
	spec  *Spec
	taken pinNames
	seen  []span // what was understood, or told as a problem
}

type span struct{ start, end int }

// checkText refuses what no text format reads.
func checkText(file string, data []byte, what string) error {
	refuse := func(line int, reason string) error {
		return problemsError(file, []Problem{{Code: ProblemShape, Line: line, Reason: reason}})
	}
	switch {
	case len(data) > maxScript:
		return refuse(1, fmt.Sprintf("the file has %d bytes; %s has at most %d", len(data), what, maxScript))
	case !utf8.Valid(data):
		return refuse(1+bytes.Count(data[:invalidAt(data)], []byte("\n")), "is not text in UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return refuse(1+bytes.Count(data[:bytes.IndexByte(data, 0)], []byte("\n")), "is not text: it holds a NUL byte")
	}
	return nil
}

func (r *textReader) problem(at int, code, field, value, reason string) {
	p := Problem{Code: code, Field: field, Value: Shown(value), Reason: reason}
	p.Line, p.Column = r.spec.source.position(at)
	r.spec.Problems = append(r.spec.Problems, p)
}

// finish names the references and sorts the problems.
func (r *textReader) finish() (*Spec, error) {
	s := r.spec
	sort.SliceStable(s.References, func(i, j int) bool { return s.References[i].Offset < s.References[j].Offset })
	for _, kind := range []string{KindImage, KindCode} {
		for i := range s.References {
			if s.References[i].Kind == kind {
				s.References[i].Name = r.taken.next(s.References[i].Name)
			}
		}
	}
	sort.SliceStable(s.Problems, func(i, j int) bool {
		a, b := s.Problems[i], s.Problems[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	if len(s.References) > maxRefs {
		return nil, problemsError(s.File, []Problem{{Line: 1, Reason: fmt.Sprintf("names more than %d images", maxRefs)}})
	}
	return s, nil
}

// reference notes an image. value is what the registry calls it; image is the part of w from skip on that a pin ends with a digest.
func (r *textReader) reference(field string, w word, skip int, value, image string, shape Shape) {
	parts, reason := splitReference(value)
	if reason == "" && image == "" {
		reason = "is not an image reference: it is empty"
	}
	if reason != "" {
		r.problem(w.start, codeOf(reason), field, w.text, reason)
		return
	}
	// The tag and the digest are what a pin replaces; the repository stays as it is spelled.
	tail := skip + len(image)
	if parts.digest != "" {
		tail -= len(parts.digest) + 1
	}
	if parts.tag != "" {
		tail -= len(parts.tag) + 1
	}
	start, end := w.at[0], w.at[len(w.at)-1]+1
	cut := w.at[tail-1] + 1
	if tail < len(w.text) {
		cut = w.at[tail]
		if string(r.spec.source.data[cut:end]) != w.text[tail:] {
			r.problem(w.start, ProblemWritten, field, w.text, "is quoted in the middle; write it in one piece")
			return
		}
	}
	for i := range r.spec.References { // a variable that several commands use
		if have := &r.spec.References[i]; have.Offset == start {
			if have.Value != value {
				r.problem(w.start, ProblemWritten, field, w.text, "is read in two ways; name the image in each place")
				return
			}
			have.Also = append(have.Also, field)
			if shape == DigestOnly {
				have.Shape = shape
			}
			return
		}
	}
	name := parts.repository[lastSlash(parts.repository)+1:]
	ref := Reference{Name: name, Kind: KindImage, Value: value, Pinned: parts.digest != "", Shape: shape, Field: field, Offset: start, End: end,
		token: token{start: start, end: end}, cut: cut}
	ref.Line, ref.Column = r.spec.source.position(start)
	r.spec.References = append(r.spec.References, ref)
	r.seen = append(r.seen, span{w.start, w.end})
}

func lastSlash(s string) int { return bytes.LastIndexByte([]byte(s), '/') }

// respell gives the edit that pins a reference of a text. The scheme, the user, the registry and the repository stay as they are spelled; what follows
// them is the tag and the digest, or the digest alone where the engine takes no tag beside it.
func (s *Spec) respell(r Reference, pinned string) edit {
	if r.Kind == KindCode {
		return edit{r.cut, r.token.end, pinned}
	}
	if r.File != "" {
		return s.guardEdit(r, pinned)
	}
	parts, _ := splitReference(pinned)
	text := "@" + string(parts.digest)
	if r.Shape == TagAndDigest && parts.tag != "" {
		text = ":" + parts.tag + text
	}
	return edit{r.cut, r.token.end, text}
}

// pinScript makes the edits and the stamp, and proves that the result differs from the text in nothing else.
func (s *Spec) pinScript(edits []edit, values map[string]string, stamp *Stamp) ([]byte, error) {
	if s.script.format.row.Stamp == "" {
		stamp = nil
	}
	if stamp != nil {
		e, err := s.stampScript(string(stamp.RunID))
		if err != nil {
			return nil, err
		}
		edits = append(edits, e...)
	}
	seen := map[edit]bool{}
	unique := edits[:0:0]
	for _, e := range edits {
		if seen[e] {
			continue // two commands that run one image file need one guard
		}
		seen[e] = true
		unique = append(unique, e)
	}
	out, err := s.apply(unique)
	if err == nil {
		err = s.verifyScript(out, values, stamp)
	}
	if err != nil {
		return nil, &schema.Error{Op: "jobspec.pin", Kind: schema.Internal, Subject: s.File, Err: err}
	}
	return out, nil
}

// verifyScript reads the result and compares: the same references in the same places, each with its pin, and every other byte as it was.
func (s *Spec) verifyScript(out []byte, values map[string]string, stamp *Stamp) error {
	is, err := s.script.format.read(s.script.reader, s.File, out)
	if err == nil && len(is.Problems) > 0 { // a caller may have cleared those that were there before
		if was, before := s.script.format.read(s.script.reader, s.File, s.source.data); before != nil || len(is.Problems) > len(was.Problems) {
			err = is.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("the result cannot be read: %w", err)
	}
	if len(is.References) != len(s.References) {
		return fmt.Errorf("the result names %d images in place of %d", len(is.References), len(s.References))
	}
	for i, ref := range is.References {
		was := s.References[i]
		want, given := values[was.Key()]
		switch {
		case ref.Name != was.Name || ref.Field != was.Field:
			return fmt.Errorf("the result differs at %s: %q", ref.Field, ref.Value)
		case !given || want == "":
		case was.File != "" && (!ref.Pinned || schema.Digest(want) != ref.fileDigest),
			was.Kind == KindCode && ref.Value != want,
			was.Kind == KindImage && was.File == "" && !sameDigest(ref, want):
			return fmt.Errorf("the result differs at %s: %q in place of %q", ref.Field, ref.Value, want)
		}
	}
	if stamp != nil && (len(is.script.stamps) != 1 || !is.script.stamps[0].plain || is.script.stamps[0].value != string(stamp.RunID)) {
		return errors.New("the result does not set the run's id")
	}
	back, err := s.restore(is, stamp != nil)
	if err != nil || !bytes.Equal(back, s.source.data) {
		return errors.New("the result differs outside its images")
	}
	return nil
}

func sameDigest(ref Reference, want string) bool {
	parts, _ := splitReference(want)
	return ref.Pinned && ref.Digest() == parts.digest
}

// restore undoes a pin: it takes the pins and the stamp out of the result and puts back what was there.
func (s *Spec) restore(is *Spec, stamped bool) ([]byte, error) {
	var edits []edit
	for i, ref := range is.References {
		was := s.References[i]
		if was.File == "" {
			edits = append(edits, edit{ref.cut, ref.token.end, string(s.source.data[was.cut:was.token.end])})
		}
	}
	had := map[string]guard{}
	for _, g := range s.script.guards {
		had[g.path] = g
	}
	for _, g := range is.script.guards {
		if old, ok := had[g.path]; ok {
			edits = append(edits, edit{g.at, g.at + len(g.hex), old.hex})
		} else {
			edits = append(edits, edit{g.start, g.end, ""})
		}
	}
	if stamped {
		now := is.script.stamps[0]
		if len(s.script.stamps) == 1 {
			was := s.script.stamps[0]
			edits = append(edits, edit{now.start, now.end, string(s.source.data[was.start:was.end])})
		} else if start, end := now.at-len("export "), now.end; bytes.HasSuffix(s.source.data, []byte("\n")) || s.script.head < len(s.source.data) {
			edits = append(edits, edit{start, end + len(s.source.eol), ""})
		} else {
			edits = append(edits, edit{start - len(s.source.eol), end, ""})
		}
	}
	return is.apply(edits)
}
