package render

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// takeCommand puts values in the places of the template, and picks the variables.
func (p *Plan) takeCommand(run schema.Run) error {
	root := rootMark
	if p.traits.Image {
		root = workspace
	}
	values := map[string]string{"code_root": root}
	for k, v := range run.Params {
		values[k] = string(v)
	}
	see := func(name string, pt schema.Path, moved string) {
		values[name] = string(pt.Typed)
		if !path.IsAbs(string(pt.Typed)) {
			return
		}
		switch target := p.target(run, pt); {
		case moved != "":
			values[name] = moved
		case target == "":
		case p.traits.Image:
			values[name] = target
		default:
			values[name] = root + "/" + target
		}
	}
	for _, d := range p.Data {
		moved := ""
		if !p.traits.Image && d.Target == "" {
			moved = d.Source
		}
		see(d.Pin.Name, *d.Pin.Path, moved)
		if moved != "" {
			values[d.Pin.Name] = moved
		}
	}
	outputs := slices.Clone(run.DeclaredOutputs)
	if _, taken := values["metrics"]; run.MetricsFile != nil && !taken {
		outputs = append(outputs, schema.Output{Name: "metrics", Path: run.MetricsFile})
	}
	for _, o := range outputs {
		moved := ""
		if !p.traits.Image {
			for _, at := range p.Outputs {
				if at.Name == o.Name {
					moved = root + "/../outputs/" + o.Name + "/" + at.Target
				}
			}
		}
		see(o.Name, *o.Path, moved)
		if moved != "" {
			values[o.Name] = moved
		}
	}
	for _, i := range run.Images {
		if pinned := i.PinnedReference(false); pinned != "" {
			values[i.Name] = pinned
		}
	}
	template := schema.Strings(run.CommandTemplate)
	for _, secret := range p.Secrets {
		if secret.param {
			values[secret.Name] = secretMark(secret.Variable)
			continue
		}
		for i := range template {
			if template[i] == "<withheld:"+secret.Name+">" {
				template[i] = secretMark(secret.Variable)
			}
		}
	}
	p.Argv = p.Options.Expand(template, values)
	p.Dir = workDir(run)
	if p.Dir == ".." || strings.HasPrefix(p.Dir, "../") || path.IsAbs(p.Dir) {
		return refuse(schema.Invalid, "the working directory", "the record is damaged or hostile", "%q leaves the code", p.Dir)
	}
	if p.traits.Image {
		p.Dir = path.Join(workspace, p.Dir)
	}
	old := originalRoot(run)
	for _, name := range slices.Sorted(maps.Keys(run.Variables)) {
		if !variableName.MatchString(name) {
			return refuse(schema.Invalid, fmt.Sprintf("variable %q", schema.Shorten(name, 60)), "", "no shell can set a variable of that name")
		}
		value := string(run.Variables[name])
		if old != "" {
			// A marker that is an absolute path: that is what ReplaceRoot takes.
			value = strings.ReplaceAll(p.Options.ReplaceRoot(value, old, "/\x00root"), "/\x00root", root)
		}
		p.Env = append(p.Env, Variable{name, value})
	}
	if p.Stamp != "" {
		p.Env = append(p.Env, Variable{jobspec.StampVariable, p.Stamp})
	}
	return nil
}

func originalRoot(run schema.Run) string {
	if len(run.Code) > 0 && run.Code[0].Root != nil {
		return string(run.Code[0].Root.Located)
	}
	if run.WorkDir != nil {
		return string(run.WorkDir.Located)
	}
	return ""
}

// checkText refuses NUL bytes, which no command line can hold, and for forms that are text what is not UTF-8.
func (p *Plan) checkText() error {
	bad := func(what, text string) error {
		text = marks.ReplaceAllString(text, "")
		if strings.IndexByte(text, 0) >= 0 {
			return refuse(schema.Invalid, what, "the record is damaged or hostile", "it holds a NUL byte")
		}
		if p.traits.UTF8 && !utf8.ValidString(text) {
			return refuse(schema.Unpinnable, what, "render it --as shell or --as podman", "it is not UTF-8, and this format holds text only")
		}
		return nil
	}
	var failures []error
	for i, arg := range p.Argv {
		failures = append(failures, bad(fmt.Sprintf("argument %d", i), arg))
	}
	for _, v := range p.Env {
		failures = append(failures, bad("variable "+v.Name, v.Value))
	}
	for _, d := range p.Data {
		failures = append(failures, bad("dataset:"+d.Pin.Name, d.Source+d.Target))
	}
	for _, o := range p.Outputs {
		failures = append(failures, bad("output "+o.Name, o.Target))
	}
	failures = append(failures, bad("the working directory", p.Dir), bad("the code", p.codeScript(".")))
	return errors.Join(failures...)
}

// restores says whether anything has to be done before the command.
func (p *Plan) restores() bool { return len(p.Code) > 0 || p.Script != nil || len(p.Data) > 0 }
