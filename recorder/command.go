package recorder

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// containerRoot is where the checkout appears in a container that runpin starts: the same for a run and all its reruns, so that paths
// which a program writes into its outputs are the same too.
const containerRoot = "/workspace"

// placement is how the command is started: what a launcher is given.
type placement struct {
	launcher string
	argv     []string
	dir      string
	env      []string
	image    string
	mounts   []Mount
	secrets  map[string]string // by name of a withheld argument
}

// describeCommand withholds secrets, and finds the command's template and the image of a `podman run` or `docker run`.
func (p *Planned) describeCommand(root string) error {
	req, plan := &p.req, &p.Run.Plan
	kept, withheld := redact.Argv(req.Command)
	plan.Withheld = append(plan.Withheld, withheld...)
	p.place.secrets = map[string]string{}
	for i := range kept {
		if name, ok := redact.WithheldName(kept[i]); ok && kept[i] != req.Command[i] {
			p.place.secrets[name] = req.Command[i]
		}
	}
	plan.Params = map[string]schema.Text{}
	for k, v := range req.Params {
		if redact.Param(k, string(v)) {
			plan.Withheld = append(plan.Withheld, schema.Withheld{What: "param", Name: k, Why: "its name or its form is that of a secret"})
			continue
		}
		plan.Params[k] = v
	}
	if len(plan.Params) == 0 {
		plan.Params = nil
	}
	plan.Launcher = "local"
	if req.In != "" {
		plan.Launcher = req.In
	}
	if len(req.Command) == 0 {
		plan.Launcher = ""
		return nil
	}
	names := p.templateNames(root)
	template := process.Template(kept, names)
	for i := range template {
		template[i], _ = process.PlaceRoot(template[i], p.codeRoot(root), "{"+CodeRootName+"}")
	}
	plan.CommandTemplate = schema.Texts(template)
	plan.Reasons = append(plan.Reasons, process.Unreplaced(template, names)...)
	p.findHiddenContainer()
	p.noteStdin()
	return nil
}

// CodeRootName is the reserved name that stands in a command's template for the absolute path of the code: a rerun puts the restored code's in its place, so
// that a command which names its program by an absolute path never runs the user's checkout instead.
const CodeRootName = "code_root"

// codeRoot gives what counts as the root of the code: the checkout's, or the working directory where there is none.
func (p *Planned) codeRoot(root string) string {
	if root == "" {
		return p.req.WorkDir
	}
	return root
}

// findHiddenContainer leaves an image open that a shell command or another program starts where runpin cannot see it: such a run has no fingerprint and is not
// rerun as if it were pinned.
func (p *Planned) findHiddenContainer() {
	if p.req.In != "" {
		return
	}
	if why, found := process.HiddenContainer(p.req.Command); found {
		p.hidden = &schema.ImagePin{Name: "hidden", Ref: schema.Text(why), Use: schema.Claimed,
			Reasons: []schema.Reason{{Code: "unpinned-container", Subject: "image:hidden", Text: why + ": runpin cannot pin it; start it as -- podman run …, or with --in"}}}
	}
}

// noteStdin says that standard input is an input that no record holds, where it is a file or a pipe.
func (p *Planned) noteStdin() {
	file, ok := p.req.Stdin.(*os.File)
	if !ok || file == nil {
		return
	}
	if info, err := file.Stat(); err == nil && (info.Mode().IsRegular() && info.Size() > 0) {
		p.Run.Reasons = append(p.Run.Reasons, schema.Reason{Code: "stdin-unrecorded", Subject: "stdin", Text: "the command reads a file on its standard input, which is not recorded: name it with --dataset"})
	}
}

func (p *Planned) templateNames(root string) process.Names {
	names := process.Names{Paths: map[string]process.Place{}, WorkDir: p.req.WorkDir}
	for _, d := range p.req.Datasets {
		if at := localPath(d.URI, p.req.WorkDir); at != "" {
			names.Paths[d.Name] = process.Place{Typed: plainPath(d.URI), Absolute: at}
		}
	}
	for _, o := range p.Run.DeclaredOutputs {
		if o.Path != nil {
			names.Paths[o.Name] = process.Place{Typed: string(o.Path.Typed), Absolute: string(o.Path.Located)}
		}
	}
	if m := p.Run.MetricsFile; m != nil && !p.nameTaken(MetricsName) {
		names.Paths[MetricsName] = process.Place{Typed: string(m.Typed), Absolute: string(m.Located)}
	}
	for k := range p.req.Params {
		names.Params = append(names.Params, k)
	}
	slices.Sort(names.Params)
	return names
}

// MetricsName stands in a command's template for the path of the metrics file, unless the user gave the name to something else.
const MetricsName = "metrics"

func (p *Planned) nameTaken(name string) bool {
	for _, d := range p.req.Datasets {
		if d.Name == name {
			return true
		}
	}
	for _, o := range p.req.Outputs {
		if o.Name == name {
			return true
		}
	}
	_, param := p.req.Params[name]
	return param
}

type imageJob struct {
	ImageRequest
	where    []string
	argIndex int // of the image in the command, or -1
}

// imageRequests lists the images to resolve: the ones given with --image, the one of a `podman run`, or those of the job.
func (p *Planned) imageRequests() ([]imageJob, error) {
	req := &p.req
	var jobs []imageJob
	for _, i := range req.Images {
		jobs = append(jobs, imageJob{ImageRequest{Name: i.Name, Ref: i.Ref, Platform: req.Platform, Engine: req.In}, nil, -1})
	}
	if req.Job != nil {
		spec, err := p.readJob()
		if err != nil {
			return nil, err
		}
		for _, i := range spec.Images {
			jobs = append(jobs, imageJob{ImageRequest{Name: i.Name, Ref: i.Ref, Platform: req.Platform}, i.Where, -1})
		}
	}
	if engine, at, ok := process.ContainerCommand(req.Command); ok {
		p.Run.Launcher = engine
		jobs = append(jobs, imageJob{ImageRequest{Name: p.freeImageName(), Ref: req.Command[at], Platform: req.Platform, Engine: engine},
			[]string{fmt.Sprintf("argument %d", at)}, at})
	}
	seen := map[string]bool{}
	for _, j := range jobs {
		if seen[j.Name] {
			return nil, &schema.Error{Op: "record", Kind: schema.Invalid, Err: fmt.Errorf("two images have the name %q", j.Name), Hint: "give each its own name: --image NAME=REF"}
		}
		seen[j.Name] = true
	}
	return jobs, nil
}

func (p *Planned) freeImageName() string {
	for _, i := range p.req.Images {
		if i.Name == "image" {
			return "container"
		}
	}
	return "image"
}

// pinnedRef is how runpin names a pinned image to an engine: repo@digest, or the config digest of an image that no registry has.
func pinnedRef(pin schema.ImagePin) string {
	if pin.Local {
		return string(pin.ConfigDigest)
	}
	return pin.PinnedReference(false)
}

// placeOriginal says how the command is started where it stands: here, or in the image with the checkout and the data sets mounted.
func (p *Planned) placeOriginal(root string) (placement, error) {
	req, plan := &p.req, &p.Run.Plan
	place := placement{launcher: "local", dir: req.WorkDir, secrets: p.place.secrets}
	kept, _ := redact.Argv(req.Command)
	values := p.paramValues()
	abs := map[string]string{}
	if engine, at, ok := process.ContainerCommand(req.Command); ok && req.In == "" {
		for i := range plan.Images {
			pin := &plan.Images[i]
			if len(pin.Where) == 1 && string(pin.Where[0]) == fmt.Sprintf("argument %d", at) && pin.ConfigDigest != "" {
				pin.Use, pin.Engine = schema.Enforced, engine
				kept[at] = pinnedRef(*pin)
				plan.CommandTemplate[at] = schema.Text("{" + pin.Name + "}")
			}
		}
	}
	sources := map[string]string{}
	for _, d := range plan.Datasets {
		if d.Path != nil {
			sources[d.Name] = string(d.Path.Located)
		}
	}
	if req.In != "" {
		if root == "" {
			root = req.WorkDir
		}
		rel, err := filepath.Rel(root, req.WorkDir)
		if err != nil {
			return place, err
		}
		seen := p.enterContainer(&place, root, rel, sources)
		place.env = append(place.env, req.EnvFile...)
		maps.Copy(values, seen.typed)
		abs = seen.absolute
		values[CodeRootName] = containerRoot
	} else {
		values[CodeRootName] = p.codeRoot(root)
		for _, d := range plan.Datasets {
			if d.Path != nil {
				values[d.Name], abs[d.Name] = string(d.Path.Typed), string(d.Path.Located)
			}
		}
		for _, o := range plan.DeclaredOutputs {
			if o.Path != nil {
				values[o.Name], abs[o.Name] = string(o.Path.Typed), string(o.Path.Located)
			}
		}
		place.env = req.Environ
	}
	if m := plan.MetricsFile; m != nil && !p.nameTaken(MetricsName) {
		values[MetricsName] = string(m.Typed)
	}
	return p.completePlacement(place, kept, values, abs)
}

// completePlacement expands the template and adds the variables that children see. What is recorded is expanded apart: it never holds a withheld value.
func (p *Planned) completePlacement(place placement, template []string, values, absolute map[string]string) (placement, error) {
	shown := maps.Clone(values)
	for _, w := range p.Run.Withheld {
		if w.What == "param" {
			shown[w.Name] = "<withheld:" + w.Name + ">"
		}
	}
	recorded, reasons := process.Expand(template, shown)
	p.Run.Reasons = append(p.Run.Reasons, reasons...)
	p.Run.Command = schema.Texts(recorded)
	argv, _ := process.Expand(template, values)
	real, err := redact.Restore(argv, place.secrets)
	if err != nil {
		return place, err
	}
	place.argv = real
	place.env = process.ChildEnv(place.env, process.Child{Run: p.Run.ID, Store: p.r.StoreName, Pins: p.childPins(), Paths: p.childPaths(absolute),
		Tags: p.r.trackerTags(p.Run, append(slices.Clip(p.switches()), place.env...))})
	return place, nil
}

func (p *Planned) paramValues() map[string]string {
	values := map[string]string{}
	for k, v := range p.req.Params {
		values[k] = string(v)
	}
	return values
}

func (p *Planned) childPins() map[string]string {
	pins := map[string]string{}
	for _, i := range p.Run.Images {
		if d := i.Pullable(); d != "" {
			pins["IMAGE_"+i.Name] = i.Repository + "@" + string(d)
		} else if i.ConfigDigest != "" {
			pins["IMAGE_"+i.Name] = string(i.ConfigDigest)
		}
	}
	for _, c := range p.Run.Code {
		if c.Commit != "" {
			pins["CODE_"+c.Name] = string(c.Commit)
		}
	}
	for _, d := range p.Run.Datasets {
		if d.ContentDigest != "" {
			pins["DATASET_"+d.Name] = string(d.ContentDigest)
		} else if d.VersionID != "" {
			pins["DATASET_"+d.Name] = d.VersionID
		}
	}
	return pins
}

func (p *Planned) childPaths(absolute map[string]string) map[string]string {
	paths := map[string]string{}
	for _, d := range p.Run.Datasets {
		if at := absolute[d.Name]; at != "" {
			paths["DATASET_"+d.Name] = at
		}
	}
	for _, o := range p.Run.DeclaredOutputs {
		if at := absolute[o.Name]; at != "" {
			paths["OUTPUT_"+o.Name] = at
		}
	}
	return paths
}

func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func before(s, sep string) string { head, _, _ := strings.Cut(s, sep); return head }

func compareText(a, b string) int { return strings.Compare(a, b) }

func cutScheme(uri, scheme string) (string, bool) {
	rest, ok := strings.CutPrefix(uri, scheme+":")
	if !ok {
		return uri, false
	}
	return strings.TrimPrefix(rest, "//"), true
}

// indexScheme gives the length of the scheme before "://", or -1.
func indexScheme(uri string) int { return strings.Index(uri, "://") }

func plainPath(uri string) string {
	rest, _ := cutScheme(uri, "file")
	return rest
}
