package rerun

import (
	"fmt"
	"strings"
	"unicode/utf8"

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
