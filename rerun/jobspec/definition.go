package jobspec

import (
	"path"
	"regexp"
	"strings"
)

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
