package jobspec

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/runpin/runpin/schema"
)

// FormatSlurm is the format of a batch script for sbatch: a shell script with #SBATCH lines.
const FormatSlurm = "slurm"

// FormatShell is the format of a file that holds the command line of a container engine, and of a shell script that is not for sbatch.
const FormatShell = "shell"

var scriptPlaces = []string{"srun, sbatch, salloc --container-image (pyxis)", "apptainer|singularity exec|run|shell|test|instance start|pull FILE|build FILE docker://REF, oras://REF", "enroot import --output FILE docker://REF", "docker|podman|podman-hpc|nerdctl run|create|pull REF, and --mount type=image,source=REF", "SLURM_CONTAINER_IMAGE=REF", "a variable that is set once and is one of these as a whole"}

var slurmFormat = textFormat{name: FormatSlurm, is: isBatch, row: Row{Format: FormatSlurm, Name: "batch script for sbatch", Images: append([]string{"#SBATCH --container-image"}, scriptPlaces...),
	Elsewhere: []string{"--container (an OCI bundle)", "shifter, charliecloud, sarus"}, Shape: TagAndDigest, Stamp: "export " + StampVariable + " behind the last #SBATCH line",
	Notes: []string{"apptainer takes a digest and no tag", "an image file (.sqsh, .sif) is checked by its SHA-256 before the first command, unless the script makes it itself"}}}

var shellFormat = textFormat{name: FormatShell, is: isShell, row: Row{Format: FormatShell, Name: "shell script (.sh, .bash), command line of docker or podman", Images: scriptPlaces,
	Elsewhere: []string{"shifter, charliecloud, sarus"}, Shape: TagAndDigest, Stamp: "export " + StampVariable + " before the first command",
	Notes: []string{"apptainer takes a digest and no tag", "an image file (.sqsh, .sif) is checked by its SHA-256 before the first command, unless the script makes it itself"}}}

// isBatch reports whether the file is for sbatch, judging by its content, and by its name where the content leaves it open.
func isBatch(file string, data []byte) bool {
	switch ext := path.Ext(file); {
	case ext == ".sbatch" || ext == ".slurm":
		return true
	case !bytes.HasPrefix(data, []byte("#!")):
		return false
	}
	return bytes.Contains(data, []byte("\n#SBATCH")) || path.Ext(file) == ".sh" && srunLine.Match(data)
}

// srunLine is what only a job of Slurm can run; its options may all stand on the command line of sbatch.
var srunLine = regexp.MustCompile(`(?m)^[ \t]*srun[ \t]`)

// isShell reports a file that is the command line of a container engine, or a shell script that is not for sbatch.
func isShell(file string, data []byte) bool {
	ext := path.Ext(file)
	return (ext == ".sh" || ext == ".bash") && bytes.HasPrefix(data, []byte("#!")) || isCommandLine(data)
}

func isCommandLine(data []byte) bool {
	for len(data) > 0 { // what a pin puts before the command, and notes
		line := data[:lineEnd(data, 0)]
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' && !bytes.HasPrefix(line, []byte("export "+StampVariable+"=")) && !guardLine.Match(line) {
			break
		}
		if bytes.HasPrefix(line, []byte("#!")) {
			return false
		}
		data = data[min(len(line)+1, len(data)):]
	}
	for _, engine := range []string{"docker ", "podman ", "sudo docker ", "sudo podman ", "podman-hpc ", "nerdctl ", "apptainer ", "singularity ", "srun "} {
		if bytes.HasPrefix(data, []byte(engine)) {
			return true
		}
	}
	return false
}

// scriptReader collects the references of a batch script.
type scriptReader struct {
	textReader
	engine    func([]string) (int, error)
	comments  []span
	constants map[string]word       // variables that are set once, to a text
	piped     map[*syntax.Stmt]bool // statements whose output something may run
	spread    map[*syntax.Stmt]bool // those within such a statement
	made      map[string]bool       // image files that the script makes itself; true when it always does
	always    bool                  // the command at hand runs whenever the script does
	moves     bool                  // the script changes its directory
	stops     int                   // from this place on (and one) the script ends at the first command that fails; 0 when nowhere
	resumes   bool                  // it goes on behind one somewhere
}

// readScript finds the references of a batch script.
func readScript(rd Reader, file string, data []byte) (*Spec, error) {
	refuse := func(line, column int, reason string) (*Spec, error) {
		return nil, problemsError(file, []Problem{{Code: ProblemShape, Line: line, Column: column, Reason: reason}})
	}
	if err := checkText(file, data, "a script"); err != nil {
		return nil, err
	}
	format := &shellFormat
	if isBatch(file, data) {
		format = &slurmFormat
	}
	switch {
	case openers(data) > maxOpeners:
		return refuse(1, 0, "has too many parts for a script")
	case format == &slurmFormat && !bytes.HasPrefix(data, []byte("#!")):
		return refuse(1, 1, "does not begin with #!, so sbatch refuses it")
	}
	if bytes.HasPrefix(data, []byte("#!")) {
		if interpreter := interpreterOf(data); !shells[interpreter] {
			return refuse(1, 1, fmt.Sprintf("is a script for %q; runpin reads scripts for sh, bash, dash, ksh and zsh", schema.Shorten(interpreter, 80)))
		}
	}
	s := &Spec{File: file, Format: format.name, source: newSource(data), script: &script{reader: rd, format: format}}
	tree, err := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true)).Parse(bytes.NewReader(data), file)
	if err != nil {
		return nil, s.shellError(err)
	}
	r := &scriptReader{textReader: textReader{spec: s, taken: pinNames{}}, engine: rd.ContainerImage, constants: map[string]word{}, piped: map[*syntax.Stmt]bool{}, spread: map[*syntax.Stmt]bool{}, made: map[string]bool{}}
	syntax.Walk(tree, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.Comment); ok {
			r.comments = append(r.comments, span{int(c.Pos().Offset()), lineEnd(data, int(c.Pos().Offset()))})
		}
		return true
	})
	r.findGuards()
	r.findConstants(tree)
	r.directives()
	r.commands(tree)
	r.leftOver()
	if format == &shellFormat && !bytes.HasPrefix(data, []byte("#!")) && len(s.References) == 0 && len(s.Problems) == 0 {
		return nil, s.nothing()
	}
	return r.finish()
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
			first = false
			if bytes.HasPrefix(line, []byte("#!")) {
				r.spec.script.head = next
				if fields := strings.Fields(string(line)); strings.HasPrefix(fields[len(fields)-1], "-") && strings.Contains(fields[len(fields)-1], "e") {
					r.stops = 1
				}
			}
		}
		if len(text) > 0 && text[0] != '#' {
			return
		}
		if bytes.HasPrefix(line, []byte("#SBATCH")) {
			words, reason := r.directiveWords(at+len("#SBATCH"), end)
			if reason != "" {
				r.problem(at, ProblemShape, "#SBATCH", "", reason)
			}
			r.container("#SBATCH", words)
			for _, w := range words {
				if strings.HasPrefix(w.text, "--chdir") || strings.HasPrefix(w.text, "-D") {
					r.moves = true
				}
			}
			r.spec.script.head = next
		}
		at = next
	}
}

// leftOver tells of every sign of a container that no rule above has dealt with: in a text, a here-document, an assignment.
func (r *scriptReader) leftOver() {
	data := r.spec.source.data
	done := make([]bool, len(data)+1) // bytes that were understood, told, or are comments
	for _, spans := range [][]span{r.seen, r.comments} {
		for _, s := range spans {
			for i := s.start; i < s.end; i++ {
				done[i] = true
			}
		}
	}
	for _, m := range signs.FindAllIndex(data, -1) {
		if done[m[0]] {
			continue
		}
		r.problem(m[0], ProblemElsewhere, "", string(data[m[0]:m[1]]), "stands where runpin cannot tell what it starts; write the command out, with the image in it")
		for i := m[0]; i < lineEnd(data, m[0]); i++ {
			done[i] = true
		}
	}
}
