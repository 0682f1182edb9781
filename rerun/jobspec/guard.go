package jobspec

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/runpin/runpin/schema"
)

// An image file has no digest that its path could carry. A pinned script checks the file before its first command and ends when it is another one.
const (
	guardHead = `printf '%s  %s\n' `
	guardMark = " # runpin: the image file that was recorded"
)

var (
	guardLine = regexp.MustCompile(`(?m)^printf '%s  %s\\n' ([0-9a-f]{64}) '([^'\r\n]+)' \| sha256sum --check --status - \|\| \{ [^\r\n]* \}` + guardMark + `\r?$`)
	plainPath = regexp.MustCompile(`^[A-Za-z0-9._/+=:,@~-]+$`)
)

// hashedFiles are the image files that the recorder takes for such.
var hashedFiles = map[string]bool{".sif": true, ".sqsh": true, ".squashfs": true}

// findGuards notes the guards of a script.
func (r *textReader) findGuards() {
	data := r.spec.source.data
	for _, m := range guardLine.FindAllSubmatchIndex(data, -1) {
		g := guard{start: m[0], end: min(lineEnd(data, m[0])+1, len(data)), hex: string(data[m[2]:m[3]]), at: m[2], path: string(data[m[4]:m[5]])}
		r.spec.script.guards = append(r.spec.script.guards, g)
		r.seen = append(r.seen, span{g.start, g.end})
	}
}

// file notes an image that is a file.
func (r *scriptReader) file(field string, w word) {
	if certain, ok := r.made[path.Clean(w.text)]; ok {
		r.seen = append(r.seen, span{w.start, w.end})
		if !certain {
			r.problem(w.start, ProblemElsewhere, field, w.text, "may be an older file than the one that the script makes; make it each time, with --force or in a script that begins with set -e, or name the image itself")
		}
		return
	}
	for i := range r.spec.References { // a variable that several commands use
		if have := &r.spec.References[i]; len(w.at) > 0 && have.Offset == w.at[0] {
			have.Also = append(have.Also, field)
			return
		}
	}
	if !hashedFiles[strings.ToLower(path.Ext(w.text))] {
		r.problem(w.start, ProblemElsewhere, field, w.text, "is a directory, or a file of a kind that runpin does not hash; it hashes .sif, .sqsh and .squashfs")
		return
	}
	if r.moves && !strings.HasPrefix(w.text, "/") {
		r.problem(w.start, ProblemWritten, field, w.text, "is a relative path in a script that changes its directory; write it from the root")
		return
	}
	if r.spec.script.head < 0 || field[0] == '#' {
		r.problem(w.start, ProblemElsewhere, field, w.text, "is a file that the script itself runs in, so that nothing can check it first; start it with srun --container-image in the script")
		return
	}
	if !plainPath.MatchString(w.text) || strings.HasPrefix(w.text, "~") {
		r.problem(w.start, ProblemWritten, field, w.text, "is a file whose name runpin does not write into a script; use letters, digits and ._/+=:,@-")
		return
	}
	base := w.text[lastSlash(w.text)+1:]
	if strings.Trim(base, ".") == "" {
		r.problem(w.start, ProblemElsewhere, field, w.text, "is a directory, which has no hash; name an image of a registry or a file")
		return
	}
	if dot := strings.IndexByte(base, '.'); dot > 0 {
		base = base[:dot]
	}
	ref := Reference{Name: base, Kind: KindImage, Value: w.text, File: w.text, Field: field, Offset: w.at[0], End: w.at[len(w.at)-1] + 1}
	ref.token, ref.cut = token{start: ref.Offset, end: ref.End}, ref.End
	ref.Line, ref.Column = r.spec.source.position(ref.Offset)
	for _, g := range r.spec.script.guards {
		if g.path == w.text {
			ref.Pinned, ref.fileDigest = true, schema.Digest("sha256:"+g.hex)
		}
	}
	r.spec.References = append(r.spec.References, ref)
	r.seen = append(r.seen, span{w.start, w.end})
}

// guardEdit puts a guard for an image file into the script, or another hash into the one that is there.
func (s *Spec) guardEdit(r Reference, digest string) edit {
	hex := schema.Digest(digest).Hex()
	for _, g := range s.script.guards {
		if g.path == r.File {
			return edit{g.at, g.at + len(g.hex), hex}
		}
	}
	line := guardHead + hex + " '" + r.File + "' | sha256sum --check --status - || { echo 'runpin: " + r.File + " is not the image file that was recorded' >&2; exit 1; }" + guardMark
	src := s.source
	if at := s.script.head; at == len(src.data) && !bytes.HasSuffix(src.data, []byte("\n")) {
		return edit{at, at, src.eol + line}
	}
	return edit{s.script.head, s.script.head, line + src.eol}
}
