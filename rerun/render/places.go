package render

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// takePlaces says where data sets are read from and where the command finds data sets and outputs.
func (p *Plan) takePlaces(run schema.Run) error {
	var failures []error
	names := map[string]bool{}
	for _, d := range run.Datasets {
		names[d.Name] = true
		data, err := p.data(run, d)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		p.Data = append(p.Data, data)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Options.At)) {
		if !names[name] {
			failures = append(failures, refuse(schema.Invalid, "--at "+name, "", "the run has no data set of that name"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Options.Volumes)) {
		v := p.Options.Volumes[name]
		switch {
		case !names[name] && name == "workspace" && p.traits.Cluster:
			p.Volume = &v
		case !names[name]:
			failures = append(failures, refuse(schema.Invalid, "--volume "+name, "", "the run has no data set of that name"))
		}
	}
	outputs := slices.Clone(run.DeclaredOutputs)
	if run.MetricsFile != nil {
		outputs = append(outputs, schema.Output{Name: "metrics", Path: run.MetricsFile})
	}
	for _, o := range outputs {
		if _, err := schema.ParseName(o.Name); err != nil {
			failures = append(failures, err)
			continue
		}
		if o.Path == nil {
			failures = append(failures, refuse(schema.Conflict, "output "+o.Name, "", "%s would be written over: only local paths can be moved", o.URI))
			continue
		}
		target := p.target(run, *o.Path)
		if p.traits.Image && !within(target, workspace) || !p.traits.Image && target == "" {
			if !p.traits.Image {
				named := slices.ContainsFunc(run.CommandTemplate, func(arg schema.Text) bool { return strings.Contains(string(arg), "{"+o.Name+"}") })
				if !named {
					failures = append(failures, refuse(schema.Conflict, "output "+o.Name, "name the output in the command when recording, as {"+o.Name+"}", "%s would be written over: the command does not take its path as an argument", o.Path.Typed))
				}
				target = path.Base(string(o.Path.Typed))
			}
			p.Outputs = append(p.Outputs, outputPlace{o.Name, target})
		} else if !p.traits.Image {
			p.Written = append(p.Written, target)
		}
		for _, d := range p.Data {
			if d.Target != "" && within(target, d.Target) {
				failures = append(failures, refuse(schema.Conflict, "output "+o.Name, "", "it lies in the data set %s, which must not be written to", d.Pin.Name))
			}
		}
	}
	if p.traits.Cluster && len(outputs) > 0 && p.Volume == nil {
		p.Notes = append(p.Notes, "what it writes is lost with the pod: keep it with --volume workspace=pvc:CLAIM")
	}
	return errors.Join(failures...)
}

func within(at, dir string) bool { return at == dir || strings.HasPrefix(at, dir+"/") }

// workDir is where the command starts, relative to the code.
func workDir(run schema.Run) string {
	if run.WorkDir == nil || run.WorkDir.Base != schema.BaseCheckout {
		return "."
	}
	return path.Clean(string(run.WorkDir.Rel))
}

// target gives where the command expects a recorded path: absolute in a container; for a script relative to the code, "" when it lies elsewhere.
func (p *Plan) target(run schema.Run, pt schema.Path) string {
	rel := ""
	switch {
	case pt.Base == schema.BaseCheckout:
		rel = path.Join(string(pt.Rel))
	case pt.Base == schema.BaseWorkDir:
		rel = path.Join(workDir(run), string(pt.Rel))
	case !path.IsAbs(string(pt.Typed)):
		rel = path.Join(workDir(run), string(pt.Typed))
	}
	if p.traits.Image {
		if rel == "" {
			return path.Clean(string(pt.Typed))
		}
		return path.Join(workspace, rel)
	}
	if rel == "." || rel == ".." || strings.HasPrefix(rel, "../../") || rel == "../code" || within(rel, "../outputs") {
		return ""
	}
	return rel
}
