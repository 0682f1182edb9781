package jobspec

import (
	"net/url"
	"strings"

	"github.com/runpin/runpin/schema"
)

// variable gives the word as if it were $NAME alone.
func (w word) variable(name string) word {
	w.text = "$" + name
	return w
}

// unquoted takes quotes around a whole word away.
func unquoted(w word) word {
	if n := len(w.text); n >= 2 && (w.text[0] == '"' || w.text[0] == '\'') && w.text[n-1] == w.text[0] {
		w.text, w.at = w.text[1:n-1], w.at[1:n-1]
		if n > 2 {
			w.start, w.end = w.at[0], w.at[n-3]+1
		}
	}
	return w
}

// other notes what COPY and RUN take files from: a stage by name or number, or an image.
func (r *dockerfileReader) other(field string, w word) {
	w = unquoted(w)
	if w.text != "" && strings.Trim(w.text, "0123456789") == "" {
		return
	}
	r.named(field, w)
}

// named notes an image, unless it is a stage or scratch.
func (r *dockerfileReader) named(field string, w word) {
	if strings.EqualFold(w.text, "scratch") || r.stages[strings.ToLower(w.text)] {
		return
	}
	m := argReference.FindStringSubmatch(w.text)
	if m == nil {
		r.image(field, w)
		return
	}
	name := m[1] + m[2]
	arg, known := r.args[name]
	switch {
	case m[3] == "-" && known && arg.set || m[3] == ":-" && len(arg.value.at) > 0:
		r.named(field, w.variable(name)) // the default of the ARG goes before the one that stands here
	case m[3] != "": // ${BASE:-ref}: the default that stands here
		from := strings.Index(w.text, m[3]) + len(m[3])
		part := w.from(from)
		part.text, part.at = m[4], part.at[:len(m[4])]
		if m[4] == "" {
			r.problem(w.start, ProblemShape, field, w.text, "has an empty default")
			return
		}
		part.end = part.at[len(part.at)-1] + 1
		r.image(field, part)
	case !known || len(arg.value.at) == 0:
		r.problem(w.start, ProblemTemplate, field, w.text, "is given when the image is built; give the ARG a default above the first FROM, or write the image")
	case arg.count > 1:
		r.problem(w.start, ProblemTemplate, field, w.text, "is an ARG that is declared twice")
	case strings.EqualFold(arg.value.text, "scratch") || r.stages[strings.ToLower(arg.value.text)]:
	default:
		r.image("ARG "+name, arg.value)
	}
}

func (r *dockerfileReader) image(field string, w word) {
	switch {
	case w.text == "" || len(w.at) == 0:
		r.problem(w.start, ProblemShape, field, "", "names no image")
	case strings.Contains(w.text, "$"):
		r.problem(w.start, ProblemTemplate, field, w.text, "is made when the image is built; write the image, or give it whole by an ARG with a default")
	default:
		r.reference(field, w, 0, w.text, w.text, TagAndDigest)
	}
}

// source notes the revision of a git repository that ADD fetches. Any other URL is what the builder's own checksum is for.
func (r *dockerfileReader) source(w word) {
	found, isCode, hasRevision := findCodeURL(w.text)
	u, err := url.Parse(w.text)
	short := strings.HasPrefix(w.text, "git@") // git's short form for ssh
	if !isCode || !short && (err != nil || u.Scheme == "") || !strings.HasSuffix(found.repository, ".git") && !hasRevision {
		return
	}
	if strings.Contains(w.text, "$") {
		r.problem(w.start, ProblemTemplate, "ADD", w.text, "is made when the image is built")
		return
	}
	if !hasRevision {
		r.problem(w.start, ProblemFloating, "ADD", "", floats)
		return
	}
	revision := w.text[found.start:found.end]
	_, err = schema.ParseObjectID(revision)
	start, end := w.at[found.start], w.at[found.end-1]+1
	ref := Reference{Name: repositoryName(found.repository), Kind: KindCode, URL: found.repository, Value: revision, Pinned: err == nil, Field: "ADD", Offset: start, End: end,
		token: token{start: start, end: end}, cut: start}
	ref.Line, ref.Column = r.spec.source.position(start)
	r.spec.References = append(r.spec.References, ref)
}
