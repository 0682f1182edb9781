package rerun

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Step is one thing that a rerun would do: what it is about ("code:code", "dataset:train", "launch"), and how.
type Step struct {
	About string `json:"about"`
	Text  string `json:"text"`
}

// Foreseen is what a rerun would do, in order.
type Foreseen struct {
	On        string // the launcher or scheduler
	Dir       string
	Preflight []schema.Availability
	Steps     []Step
}

func (f *Foreseen) step(about, format string, args ...any) {
	f.Steps = append(f.Steps, Step{about, fmt.Sprintf(format, args...)})
}

// Describer says in a line each how the prepared work would be started. What the record withholds is not in it. An optional power of [Recording].
type Describer interface {
	Describe(ctx context.Context, prepared Prepared) ([]string, error)
}

// Foresee does what [Rerunner.Execute] does before it writes anything, and says what would follow. It refuses what a rerun would refuse, with the same errors.
func (r *Rerunner) Foresee(ctx context.Context, req Request) (Foreseen, error) {
	f := Foreseen{Dir: req.Dir}
	p, found, err := r.establish(ctx, &req)
	f.On, f.Preflight = p.Launcher, found
	if err != nil {
		return f, err
	}
	if p.Job == nil {
		if err := r.foreseeRestore(req, &p, &f); err != nil {
			return f, err
		}
		p.moveEnvironment(r.ReplaceRoot)
		if d, ok := r.Record.(Describer); ok {
			lines, err := d.Describe(ctx, p)
			if err != nil {
				return f, err
			}
			for _, line := range lines {
				f.step("launch", "%s", line)
			}
		}
	} else if err := r.foreseeJob(ctx, req, &p, &f); err != nil {
		return f, err
	}
	f.foreseeEnd(req, &p)
	return f, nil
}

func (r *Rerunner) foreseeJob(ctx context.Context, req Request, p *Prepared, f *Foreseen) error {
	scheduler, err := r.Scheduler(p.Launcher, p.Images)
	if err != nil {
		return err
	}
	if err := r.specOf(ctx, req, p); err != nil {
		return err
	}
	trial, err := p.Spec(req.Run.ID)
	if err != nil {
		return err
	}
	at := req.Dir
	if p.Launcher == "slurm" && p.hasCheckout() {
		if err := r.foreseeRestore(req, p, f); err != nil {
			return err
		}
		at = p.commandDir()
	}
	asked := launch.Spec{Name: string(req.Run.Job.Path.Typed), Data: trial, Run: req.Run.ID, Dir: at}
	lines, err := scheduler.Plan(asked)
	if err != nil {
		return err
	}
	if err := scheduler.Probe(ctx, asked); err != nil {
		return err
	}
	for _, i := range p.Images {
		if ref := i.PinnedReference(true); ref != "" {
			f.step("image:"+i.Name, "%s is %s in the spec", i.Ref, ref)
		}
	}
	for _, line := range lines {
		f.step("launch", "%s", line)
	}
	return nil
}

// foreseeRestore says what would be put where.
func (r *Rerunner) foreseeRestore(req Request, p *Prepared, f *Foreseen) error {
	found, err := r.look(req.Dir, p)
	if err != nil {
		return err
	}
	places, err := p.layOut(req, req.Dir, r.Host, r.Now())
	if err != nil {
		return err
	}
	if err := r.checkEnvFiles(p, req.Overwrite); err != nil {
		return err
	}
	if err := p.enoughSpace(places, &workspace{dir: req.Dir}); err != nil {
		return err
	}
	if found == nil {
		f.step("directory", "%s is made", req.Dir)
	} else {
		f.step("directory", "%s was left by an interrupted rerun and is taken over; what is whole in it is kept", req.Dir)
	}
	for i, c := range p.Code {
		at := p.Root
		if i > 0 {
			at = filepath.Join(filepath.Dir(p.Root), "code-"+c.Name)
		}
		f.step("code:"+c.Name, "%s is restored into %s%s, and its tree is proved equal", codeText(c), at, howOf(f.Preflight, "code:"+c.Name))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
		f.step("secret:"+name, "what was withheld is put in its place")
	}
	for _, place := range places {
		d, source := place.pin, p.Sources[place.pin.Name]
		how := "linked from %s to %s"
		switch {
		case place.dest == "" && p.InContainer():
			how = "mounted read-only from %s%s"
		case place.dest == "":
			how = "read where it is, %s%s"
		case place.copy:
			how = "copied from %s to %s"
		}
		f.step("dataset:"+d.Name, "%d files, %d bytes, %s; proved to be %s", d.Files, d.Bytes, fmt.Sprintf(how, source, place.dest), orVersion(*d))
	}
	for _, i := range p.Images {
		if ref := i.PinnedReference(true); ref != "" && (p.InContainer() || p.startsContainerItself()) {
			f.step("image:"+i.Name, "%s is taken as %s, and fetched where %s does not have it", i.Ref, ref, p.Launcher)
		}
	}
	for _, o := range p.Outputs {
		if o.Path != nil {
			f.step("output:"+o.Name, "is written to %s", o.Path.Located)
		}
	}
	if p.Metrics != nil {
		f.step("metrics", "are read from %s", p.Metrics.Located)
	}
	if !p.InContainer() {
		r.foreseeEnvironment(req, p, f)
	}
	return nil
}

func codeText(c schema.CodePin) string {
	if c.Kind == schema.CodeScript && c.Script != nil {
		return "script " + string(c.Script.Path.Typed)
	}
	text := "commit " + c.Commit.Short()
	if c.Commit == "" {
		text = "tree " + string(c.Tree)
	}
	if c.Dirty && c.Summary != nil {
		text += fmt.Sprintf(" with %d modified, %d added and %d deleted files", c.Summary.Modified, c.Summary.Added, c.Summary.Deleted)
	} else if c.Dirty {
		text += " with the changes of the checkout"
	}
	return text
}

func howOf(found []schema.Availability, pin string) string {
	for _, a := range found {
		if a.Pin == pin && a.How != "" {
			return " (" + a.How + ")"
		}
	}
	return ""
}

func orVersion(d schema.DatasetPin) string {
	if d.ContentDigest != "" {
		return string(d.ContentDigest)
	}
	return d.VersionID
}

// foreseeEnvironment says how the command's environment differs from this one: recorded values, and names alone of what is left out.
func (r *Rerunner) foreseeEnvironment(req Request, p *Prepared, f *Foreseen) {
	here, there := map[string]string{}, map[string]string{}
	for _, kv := range req.Environ {
		name, value, _ := strings.Cut(kv, "=")
		here[name] = value
	}
	for _, kv := range r.environment(req.Environ, p.Vars, p.Env) {
		name, value, _ := strings.Cut(kv, "=")
		there[name] = value
	}
	for _, relaxed := range p.Relaxed {
		if relaxed.Code == withoutCode {
			delete(there, strings.TrimPrefix(string(relaxed.Subject), "env."))
		}
	}
	old := p.originalRoot()
	for _, name := range slices.Sorted(maps.Keys(there)) {
		was, set := here[name]
		value, recorded := p.Vars[name]
		switch {
		case slices.ContainsFunc(p.Env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") }):
			f.step("variable", "%s is taken from the file", name)
		case recorded && !set:
			f.step("variable", "%s=%s, as recorded; it is not set here", name, value)
		case recorded && was != string(value):
			f.step("variable", "%s=%s, as recorded; here it is another", name, value)
		case !recorded && old != "" && r.ReplaceRoot(was, old, p.Root) != was:
			f.step("variable", "%s leads to the restored code instead of %s", name, old)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(here)) {
		if _, stays := there[name]; !stays {
			f.step("variable", "%s is left out", name)
		}
	}
}

// foreseeEnd says what happens when the command has ended.
func (f *Foreseen) foreseeEnd(req Request, p *Prepared) {
	for _, relaxed := range p.Relaxed {
		f.step("relaxed", "%s: %s", relaxed.Subject, relaxed.Text)
	}
	f.step("record", "a new run is written down as a rerun of %s", req.Run.ID)
	for _, o := range req.Run.Outputs {
		for _, declared := range p.Outputs { // with what the user says now
			if declared.Name == o.Name && declared.Compare != "" {
				o.Compare, o.Tolerance, o.CompareCommand = declared.Compare, declared.Tolerance, declared.CompareCommand
			}
		}
		switch {
		case o.Compare == "ignore":
			f.step("compare", "output %s is not compared", o.Name)
		case len(o.CompareCommand) > 0:
			f.step("compare", "output %s, by the command %q", o.Name, schema.Strings(o.CompareCommand))
		case o.Compare != "" && o.Compare != "exact":
			f.step("compare", "output %s: %s", o.Name, strings.TrimSuffix(o.Compare+" "+string(o.Tolerance), " "))
		case o.Identity() != "" && !o.Missing && !o.Stale:
			f.step("compare", "output %s, bit for bit, with %s", o.Name, o.Identity())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(req.Run.Metrics)) {
		how := "as text"
		if t, given := p.Tolerances[name]; given {
			how = fmt.Sprintf("within %s", t)
		}
		f.step("compare", "metric %s, %s, with %s", name, how, req.Run.Metrics[name])
	}
	if why, _ := incomparable(req.Run, req.Tolerances); why != "" {
		f.step(verdictPin, "%s", why)
	}
}
