package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun/launch/kubernetes"
	"github.com/runpin/runpin/schema"
)

const runArgument = "<run>: an id, its head or its tail, a unique name, latest, latest~N, or - to read runs from stdin"

func showCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show what a run used, and what came of it", ArgsUsage: "<run>...",
		Description: examples("runpin show latest", "runpin show 5Q0M8C1A --json", "runpin list -q --project demo | runpin show - --json"),
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			w, err := openWiring(c.Context, env, c, forReading)
			if err != nil {
				return err
			}
			defer w.close()
			runs, err := w.runs(c, 1, -1)
			if err != nil {
				return err
			}
			for i, run := range runs {
				if c.Bool("json") {
					if err := env.printJSON(run); err != nil {
						return err
					}
					continue
				}
				if i > 0 {
					fmt.Fprintln(env.Out)
				}
				env.showRun(run)
				env.showLeft(c.Context, run)
			}
			return nil
		},
	}
}

// field prints one line of a run: a name, padded, and its value.
func (e *Env) field(name, format string, args ...any) {
	fmt.Fprintf(e.Out, "%s %s\n", e.paint(e.Out, dim, fmt.Sprintf("%-12s", name)), oneLine(fmt.Sprintf(format, args...)))
}

func (e *Env) showRun(run schema.Run) {
	title := string(run.ID)
	if run.Name != "" {
		title += "  " + run.Name
	}
	e.field("run", "%s", e.paint(e.Out, bold, title))
	e.field("status", "%s", e.statusText(run))
	if run.Project != "" {
		e.field("project", "%s", run.Project)
	}
	e.field("created", "%s by %s", e.when(run.Created), orNone(run.User))
	if run.RerunOf != "" {
		e.field("rerun of", "%s", run.RerunOf)
	}
	if run.Parent != "" {
		e.field("parent", "%s", run.Parent)
	}
	for _, i := range run.Images {
		e.showImage(i)
	}
	for _, c := range run.Code {
		e.showCode(c)
	}
	for _, d := range run.Datasets {
		e.showDataset(d)
	}
	if run.Job != nil {
		e.field("job", "%s (%s)", run.Job.Path.Typed, run.Job.Format)
	}
	e.showLaunched(run)
	if run.GPUs != "" {
		e.field("gpus", "%s", run.GPUs)
	}
	if len(run.Command) > 0 {
		e.field("command", "%s", shellWords(schema.Strings(run.Command)))
	}
	for _, k := range sortedKeys(run.Params) {
		e.field("param", "%s=%s", k, run.Params[k])
	}
	for _, k := range sortedKeys(run.Variables) {
		e.field("variable", "%s=%s", k, run.Variables[k])
	}
	e.showMachines(run.Environments)
	e.showAttempts(run.Attempts)
	for _, o := range run.Outputs {
		e.showOutput(o)
	}
	for _, k := range sortedKeys(run.Metrics) {
		e.field("metric", "%s=%s", k, run.Metrics[k])
	}
	for _, k := range sortedKeys(run.Tolerances) {
		e.field("tolerance", "%s ±%s", k, run.Tolerances[k])
	}
	e.showAftermath(run)
}

func (e *Env) showAftermath(run schema.Run) {
	for _, d := range run.Drift {
		e.field("drift", "%s %s", e.paint(e.Out, red, d.Pin), d.Text)
	}
	for _, r := range run.Relaxed {
		e.field("relaxed", "%s: %s", r.Subject, r.Text)
	}
	for _, w := range run.Withheld {
		e.field("withheld", "%s %s: %s", w.What, w.Name, w.Why)
	}
	for _, r := range run.Reasons {
		e.field("note", "%s: %s", r.Code, r.Text)
	}
	if run.Fingerprint != "" {
		e.field("fingerprint", "%s", run.Fingerprint)
	}
	if run.Verdict != nil {
		e.showVerdictOf(run)
	}
	for _, k := range sortedKeys(run.Labels) {
		e.field("label", "%s=%s", k, run.Labels[k])
	}
	for _, n := range run.Notes {
		e.field("note", "%s (%s, %s)", n.Text, orNone(n.By), e.when(n.At))
	}
}

func (e *Env) statusText(run schema.Run) string {
	colors := map[schema.Status]string{schema.Succeeded: green, schema.Failed: red, schema.Lost: red, schema.Running: yellow, schema.Planned: yellow}
	text := e.paint(e.Out, colors[run.Status], string(run.Status))
	if run.ExitCode != nil && *run.ExitCode != 0 {
		text += fmt.Sprintf(", exit code %d", *run.ExitCode)
	}
	if run.Signal != "" {
		text += " (" + run.Signal + ")"
	}
	if !run.Started.IsZero() && !run.Finished.IsZero() {
		text += fmt.Sprintf(", took %s", run.Finished.Time().Sub(run.Started.Time()))
	}
	return text
}

// showLaunched names what runpin handed to a scheduler, and what may run that nobody follows.
func (e *Env) showLaunched(run schema.Run) {
	l := run.Launched
	switch {
	case l != nil && run.Status.Ended():
		e.field("launched", "%s", launchedText(*l))
	case l != nil:
		e.field("launched", "%s, not known to have ended: runpin verify %s looks at it", launchedText(*l), run.ID.Short())
	case run.Job != nil && run.RerunOf != "" && !run.Status.Ended():
		e.field("launched", "%s", e.paint(e.Out, yellow, "it is not known whether it was: runpin verify "+run.ID.Short()+" looks for what carries "+string(run.ID)))
	}
}

// launchedText calls a job what its scheduler's own tools call it.
func launchedText(l schema.Launched) string {
	text, place := l.Job, l.Place
	if object, namespace := kubernetes.Object(l); object != "" {
		text, place = object, namespace
	}
	if place != "" {
		text += " in " + place
	}
	return l.On + " " + text
}

func (e *Env) reasons(reasons []schema.Reason) {
	for _, r := range reasons {
		e.field("", "  %s", e.paint(e.Out, yellow, r.Code+": "+r.Text))
	}
}

func (e *Env) showImage(i schema.ImagePin) {
	value := e.digest(i.Pullable())
	if value == "" {
		value = orNone(string(i.ConfigDigest))
	}
	platform := ""
	if i.Platform != "" {
		platform = " " + i.Platform
	}
	e.field("image", "%s = %s%s, %s", i.Ref, value, platform, i.Use)
	e.reasons(i.Reasons)
}

func (e *Env) showCode(c schema.CodePin) {
	switch {
	case c.Kind == schema.CodeScript && c.Script != nil:
		e.field("code", "%s = %s, %s", c.Script.Path.Typed, e.digest(c.Script.Blob.Digest), c.Use)
	case c.Tree == "" && c.Commit == "":
		e.field("code", "%s, not pinned", c.Ref)
	default:
		state := "clean"
		if c.Tree == "" {
			state = "with changes unknown" // nobody looked at the checkout: a label or a tracker names the commit alone
		} else if c.Dirty && c.Summary != nil {
			state = fmt.Sprintf("with changes (%d modified, %d added, %d deleted)", c.Summary.Modified, c.Summary.Added, c.Summary.Deleted)
		} else if c.Dirty {
			state = "with changes"
		}
		ref := strings.TrimPrefix(string(c.RefName), "refs/heads/")
		if ref == "" {
			ref = "detached"
		}
		commit := string(c.Commit)
		if e.OutTTY {
			commit = c.Commit.Short()
		}
		e.field("code", "%s = %s %s, %s%s", ref, orNone(commit), state, remoteText(c), c.Use)
	}
	e.reasons(c.Reasons)
}

func remoteText(c schema.CodePin) string {
	if c.OnRemote == nil {
		return ""
	}
	switch c.OnRemote.State {
	case "yes":
		return "pushed, "
	case "no":
		return "on no remote, "
	}
	return ""
}

func (e *Env) showDataset(d schema.DatasetPin) {
	value := e.digest(d.ContentDigest)
	if value == "" {
		value = orNone(d.VersionID)
	}
	e.field("dataset", "%s: %s = %s, %s, %s, %s", d.Name, d.URI, value, plural(d.Files, "file"), size(d.Bytes), d.Use)
	e.reasons(d.Reasons)
}

func (e *Env) showOutput(o schema.Output) {
	value := e.digest(o.Identity())
	switch {
	case o.Missing:
		value = e.paint(e.Out, red, "missing")
	case o.Stale:
		value += e.paint(e.Out, yellow, " stale: the run did not write it")
	case value == "":
		value = "no digest"
	}
	name := o.Name
	if o.Rank != nil {
		name += fmt.Sprintf(" of rank %d", *o.Rank)
	}
	e.field("output", "%s: %s = %s, %s%s", name, o.URI, value, size(o.Bytes), comparedBy(o.CompareRule()))
	for _, r := range o.Reasons {
		if !o.Missing && r.Code != "existed-before" {
			e.reasons([]schema.Reason{r})
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// shellWords quotes words so that a POSIX shell reads them as they are.
func shellWords(words []string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%{}"
	out := make([]string, len(words))
	for i, w := range words {
		if w != "" && strings.Trim(w, safe) == "" {
			out[i] = w
		} else {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}
