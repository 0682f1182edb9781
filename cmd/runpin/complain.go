package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// complain writes every failure in err to stderr, each with its hint; with asJSON it is one JSON object.
func (e *Env) complain(err error, asJSON bool) {
	if asJSON {
		e.complainJSON(err)
		return
	}
	failures := schema.Failures(unwrapCoded(err))
	for i, failure := range failures {
		fmt.Fprintf(e.Err, "%s %s\n", e.paint(e.Err, red, "runpin: error:"), oneLine(failure.Error()))
		hint := schema.HintOf(failure)
		if hint != "" && (i+1 == len(failures) || schema.HintOf(failures[i+1]) != hint) {
			fmt.Fprintf(e.Err, "%s %s\n", e.paint(e.Err, cyan, "runpin: hint:"), oneLine(hint))
		}
	}
	if exitCode(err) == exitError && len(failures) > 0 && schema.HintOf(failures[0]) == "" {
		fmt.Fprintln(e.Err, "runpin: hint: if this looks like a bug, please report it with the output of `runpin version`")
	}
}

func unwrapCoded(err error) error {
	var coded *codedError
	if errors.As(err, &coded) {
		return coded.err
	}
	return err
}

type jsonFailure struct {
	Kind    schema.Kind `json:"kind"`
	Subject string      `json:"subject,omitempty"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

type jsonFailures struct {
	jsonFailure
	ExitCode int           `json:"exit_code"`
	All      []jsonFailure `json:"all,omitempty"`
}

type jsonError struct {
	Error jsonFailures `json:"error"`
}

func (e *Env) complainJSON(err error) {
	b, _ := json.Marshal(failureJSON(err))
	fmt.Fprintf(e.Err, "%s\n", b)
}

// failureJSON describes a failure as docs/json.md has it.
func failureJSON(err error) (out jsonError) {
	out.Error.ExitCode = exitCode(err)
	for i, failure := range schema.Failures(unwrapCoded(err)) {
		f := jsonFailure{Kind: schema.KindOf(failure), Message: failure.Error(), Hint: schema.HintOf(failure)}
		var typed *schema.Error
		if errors.As(failure, &typed) {
			f.Subject = typed.Subject
		}
		if i == 0 {
			out.Error.jsonFailure = f
		}
		out.Error.All = append(out.Error.All, f)
	}
	if len(out.Error.All) == 1 {
		out.Error.All = nil
	}
	return out
}

// warn says something on stderr that is no failure.
func (e *Env) warn(format string, args ...any) {
	fmt.Fprintf(e.Err, "%s %s\n", e.paint(e.Err, yellow, "runpin: warning:"), oneLine(fmt.Sprintf(format, args...)))
}

// say tells a person on stderr what is going on.
func (e *Env) say(format string, args ...any) {
	fmt.Fprintf(e.Err, "runpin: %s\n", oneLine(fmt.Sprintf(format, args...)))
}

// oneLine keeps a message on its line and control characters (of a hostile name, say) out of the terminal. The colours that paint sets stay; text that
// brings such a sequence along can be coloured by it and nothing worse.
func oneLine(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		var b strings.Builder
		for at, r := range line {
			switch {
			case r == '\t':
				b.WriteByte(' ')
			case r == 0x1b && ours(line[at:]):
				b.WriteRune(r)
			case r < 0x20 || (r >= 0x7f && r < 0xa0):
				b.WriteByte('?')
			default:
				b.WriteRune(r)
			}
		}
		lines[i] = b.String()
	}
	return strings.Join(lines, "\n  ")
}

// ours reports whether s begins with a sequence that paint writes.
func ours(s string) bool {
	for _, code := range []string{"0", red, green, yellow, cyan, bold, dim} {
		if strings.HasPrefix(s, "\x1b["+code+"m") {
			return true
		}
	}
	return false
}
