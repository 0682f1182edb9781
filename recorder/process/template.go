package process

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Place is where a data set or an output is: as it was typed, and the absolute path that this means.
type Place struct{ Typed, Absolute string }

// Names are the names that a template may use: the places of data sets and outputs, and the names of params, which are only known, never put in:
// the number 10 in an argument need not be the param that happens to be 10. WorkDir is what a relative argument is relative to.
type Names struct {
	WorkDir string
	Paths   map[string]Place
	Params  []string
}

// Template gives argv with the paths of data sets and outputs replaced by {name}, so that the command can be run where they lie elsewhere and
// so that two commands which differ only in where their data lies are the same.
//
// A path is looked for as a whole argument, after = (--data=./x, data.dir=./x, -v source=./x), between commas, and before a colon that an
// absolute path follows (-v ./data:/data). It is one when, cleaned, it is the place or lies beneath it; the longest place wins.
// A word without any separator counts only where it is spelled as the user spelled the place: with --dataset train=./train, the word in
// `main.py train` is a sub-command. A place that holds the working directory itself (--dataset all=.) matches only as a whole, or else
// every relative path would lie beneath it. Placeholders that the user wrote stay, and so does every other brace.
func Template(argv []string, names Names) []string {
	places := sortedPlaces(names)
	out := make([]string, len(argv))
	for i, arg := range argv {
		out[i] = templateArg(arg, i == 0, names.WorkDir, places)
	}
	return out
}

type place struct {
	name, typed, absolute string
	whole                 bool // matches only as a whole
}

func sortedPlaces(names Names) []place {
	var all []place
	for name, p := range names.Paths {
		if p.Absolute == "" || p.Typed == "" {
			continue
		}
		at := filepath.Clean(p.Absolute)
		typed := filepath.FromSlash(p.Typed)
		if trimmed := strings.TrimRight(typed, string(filepath.Separator)); trimmed != "" {
			typed = trimmed
		}
		_, holds := below(filepath.Clean(names.WorkDir), at)
		all = append(all, place{name: name, typed: typed, absolute: at, whole: holds || at == string(filepath.Separator)})
	}
	slices.SortFunc(all, func(a, b place) int {
		if len(a.absolute) != len(b.absolute) {
			return len(b.absolute) - len(a.absolute)
		}
		return strings.Compare(a.name, b.name) // two names for one place: the first by name, always
	})
	return all
}

// maxTemplateArg: a longer argument is no path.
const maxTemplateArg = 8 << 10

func templateArg(arg string, program bool, workDir string, places []place) string {
	if len(places) == 0 || arg == "" || len(arg) > maxTemplateArg {
		return arg
	}
	var b strings.Builder
	for start := 0; start < len(arg); {
		end, text := matchAt(arg, start, program, workDir, places)
		if end > start {
			b.WriteString(text)
		} else {
			end = start
		}
		next := strings.IndexAny(arg[end:], "=,")
		if next < 0 {
			b.WriteString(arg[end:])
			break
		}
		b.WriteString(arg[end : end+next+1])
		start = end + next + 1
		program = false
	}
	return b.String()
}

// matchAt finds a place at start and gives the end of what it covers and what stands for it. It first takes all that is left for the path: a file
// name may hold a comma.
func matchAt(arg string, start int, program bool, workDir string, places []place) (int, string) {
	for _, end := range ends(arg, start) {
		text, ok := matchPath(arg[start:end], program && start == 0, workDir, places)
		if !ok {
			continue
		}
		// "./data/a,./data/b" is a list and not one file with a comma in its name.
		if i := strings.IndexByte(arg[start:end], ','); i > 0 {
			second, _, _ := strings.Cut(arg[start+i+1:], ",")
			if _, isPath := matchPath(second, false, workDir, places); isPath {
				if first, ok := matchPath(arg[start:start+i], program && start == 0, workDir, places); ok {
					return start + i, first
				}
			}
		}
		return end, text
	}
	return start, ""
}

// Unreplaced says where a template still holds the absolute path of a data set or output: in a shell command, in a URL. A command that is run
// again would go to that very place, whatever was restored elsewhere.
func Unreplaced(template []string, names Names) []schema.Reason {
	var reasons []schema.Reason
	for i, arg := range template {
		if len(reasons) >= 16 {
			break
		}
		for _, p := range sortedPlaces(names) {
			if p.whole || len(p.absolute) < 3 || !mentions(arg, p.absolute) {
				continue
			}
			reasons = append(reasons, schema.Reason{Code: "literal-path", Subject: schema.Text("{" + p.name + "}"),
				Text: fmt.Sprintf("argument %d holds the path of %s in a form that is not replaced; write {%s} there", i, p.name, p.name)})
			break
		}
	}
	return reasons
}

// mentions reports whether text holds path, not as the beginning of a longer name.
func mentions(text, path string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], path)
		if i < 0 {
			return false
		}
		at += i + len(path)
		if at == len(text) || !placeholderChar(text[at]) {
			return true
		}
	}
}

// ends lists where a path that begins at from could end, the longest first.
func ends(arg string, from int) []int {
	out := []int{len(arg)}
	if i := strings.IndexByte(arg[from:], ','); i > 0 {
		out = append(out, from+i)
	}
	if i := strings.Index(arg[from:], ":/"); i > 1 { // a mount; "C:/" is no mount
		out = append(out, from+i)
	}
	slices.Sort(out)
	slices.Reverse(out)
	return slices.Compact(out)
}

func matchPath(text string, program bool, workDir string, places []place) (string, bool) {
	if text == "" || strings.ContainsAny(text, "{\x00") && !strings.Contains(text, string(filepath.Separator)) || strings.Contains(text, "://") {
		return "", false
	}
	native := filepath.FromSlash(text)
	bare := !strings.ContainsRune(native, filepath.Separator) && native != "." && native != ".."
	at := native
	if !filepath.IsAbs(at) {
		at = filepath.Join(workDir, at)
	}
	at = filepath.Clean(at)
	for _, p := range places {
		if bare {
			if !program && native == p.typed {
				return "{" + p.name + "}", true
			}
			continue
		}
		rel, ok := below(at, p.absolute)
		switch {
		case !ok || p.whole && rel != ".":
		case rel == ".":
			return "{" + p.name + "}" + trailingSlash(native), true // programs that glob or join care
		default:
			return "{" + p.name + "}/" + rel + trailingSlash(native), true
		}
	}
	return "", false
}

func trailingSlash(native string) string {
	sep := string(filepath.Separator)
	if strings.HasSuffix(native, sep) && strings.Trim(native, sep) != "" {
		return "/"
	}
	return ""
}
