package rerun

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// EngineCommand is what a command says to a container engine, before the image and what runs in it. Image is 0 for a command that starts no container.
type EngineCommand struct {
	Image     int
	Variables []EngineWord // of -e and --env: NAME=VALUE, or NAME
	EnvFiles  []EngineWord // of --env-file: a path
}

// EngineWord is a value and the argument that holds it, alone or behind its option.
type EngineWord struct {
	Index int
	Text  string
}

// dropEngineVariables leaves out the variables by which a command of a container engine names the original's run of a tracker. A bare NAME takes the variable from
// the environment, which has none of them. It gives the arguments that set such variables, whatever becomes of them.
func (r *Rerunner) dropEngineVariables(p *Prepared, allowed bool) (seen map[int]bool, err error) {
	seen = map[int]bool{}
	argv := p.expanded()
	cmd, err := r.ReadEngine(argv)
	if err != nil {
		return seen, &schema.Error{Op: "rerun", Kind: schema.Invalid, Subject: "run " + p.Of.ID.Short(), Err: fmt.Errorf("its command cannot be read: %w", err),
			Hint: "leave out the --set that changes what it says to the engine"}
	}
	kept := slices.Clone(p.Template)
	gone := map[int]bool{}
	for _, v := range slices.Backward(cmd.Variables) {
		name, _, hasValue := strings.Cut(v.Text, "=")
		if !hasValue || !jobspec.IsTrackerVariable(name) {
			continue
		}
		seen[v.Index] = true
		reason := schema.Reason{Code: "tracker-run", Subject: schema.Text("env." + name), Text: "left out: it names the original's run of a tracker"}
		switch {
		case v.Index >= len(p.Of.CommandTemplate) || putIn(string(p.Of.CommandTemplate[v.Index]), p.Of.Params) != argv[v.Index]:
			continue // set to another
		case allowed:
			reason.Text = "goes on with the original's run of a tracker"
		default:
			cutOption(kept, argv, gone, v)
		}
		p.Relaxed = append(p.Relaxed, reason)
	}
	if len(gone) > 0 || !slices.Equal(kept, p.Template) {
		p.Started = nil
		for i, arg := range kept {
			if !gone[i] {
				p.Started = append(p.Started, arg)
			}
		}
	}
	return seen, nil
}

// expanded is the command with its params, one argument for each of the template.
func (p *Prepared) expanded() []string {
	argv := make([]string, len(p.Template))
	for i, arg := range p.Template {
		argv[i] = putIn(arg, p.Params)
	}
	return argv
}

// cutOption takes -e NAME=V in any of its forms out of argv, of which kept is the template: the arguments that are gone are marked. Other short options of a
// cluster (-ite NAME=V) stay.
func cutOption(kept, argv []string, gone map[int]bool, v EngineWord) {
	at := v.Index
	option := strings.TrimSuffix(strings.TrimSuffix(argv[at], v.Text), "=")
	if option == "" {
		gone[at] = true
		at--
		option = argv[at]
	}
	if others := strings.TrimSuffix(option, "e"); len(others) > 1 && !strings.HasPrefix(option, "--") {
		kept[at] = others
		return
	}
	gone[at] = true
}

const maxEnvFile = 1 << 20

// checkEnvFiles refuses a file of variables for a container that names a run of a tracker: what it says is not in the record, so it may be the original's. One that
// comes with the code is there once that is restored.
func (r *Rerunner) checkEnvFiles(p *Prepared, allowed bool) error {
	if len(p.Template) == 0 || !p.startsContainerItself() || allowed {
		return nil
	}
	values := maps.Clone(p.Params)
	if values == nil {
		values = map[string]schema.Text{}
	}
	for name, at := range p.Paths {
		values[name] = schema.Text(at)
	}
	values["code_root"] = schema.Text(p.Root)
	argv := p.expanded()
	cmd, err := r.ReadEngine(argv)
	if err != nil {
		return nil
	}
	for _, f := range cmd.EnvFiles {
		at := putIn(f.Text, values)
		if !filepath.IsAbs(at) {
			at = filepath.Join(p.commandDir(), at)
		}
		name, err := trackerVariableIn(at)
		switch {
		case errors.Is(err, os.ErrNotExist): // the engine says so
		case err != nil:
			r.Warn("--env-file %s cannot be read, so whether it names the original's run of a tracker is not known: %v", schema.Shorten(f.Text, 200), err)
		case name != "":
			return &schema.Error{Op: "rerun", Kind: schema.Conflict, Subject: "--env-file " + schema.Shorten(f.Text, 200),
				Err:  fmt.Errorf("it sets %s, which names a run of a tracker, and the rerun would go on with that", name),
				Hint: "take it out of the file where it is no part of the code; --overwrite-outputs lets it be gone on with"}
		}
	}
	return nil
}

// trackerVariableIn gives the first variable of a tracker that a file of NAME=VALUE lines sets.
func trackerVariableIn(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxEnvFile+1))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		name, _, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if name = strings.Trim(name, " \t\"'\ufeff"); hasValue && jobspec.IsTrackerVariable(name) {
			return name, nil
		}
	}
	if len(text) > maxEnvFile {
		return "", fmt.Errorf("it has more than %d MiB", maxEnvFile>>20)
	}
	return "", nil
}
