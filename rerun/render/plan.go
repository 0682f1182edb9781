package render

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

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
	Secrets      map[string]string // OBJECT/KEY of a Kubernetes secret by name of what was withheld
	Changed      []schema.Reason   // settings that differ from the record; they are said in the result

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
	Argv      []string // may hold marks
	Entry     bool     // Argv are the arguments of the image's entrypoint, as when the run was recorded
	Dir       string   // of the command in a container, or relative to the code
	Env       []Variable
	Code      []codePart
	Script    *inlineFile // code without a repository
	Data      []Data
	Outputs   []outputPlace
	Written   []string // outputs within the reach of a script's code, relative to it
	Secrets   []Secret
	Volume    *Volume // in place of the directory that is lost with the pod
	Options   Options
	Notes     []string

	traits Traits
	inline int // bytes of changes that ride in the result
}

// Variable is one environment variable; Value may hold marks.
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
	if _, err := schema.ParseRunID(string(run.ID)); err != nil {
		return nil, err
	}
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
	try(p.takeSecrets(run))
	try(p.takeImage(run))
	try(p.takeCode(ctx, run, blobs))
	try(p.takePlaces(run))
	try(p.takeOptions(run))
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	if run.GPUs != "" && run.GPUs != "none" && p.traits.Image {
		p.Notes = append(p.Notes, "the original's container was given GPUs ("+schema.Shorten(run.GPUs, 100)+"); ask for them in what is written here")
	}
	try(p.takeCommand(run))
	try(p.checkText())
	return p, errors.Join(failures...)
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
