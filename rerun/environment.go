package rerun

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// maxVariableName bounds the name of a variable.
const maxVariableName = 256

// CheckVariableName refuses what cannot be the name of a variable that a command is given: every way to give one goes by it. The error does not quote the name: in
// a file of variables it may be part of a value.
func CheckVariableName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("it has no name")
	case !utf8.ValidString(name):
		return fmt.Errorf("it is not text")
	case len(name) > maxVariableName, strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '*' || r == '=' || r == 0x7f }):
		return fmt.Errorf("what stands before the = is no name of a variable")
	}
	return nil
}

// setsItself tells the variables that runpin gives to what it starts; nobody else may.
func setsItself(name string) bool { return strings.HasPrefix(name, "RUNPIN_") }

// environment gives the command the recorded values of the variables that determine a result, and none that was not set then.
func (r *Rerunner) environment(environ []string, vars map[string]schema.Text, given []string) []string {
	now := r.Determining(environ, nil)
	replaced := map[string]bool{}
	for _, kv := range given {
		name, _, _ := strings.Cut(kv, "=")
		replaced[name] = true
	}
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		_, recorded := vars[name]
		_, determining := now[name]
		if recorded || determining || replaced[name] || jobspec.IsTrackerVariable(name) || strings.HasPrefix(name, "RUNPIN_PIN_") || strings.HasPrefix(name, "RUNPIN_PATH_") {
			continue
		}
		out = append(out, kv)
	}
	for name, value := range vars {
		out = append(out, name+"="+string(value))
	}
	out = append(out, given...)
	slices.Sort(out)
	return out
}

// takeEnvFile takes further variables for the command. Their names are recorded, their values never: so none may be one that determines the result.
func (r *Rerunner) takeEnvFile(p *Prepared, given map[string]string) error {
	names := slices.Sorted(maps.Keys(given))
	for _, name := range names {
		p.Env = append(p.Env, name+"="+given[name])
	}
	if len(names) == 0 {
		return nil
	}
	determining := r.Determining(p.Env, nil)
	for _, name := range names {
		refuse := func(hint, format string, args ...any) error {
			return &schema.Error{Op: "rerun.env-file", Kind: schema.Invalid, Subject: "--env-file " + name, Err: fmt.Errorf(format, args...), Hint: hint}
		}
		_, recorded := p.Vars[name]
		_, determines := determining[name]
		switch {
		case recorded, determines:
			return refuse("set it: --set env."+name+"=V", "the variable can determine the result, so its value has to be in the record")
		case jobspec.IsTrackerVariable(name):
			return refuse("leave it out", "it names a run of a tracker, and a rerun begins one of its own")
		case setsItself(name):
			return refuse("leave it out", "runpin sets it itself")
		}
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: envFileCode, Subject: schema.Text("env." + name), Text: "given by a file; its value is not recorded"})
	}
	return nil
}
