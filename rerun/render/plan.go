package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// workspace is where the code lies in a container: the same as for a run that runpin starts in one, so that paths which a program writes are the same too.
const workspace = "/workspace"

// Options say where the user wants the run to start. Expand and ReplaceRoot are those of recorder/process, which cmd/runpin passes in.
type Options struct {
	NoStamp      bool
	InitImage    string // REF@sha256:… of the init step
	GitSecret    string
	Volumes      map[string]Volume // by name of a data set, or workspace
	At           map[string]string // where a data set lives now, on the machine that runs the script
	Namespace    string
	PullSecrets  []string
	NodeSelector map[string]string
	Changed      []schema.Reason // settings that differ from the record; they are said in the result

	Expand      func(template []string, values map[string]string) []string
	ReplaceRoot func(text, old, new string) string
}

// Plan is what a format writes down. Texts that come from the record are as they are: each format quotes them.
type Plan struct {
	Run       schema.RunID
	Stamp     string // the run's id, or ""
	Title     []string
	Name      string // of objects: rerun- and the short id
	Image     string // with its digest, and the tag where the record has one; "" for none
	InitImage string
	Argv      []string // may hold rootMark
	Entry     bool     // Argv are the arguments of the image's entrypoint, as when the run was recorded
	Dir       string   // of the command in a container, or relative to the code
	Env       []Variable
	Code      []codePart
	Script    *inlineFile // code without a repository
	Data      []Data
	Outputs   []outputPlace
	Written   []string // outputs within the reach of a script's code, relative to it
	Volume    *Volume  // in place of the directory that is lost with the pod
	Options   Options
	Notes     []string

	traits Traits
	inline int // bytes of changes that ride in the result
}

// Variable is one environment variable; Value may hold rootMark.
type Variable struct{ Name, Value string }

// Data is one data set of a plan: where it is read from, where the command expects it, and what it must be.
type Data struct {
	Pin    schema.DatasetPin
	Source string // on the machine that runs the script; "" for a volume
	Volume Volume
	Target string // in a container absolute; for the shell relative to the code, or "" where it is read in place
}

// outputPlace is an output outside the code: its directory is made.
type outputPlace struct{ Name, Target string }

func refuse(kind schema.Kind, subject, hint, format string, args ...any) error {
	return &schema.Error{Op: "render", Kind: kind, Subject: subject, Err: fmt.Errorf(format, args...), Hint: hint}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// newPlan takes a record apart for f, and joins an error for everything that f cannot keep.
func newPlan(ctx context.Context, f Format, run schema.Run, blobs schema.BlobSource, opts Options) (*Plan, error) {
	id := run.ID.Short()
	p := &Plan{Run: run.ID, Options: opts, traits: f.Traits(), Name: "rerun-" + strings.ToLower(id)}
	if !opts.NoStamp {
		p.Stamp = string(run.ID)
	}
	p.Title = append(p.Title, "Run "+string(run.ID)+" again, pinned to what it used: runpin rerun "+id+" --as "+f.Name())
	for _, c := range opts.Changed {
		p.Title = append(p.Title, comment(fmt.Sprintf("%s %s", c.Subject, c.Text)))
	}
	if len(run.CommandTemplate) == 0 {
		return nil, refuse(schema.Gone, "run "+id, "", "its record has no command")
	}
	var failures []error
	try := func(err error) {
		if err != nil {
			failures = append(failures, err)
		}
	}
	try(p.checkWithheld(run))
	try(p.takeImage(run))
	try(p.takeCode(ctx, run, blobs))
	try(p.takePlaces(run))
	try(p.takeOptions(run))
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	try(p.takeCommand(run))
	try(p.checkText())
	return p, errors.Join(failures...)
}

// checkWithheld refuses a run that used a secret: a rendered file never holds one.
func (p *Plan) checkWithheld(run schema.Run) error {
	var failures []error
	for _, w := range run.Withheld {
		if w.What == "argument" || w.What == "param" {
			failures = append(failures, refuse(schema.Unpinnable, w.What+" "+w.Name, "let the program read it from a file or a variable that the place gives it, and record that; or runpin rerun RUN --execute --secret "+w.Name+"=@FILE",
				"it is a secret that was withheld from the record, and a rendered file must not hold one"))
		}
	}
	for _, c := range run.Code {
		for _, x := range c.Excluded {
			if x.Why == schema.ExcludedSecret {
				failures = append(failures, refuse(schema.Unpinnable, fmt.Sprintf("%q", x.Path), "runpin rerun RUN --execute --secret NAME=@FILE", "the file holds a secret that was withheld from the record"))
			}
		}
	}
	return errors.Join(failures...)
}

func (p *Plan) takeImage(run schema.Run) error {
	p.Entry = run.Launcher == "podman" || run.Launcher == "docker"
	for _, i := range run.Images {
		for _, where := range i.Where {
			if strings.HasPrefix(string(where), "argument ") {
				if p.traits.Image {
					return refuse(schema.Invalid, "run "+run.ID.Short(), "runpin rerun RUN --as shell", "its command starts a container itself")
				}
				p.Entry = false
			}
		}
		if slices.ContainsFunc(i.Reasons, func(r schema.Reason) bool { return r.Code == "unpinned-container" }) {
			return refuse(schema.Unpinnable, "image:"+i.Name, "record it as -- podman run …, or with --in", "the command starts a container that runpin could not pin")
		}
	}
	if !p.traits.Image {
		if p.Entry {
			return refuse(schema.Invalid, "run "+run.ID.Short(), "runpin rerun RUN --as "+run.Launcher, "it ran in an image; on a machine it would run in something else")
		}
		return nil
	}
	if len(run.Images) != 1 {
		return refuse(schema.Invalid, "run "+run.ID.Short(), "record it with --image REF, or render it --as shell", "its record names %d images; the one that it is to run in must be known", len(run.Images))
	}
	i := run.Images[0]
	digest := i.Pullable()
	if i.Local || digest == "" || i.Repository == "" {
		hint := "push it to a registry and record again"
		return refuse(schema.Unpinnable, "image:"+i.Name, hint, "%s has no digest in a registry, so nothing else can pull it", i.Ref)
	}
	tagged := i.Repository
	if i.Tag != "" {
		tagged += ":" + i.Tag
	}
	pinned, err := jobspec.PinnedReference(tagged, digest, true)
	p.Image = pinned
	return err
}

// digestOnly gives the image for tools that take no tag beside a digest.
func (p *Plan) digestOnly() string {
	base, digest, _ := strings.Cut(p.Image, "@")
	if colon := strings.LastIndexByte(base, ':'); colon > strings.LastIndexByte(base, '/') {
		base = base[:colon]
	}
	return base + "@" + digest
}

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
	p.Argv = p.Options.Expand(schema.Strings(run.CommandTemplate), values)
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
		text = strings.ReplaceAll(text, rootMark, "")
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
