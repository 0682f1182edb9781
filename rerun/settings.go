package rerun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Setting is one --set K=V. K is a param with a place in the command, arg.--flag, or env.NAME, and must match exactly once.
type Setting struct{ Key, Value string }

// wasSet is how a record says that the user set something.
func wasSet(s Setting, was string) schema.Reason {
	return schema.Reason{Code: "set", Subject: schema.Text(s.Key), Text: fmt.Sprintf("set to %q; the original had %q", s.Value, was)}
}

func (p *Prepared) applySettings(settings []Setting) error {
	for _, s := range settings {
		was, err := p.applySetting(s)
		if err != nil {
			return err
		}
		p.Relaxed = append(p.Relaxed, wasSet(s, was))
	}
	return nil
}

// Settled gives the run as it is with the settings, for a form that is printed instead of executed, and says what each of them replaced.
func Settled(run schema.Run, settings []Setting) (schema.Run, []schema.Reason, error) {
	p := Prepared{Of: run, Template: schema.Strings(run.CommandTemplate), Params: copyTexts(run.Params), Vars: copyTexts(run.Variables)}
	if err := p.applySettings(settings); err != nil {
		return run, nil, err
	}
	run.CommandTemplate, run.Params, run.Variables = schema.Texts(p.Template), p.Params, p.Vars
	return run, p.Relaxed, nil
}

func (p *Prepared) applySetting(s Setting) (was string, err error) {
	refuse := func(hint, format string, args ...any) error {
		return &schema.Error{Op: "rerun.set", Kind: schema.Invalid, Subject: "--set " + s.Key, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if name, ok := strings.CutPrefix(s.Key, "env."); ok {
		return p.setVariable(name, s.Value, refuse)
	}
	if flag, ok := strings.CutPrefix(s.Key, "arg."); ok {
		return p.setArgument(flag, s.Value, refuse)
	}
	if strings.HasPrefix(s.Key, "field.") {
		return "", refuse("leave out --execute and --as: the spec is printed with the field set", "it is a field of a job spec, and this is a command")
	}
	old, known := p.Params[s.Key]
	if !known {
		return "", refuse("set a flag of the command with --set arg.--NAME=V, a variable with --set env.NAME=V", "the run has no param of that name")
	}
	places := 0
	for _, arg := range p.Template {
		places += strings.Count(arg, "{"+s.Key+"}")
	}
	if places == 0 {
		return "", refuse("record with {"+s.Key+"} in the command", "the param has no place in the command, so setting it would change nothing")
	}
	p.Params[s.Key] = schema.Text(s.Value)
	return string(old), nil
}

// setArgument replaces the value of a flag that stands in the command exactly once, as --flag=V or --flag V.
func (p *Prepared) setArgument(flag, value string, refuse func(string, string, ...any) error) (string, error) {
	var at []int
	for i, arg := range p.Template {
		if arg == flag || strings.HasPrefix(arg, flag+"=") {
			at = append(at, i)
		}
	}
	if len(at) != 1 {
		return "", refuse("", "the command has %d arguments %s; exactly one is needed", len(at), flag)
	}
	p.Template = slices.Clone(p.Template)
	i := at[0]
	if old, ok := strings.CutPrefix(p.Template[i], flag+"="); ok {
		if was, isParam := p.setPlaceholder(old, value); isParam {
			return was, nil
		}
		p.Template[i] = flag + "=" + value
		return old, nil
	}
	if i+1 >= len(p.Template) {
		return "", refuse("", "%s has no value to replace", flag)
	}
	old := p.Template[i+1]
	if was, isParam := p.setPlaceholder(old, value); isParam {
		return was, nil
	}
	p.Template[i+1] = value
	return old, nil
}

// setPlaceholder sets the param when a flag's value is its place: the record then says so too.
func (p *Prepared) setPlaceholder(place, value string) (was string, isParam bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(place, "{"), "}")
	old, known := p.Params[name]
	if !known || place != "{"+name+"}" {
		return "", false
	}
	p.Params[name] = schema.Text(value)
	return string(old), true
}

// setVariable is --set env.NAME=V. What it replaces is given.
func (p *Prepared) setVariable(name, value string, refuse func(hint, format string, args ...any) error) (was string, err error) {
	if err := CheckVariableName(name); err != nil {
		return "", refuse("write --set env.NAME=V", "%w", err)
	}
	if setsItself(name) {
		return "", refuse("leave it out", "runpin sets it itself")
	}
	was = string(p.Vars[name])
	if p.Vars == nil {
		p.Vars = map[string]schema.Text{}
	}
	p.Vars[name] = schema.Text(value)
	return was, nil
}
