package recorder

import (
	"fmt"
	"maps"
	"slices"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// check refuses a request that is malformed, before anything is asked.
func (req Request) check() error {
	bad := func(hint, format string, args ...any) error {
		return &schema.Error{Op: "record", Kind: schema.Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case len(req.Command) == 0 && req.Job == nil:
		return bad("give a command after --, or a job spec with --job FILE", "there is nothing to record")
	case len(req.Command) > 0 && req.Job != nil:
		return bad("record the job with --job, or the command after --", "a job and a command cannot be recorded as one run")
	case req.In != "" && len(req.Command) == 0:
		return bad("add -- COMMAND", "--in %s needs a command to run", req.In)
	case req.In != "" && len(req.Images) != 1 && req.Rerun == nil:
		return bad("add --image REF", "--in %s needs exactly one image, there are %d", req.In, len(req.Images))
	case req.NoCode && len(req.Code) > 0:
		return bad("drop one of the two", "--code and --no-code exclude each other")
	}
	for what, text := range map[string]string{"name": req.Name, "project": req.Project} {
		if redact.Param(what, text) {
			return bad("a record keeps no secrets", "the %s of the run looks like a secret", what)
		}
	}
	for k, v := range req.Labels {
		if redact.Param(k, v) {
			return bad("a record keeps no secrets", "label %q looks like a secret", k)
		}
	}
	for _, name := range req.Require {
		if !slices.Contains(RequireNames, name) {
			return bad(fmt.Sprintf("known requirements: %v", RequireNames), "%q cannot be required", name)
		}
	}
	if err := req.checkCompare(); err != nil {
		return err
	}
	names := map[string]string{}
	claim := func(kind, name string) error {
		if _, err := schema.ParseName(name); err != nil {
			return err
		}
		if other, taken := names[name]; taken {
			return bad("give each its own name: NAME=…", "the name %q stands for both a %s and a %s", name, other, kind)
		}
		names[name] = kind
		return nil
	}
	names[CodeRootName] = "path of the code"
	for k := range req.Params {
		if k == CodeRootName {
			return bad("rename the param", "the name %q is taken by the path of the code", k)
		}
		names[k] = "param"
	}
	for _, i := range req.Images {
		if other, taken := names[i.Name]; taken {
			return bad("give each its own name: NAME=…", "the name %q stands for both a %s and an image", i.Name, other)
		}
	}
	for _, d := range req.Datasets {
		if err := claim("dataset", d.Name); err != nil {
			return err
		}
		if at := localPath(d.URI, req.WorkDir); at != "" && under(req.WorkDir, at) {
			return bad("name the directory that holds the data alone", "dataset %s is the working directory, or holds it: a rerun could not tell the data from the code", d.Name)
		}
	}
	for _, o := range req.Outputs {
		if err := claim("output", o.Name); err != nil {
			return err
		}
	}
	return nil
}

// checkCompare refuses rules for outputs that are not declared, and commands that hold a secret.
func (req Request) checkCompare() error {
	for _, name := range slices.Sorted(maps.Keys(req.Compare)) {
		bad := func(hint, format string, args ...any) error {
			return &schema.Error{Op: "record", Kind: schema.Invalid, Subject: "--compare " + name, Err: fmt.Errorf(format, args...), Hint: hint}
		}
		if !slices.ContainsFunc(req.Outputs, func(o OutputRef) bool { return o.Name == name }) {
			return bad("declare it: --output "+name+"=PATH", "there is no output of that name")
		}
		command := schema.Strings(req.Compare[name].Command)
		if kept, withheld := redact.Argv(command); len(withheld) > 0 || !slices.Equal(kept, command) {
			return bad("let the command read it from a file or a variable", "the command looks as if it held a secret, and it is recorded")
		}
	}
	return nil
}
