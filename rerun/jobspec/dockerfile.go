package jobspec

import (
	"bytes"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/runpin/runpin/schema"
)

// FormatDockerfile is the format of a Dockerfile or Containerfile.
const FormatDockerfile = "dockerfile"

var dockerfileFormat = textFormat{name: FormatDockerfile, is: isDockerfile, row: Row{Format: FormatDockerfile, Name: "Dockerfile, Containerfile",
	Images: []string{"FROM", "COPY --from", "RUN --mount=from", "# syntax=", "the default of an ARG that is an image as a whole"}, Code: []string{"ADD URL.git#REV"}, Shape: TagAndDigest,
	Notes: []string{"names of stages and scratch are no images"}}}

func isDockerfile(file string, _ []byte) bool {
	b := base(file)
	for _, name := range []string{"Dockerfile", "Containerfile"} {
		if b == name || strings.HasPrefix(b, name+".") || strings.HasSuffix(b, "."+name) || strings.HasSuffix(b, "."+strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// dockerfileReader reads instructions as BuildKit's parser does: continuation lines are joined, with comments and empty lines between them left out, and
// here-documents are skipped.
type dockerfileReader struct {
	textReader
	escape byte
	args   map[string]dockerArg // ARGs before the first FROM
	stages map[string]bool
	from   int // how many FROMs there were
}

type dockerArg struct {
	value word
	count int
	set   bool // it has a default, if an empty one
}

// instruction is one instruction: its words with their places.
type instruction struct {
	name  string
	words []word
	at    int
	rest  string // everything behind the name
}

var (
	directiveLine = regexp.MustCompile(`^#[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*?)[ \t]*$`)
	heredoc       = regexp.MustCompile(`^[0-9]*<<(-?)([^<]+)$`) // of a whole word, as BuildKit's parser takes it
	argReference  = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?-)([^{}$]*))?\})$`)
)

func readDockerfile(rd Reader, file string, data []byte) (*Spec, error) {
	if err := checkText(file, data, "a Dockerfile"); err != nil {
		return nil, err
	}
	s := &Spec{File: file, Format: FormatDockerfile, source: newSource(data), script: &script{reader: rd, format: &dockerfileFormat, head: -1}}
	r := &dockerfileReader{textReader: textReader{spec: s, taken: pinNames{}}, escape: '\\', args: map[string]dockerArg{}, stages: map[string]bool{}}
	body := r.directives()
	for at := body; at < len(data); {
		var i instruction
		i, at = r.next(at)
		if i.name != "" {
			r.instruction(i)
		}
	}
	if r.from == 0 && len(s.Problems) == 0 {
		return nil, s.nothing()
	}
	return r.finish()
}

// directives reads the parser directives: the first lines, as long as each is one.
func (r *dockerfileReader) directives() int {
	data := r.spec.source.data
	at := 0
	if bytes.HasPrefix(data, byteOrderMark) {
		at = len(byteOrderMark)
	}
	seen := map[string]bool{}
	for at < len(data) {
		end := lineEnd(data, at)
		line := strings.TrimSuffix(string(data[at:end]), "\r")
		m := directiveLine.FindStringSubmatchIndex(line)
		if m == nil {
			return at
		}
		name := strings.ToLower(line[m[2]:m[3]])
		if name != "syntax" && name != "escape" && name != "check" || seen[name] {
			return at
		}
		seen[name] = true
		value := r.plain(at+m[4], at+m[5])
		if blank := strings.IndexAny(value.text, " \t"); name == "syntax" && blank >= 0 { // what follows is for the frontend
			value = r.plain(at+m[4], at+m[4]+blank)
		}
		switch {
		case name == "escape" && (value.text == "`" || value.text == "\\"):
			r.escape = value.text[0]
		case name == "syntax" && value.text != "":
			r.image("# syntax", value)
		}
		at = min(end+1, len(data))
	}
	return at
}

// plain makes a word of bytes that mean themselves.
func (r *dockerfileReader) plain(start, end int) word {
	w := word{text: string(r.spec.source.data[start:end]), start: start, end: end}
	for i := start; i < end; i++ {
		w.at = append(w.at, i)
	}
	return w
}

// next reads the instruction at an offset, which is the beginning of a line, and gives the offset behind it.
func (r *dockerfileReader) next(at int) (instruction, int) {
	data := r.spec.source.data
	var bytesOf []int // places of the bytes of the joined line
	first := true
	for at < len(data) {
		end := lineEnd(data, at)
		stop := end
		for stop > at && (data[stop-1] == '\r' || data[stop-1] == ' ' || data[stop-1] == '\t') {
			stop--
		}
		begin := at
		for begin < stop && (data[begin] == ' ' || data[begin] == '\t') {
			begin++
		}
		next := min(end+1, len(data))
		if begin == stop || data[begin] == '#' { // empty, or a comment, also between continued lines
			at = next
			if first {
				return instruction{}, at
			}
			continue
		}
		continued := data[stop-1] == r.escape
		if continued && stop-2 >= begin && data[stop-2] == r.escape {
			r.problem(stop-2, ProblemWritten, "", "", "ends in two escape characters, which some builders take for a continued line and others do not; write the line in another way")
		}
		if continued {
			stop--
		}
		from := at
		if first {
			from = begin
		}
		for i := from; i < stop; i++ {
			bytesOf = append(bytesOf, i)
		}
		at, first = next, false
		if !continued {
			break
		}
	}
	i := r.split(bytesOf)
	if i.name == "RUN" || i.name == "COPY" || i.name == "ADD" {
		for _, w := range shellWords(i.rest) {
			m := heredoc.FindStringSubmatch(w)
			if m == nil {
				continue
			}
			name := strings.NewReplacer(`"`, "", "'", "", `\`, "").Replace(m[2])
			if name == "" {
				continue
			}
			next, closed := r.skipHeredoc(at, name, m[1] == "-")
			if !closed {
				r.problem(i.at, ProblemShape, i.name, "<<"+name, "is a here-document that is not closed")
			}
			at = next
		}
	}
	return i, at
}

// skipHeredoc gives the offset behind the line that closes a here-document.
func (r *dockerfileReader) skipHeredoc(at int, name string, tabs bool) (next int, closed bool) {
	data := r.spec.source.data
	for at < len(data) && !closed {
		end := lineEnd(data, at)
		line := strings.TrimRight(string(data[at:end]), "\r")
		if tabs {
			line = strings.TrimLeft(line, "\t")
		}
		at, closed = min(end+1, len(data)), line == name
	}
	return at, closed
}

// shellWords splits a line at blanks that are not quoted, and leaves the quotes.
func shellWords(line string) (words []string) {
	quote, begin := byte(0), -1
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && isBlank(c):
			if begin >= 0 {
				words, begin = append(words, line[begin:i]), -1
			}
			continue
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
		if begin < 0 {
			begin = i
		}
		if c == '\\' && quote != '\'' {
			i++
		}
	}
	if begin >= 0 {
		words = append(words, line[begin:])
	}
	return words
}

// split takes the words of a joined line apart.
func (r *dockerfileReader) split(places []int) (i instruction) {
	data := r.spec.source.data
	var words []word
	leading := 0
	for n := 0; n < len(places); {
		if isBlank(data[places[n]]) {
			n++
			continue
		}
		from := n
		if len(words) == 0 {
			leading = n
		}
		for n < len(places) && !isBlank(data[places[n]]) {
			n++
		}
		words = append(words, word{text: textAt(data, places[from:n]), at: places[from:n:n], start: places[from], end: places[n-1] + 1})
	}
	if len(words) == 0 {
		return i
	}
	i.name, i.at, i.words = strings.ToUpper(words[0].text), words[0].start, words[1:]
	i.rest = textAt(data, places[len(words[0].at)+leading:])
	if i.name == "ONBUILD" && len(i.words) > 0 {
		i.name, i.words = strings.ToUpper(i.words[0].text), i.words[1:]
	}
	return i
}

func textAt(data []byte, places []int) string {
	var text strings.Builder
	for _, at := range places {
		text.WriteByte(data[at])
	}
	return text.String()
}

func (r *dockerfileReader) instruction(i instruction) {
	switch i.name {
	case "ARG":
		if r.from > 0 {
			return // of the stage; FROM does not see it
		}
		for _, w := range i.words {
			name, _, ok := strings.Cut(w.text, "=")
			arg := r.args[name]
			arg.count++
			if ok {
				arg.value, arg.set = unquoted(w.from(len(name)+1)), true
			}
			r.args[name] = arg
		}
	case "FROM":
		r.from++
		words := i.words
		for len(words) > 0 && strings.HasPrefix(words[0].text, "--") {
			words = words[1:]
		}
		if len(words) == 0 {
			r.problem(i.at, ProblemShape, "FROM", "", "names no image")
			return
		}
		r.named("FROM", unquoted(words[0]))
		if len(words) == 3 && strings.EqualFold(words[1].text, "as") {
			r.stages[strings.ToLower(words[2].text)] = true
		}
	case "COPY", "ADD":
		for _, w := range i.words {
			if !strings.HasPrefix(w.text, "--") {
				break
			}
			if strings.HasPrefix(w.text, "--from=") {
				r.other("COPY --from", w.from(len("--from=")))
			}
		}
		if i.name == "ADD" {
			for _, w := range i.words {
				r.source(w)
			}
		}
	case "RUN":
		for _, w := range i.words {
			if !strings.HasPrefix(w.text, "--") {
				break
			}
			if !strings.HasPrefix(w.text, "--mount=") {
				continue
			}
			from := len("--mount=")
			for option := range strings.SplitSeq(w.text[from:], ",") {
				if strings.HasPrefix(option, "from=") {
					part := w.from(from + len("from="))
					size := len(option) - len("from=")
					part.text, part.at = part.text[:size], part.at[:size]
					if size > 0 {
						part.end = part.at[size-1] + 1
					}
					r.other("RUN --mount=from", part)
				}
				from += len(option) + 1
			}
		}
	}
}

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

// FormatApptainer is the format of a definition file of Apptainer or Singularity.
const FormatApptainer = "apptainer"

var definitionFormat = textFormat{name: FormatApptainer, is: isDefinition, row: Row{Format: FormatApptainer, Name: "Apptainer definition (.def)", Images: []string{"From: of Bootstrap: docker"},
	Elsewhere: []string{"every other Bootstrap:"}, Shape: DigestOnly}}

var definitionHead = regexp.MustCompile(`(?im)^[ \t]*bootstrap[ \t]*:`)

func isDefinition(file string, data []byte) bool {
	b := base(file)
	return (path.Ext(b) == ".def" || b == "Singularity" || strings.HasPrefix(b, "Singularity.")) && definitionHead.Match(data)
}

// readDefinition reads the headers of a definition file: the lines KEY: VALUE above the first section of each stage.
func readDefinition(rd Reader, file string, data []byte) (*Spec, error) {
	if err := checkText(file, data, "a definition file"); err != nil {
		return nil, err
	}
	s := &Spec{File: file, Format: FormatApptainer, source: newSource(data), script: &script{reader: rd, format: &definitionFormat, head: -1}}
	r := &dockerfileReader{textReader: textReader{spec: s, taken: pinNames{}}}
	bootstrap, at0 := "", 0
	var from word
	settle := func() {
		switch {
		case bootstrap == "":
		case bootstrap != "docker":
			r.problem(at0, ProblemElsewhere, "Bootstrap", bootstrap, "takes its base from where runpin cannot pin it; use Bootstrap: docker")
		case len(from.at) == 0:
			r.problem(at0, ProblemShape, "From", "", "names no image")
		case strings.Contains(from.text, "{{"):
			r.problem(from.start, ProblemTemplate, "From", from.text, templated)
		default:
			r.reference("From", from, 0, from.text, from.text, DigestOnly)
		}
		bootstrap, from = "", word{}
	}
	header := true
	for at := 0; at < len(data); {
		end := lineEnd(data, at)
		line := strings.TrimSuffix(string(data[at:end]), "\r")
		key, value, ok := strings.Cut(line, ":")
		name := strings.ToLower(strings.TrimSpace(key))
		switch {
		case name == "bootstrap" && ok:
			settle()
			text, _, _ := strings.Cut(value, "#")
			header, bootstrap, at0 = true, strings.ToLower(strings.TrimSpace(text)), at
		case strings.HasPrefix(strings.TrimSpace(line), "%"):
			header = false
		case header && name == "from" && ok && !strings.HasPrefix(name, "#"):
			text, _, _ := strings.Cut(value, "#")
			text = strings.TrimSpace(text)
			start := at + len(key) + 1 + strings.Index(value, text)
			from = r.plain(start, start+len(text))
		case header && ok && (name == "registry" || name == "namespace" || name == "mirrorurl") && strings.TrimSpace(value) != "":
			r.problem(at, ProblemWritten, strings.TrimSpace(key), strings.TrimSpace(value), "is put before the image by Apptainer; write the whole reference behind From:")
		}
		at = min(end+1, len(data))
	}
	settle()
	return r.finish()
}
