package jobspec

import (
	"bytes"
	"regexp"
	"strings"
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
