package recorder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// prepare checks the request, resolves every pin in parallel and builds the plan. Nothing is stored yet.
func (r *Recorder) prepare(ctx context.Context, req Request) (*Planned, error) {
	dir, err := workDir(req)
	if err != nil {
		return nil, err
	}
	req.WorkDir = dir
	if err := req.check(); err != nil {
		return nil, err
	}
	now := r.Now()
	p := &Planned{r: r, req: req, staged: newStaging()}
	p.Run.ID = schema.NewRunID(now)
	p.Run.Plan = schema.Plan{Name: req.Name, Project: req.Project, Parent: req.Parent, Created: schema.At(now), User: req.User,
		Recorder: "runpin " + r.Version, SubmittedFrom: r.CI, GPUs: req.GPUs}
	if req.Job != nil && r.CI == nil && r.Host != "" {
		p.Run.SubmittedFrom = &schema.Submission{Host: r.Host}
	}
	p.lookAround(context.WithoutCancel(ctx))
	if req.Rerun != nil {
		err = p.takeGiven()
	} else {
		err = p.resolve(ctx)
	}
	if err == nil {
		err = p.checkRequired()
	}
	if err == nil {
		err = p.ensureImage(ctx)
	}
	if err == nil && req.Rerun == nil {
		err = p.recaptureBeforeStart(ctx)
	}
	if err != nil {
		p.staged.close()
		return nil, err
	}
	return p, nil
}

// ensureImage has the engine fetch the image by digest, so that what is recorded is what runs.
func (p *Planned) ensureImage(ctx context.Context) error {
	if p.place.image == "" {
		return nil
	}
	ensurer, ok := p.r.Launchers[p.place.launcher].(ImageEnsurer)
	if !ok {
		return nil
	}
	var config schema.Digest
	for _, i := range p.Run.Images {
		if pinnedRef(i) == p.place.image {
			config = i.ConfigDigest
		}
	}
	return ensurer.EnsureImage(ctx, p.place.image, config)
}

// resolve asks every resolver at once and reports all failures together.
func (p *Planned) resolve(ctx context.Context) error {
	req, plan := &p.req, &p.Run.Plan
	root := p.r.CodeRoot(req.WorkDir)
	for _, o := range req.Outputs {
		declared := declareOutput(o, req.WorkDir, root)
		declared.SetCompareRule(req.Compare[o.Name])
		plan.DeclaredOutputs = append(plan.DeclaredOutputs, declared)
	}
	plan.Tolerances = req.Tolerances
	if req.Metrics != "" {
		path := process.PathOf(req.Metrics, req.WorkDir, root)
		plan.MetricsFile = &path
	}
	if err := p.describeCommand(root); err != nil {
		return err
	}
	jobs, err := p.imageRequests()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	attempt := func(pin string, fn func() error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := fn(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
		}()
	}
	plan.Images = make([]schema.ImagePin, len(jobs))
	for i, job := range jobs {
		attempt("image:"+job.Name, func() error {
			pin, err := p.r.Images.ResolveImage(ctx, job.ImageRequest)
			pin.Name, pin.Where = job.Name, schema.Texts(job.where)
			if pin.Ref == "" {
				pin.Ref = schema.Text(job.Ref)
			}
			if err != nil {
				pin, err = p.unresolvedImage(pin, err)
			}
			plan.Images[i] = pin
			return err
		})
	}
	plan.Datasets = make([]schema.DatasetPin, len(req.Datasets))
	for i, d := range req.Datasets {
		attempt("dataset:"+d.Name, func() error {
			if pin, ok := p.reusePin(ctx, d); ok {
				plan.Datasets[i] = pin
				return nil
			}
			pin, err := p.r.Datasets.ResolveDataset(ctx, DatasetRequest{Name: d.Name, Role: d.Role, URI: d.URI, WorkDir: req.WorkDir, CodeRoot: root,
				Include: d.Include, Exclude: d.Exclude, Sink: p.staged, Progress: p.r.Progress})
			if err != nil && p.relax(err) {
				uri, _ := redact.URL(d.URI)
				pin = schema.DatasetPin{Name: d.Name, Role: d.Role, URI: schema.Text(uri), Scheme: "file", Strength: schema.StrengthDeclared, Use: schema.Claimed,
					Reasons: []schema.Reason{unresolved("dataset:"+d.Name, err)}}
				if pin.Role == "" {
					pin.Role = schema.RoleData
				}
				err = nil
			}
			plan.Datasets[i] = pin
			return err
		})
	}
	codes := p.codeRequests(root)
	p.codes, p.captured = codes, p.r.Now()
	plan.Code = make([]schema.CodePin, len(codes))
	for i, c := range codes {
		attempt("code:"+c.Name, func() error {
			pin, err := p.r.Code.ResolveCode(ctx, c)
			if err != nil && p.relax(err) {
				ref, _ := redact.URL(c.Ref)
				pin = schema.CodePin{Name: c.Name, Kind: schema.CodeGit, Ref: schema.Text(ref), Use: schema.Claimed, Reasons: []schema.Reason{unresolved("code:"+c.Name, err)}}
				err = nil
			}
			plan.Code[i] = pin
			return err
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return &schema.Error{Op: "record", Kind: schema.Interrupted, Subject: "record", Err: err}
	}
	if len(failures) > 0 {
		slices.SortFunc(failures, func(a, b error) int { return compareText(a.Error(), b.Error()) })
		return errors.Join(failures...)
	}
	p.datasetsOfSpec()
	plan.Images = slices.DeleteFunc(plan.Images, func(i schema.ImagePin) bool { return i.Name == "" })
	if p.hidden != nil {
		plan.Images = append(plan.Images, *p.hidden)
	}
	p.codeOfImages()
	return p.finishPlan(root)
}

// finishPlan fills in what depends on the resolved pins: how the command sees its inputs, and the pinned job.
func (p *Planned) finishPlan(root string) error {
	req, plan := &p.req, &p.Run.Plan
	dir := process.PathOf(".", req.WorkDir, root)
	if len(plan.Code) == 0 || plan.Code[0].Kind == schema.CodeScript {
		dir = schema.Path{Typed: ".", Base: schema.BaseWorkDir, Rel: ".", Located: schema.Text(req.WorkDir)}
	}
	plan.WorkDir = &dir
	if req.Job != nil {
		plan.WorkDir = nil
		return p.pinJob()
	}
	environ := req.Environ
	if req.In != "" {
		environ = nil // a container sees none of this machine's variables but the ones that are asked for
		for _, kv := range req.Environ {
			if slices.Contains(req.Env, before(kv, "=")) {
				environ = append(environ, kv)
			}
		}
	}
	plan.Variables = p.r.Determining(environ, req.Env)
	if err := p.noteEnvFile(); err != nil {
		return err
	}
	var err error
	p.place, err = p.placeOriginal(root)
	return err
}

// EnvFileCode is the code of the reason that names a variable which a file gave to the command.
const EnvFileCode = "env-file"

// noteEnvFile names the variables that a file gives. One that can determine the result has to be recorded with its value.
func (p *Planned) noteEnvFile() error {
	determining := p.r.Determining(p.req.EnvFile, p.req.Env)
	for _, kv := range p.req.EnvFile {
		name := before(kv, "=")
		if _, yes := determining[name]; yes {
			return &schema.Error{Op: "record", Kind: schema.Invalid, Subject: "--env-file " + name, Err: fmt.Errorf("the variable can determine the result, so its value has to be in the record"),
				Hint: "set it in this environment and name it: --env " + name}
		}
		p.Run.Reasons = append(p.Run.Reasons, schema.Reason{Code: EnvFileCode, Subject: schema.Text("env." + name), Text: "given by a file; its value is not recorded"})
	}
	return nil
}

// relax reports whether a failure to pin is to be recorded instead of refused. A malformed request is refused in any case.
func (p *Planned) relax(err error) bool {
	kind := schema.KindOf(err)
	return p.req.BestEffort && kind != schema.Invalid && kind != schema.Interrupted
}

func (p *Planned) unresolvedImage(pin schema.ImagePin, err error) (schema.ImagePin, error) {
	if !p.relax(err) || p.req.In != "" {
		return pin, err // what runpin itself would have to start cannot be left open
	}
	ref, _ := redact.URL(string(pin.Ref))
	pin.Ref, pin.Use = schema.Text(ref), schema.Claimed
	pin.Reasons = append(pin.Reasons, unresolved("image:"+pin.Name, err))
	return pin, nil
}

func unresolved(pin string, err error) schema.Reason {
	return schema.Reason{Code: "unresolved", Subject: schema.Text(pin), Text: err.Error()}
}

// codeRequests: without --code the code is the working directory; a job's code is never the submitter's checkout (DESIGN §4).
func (p *Planned) codeRequests(root string) []CodeRequest {
	req := &p.req
	if req.NoCode {
		return nil
	}
	refs := req.Code
	if req.Job != nil {
		refs = slices.Concat(refs, specCodeRefs(p.spec, refs))
	} else if len(refs) == 0 {
		refs = []CodeRef{{Name: "code", Ref: "."}}
	} else if !p.namesThisCheckout(refs, root) {
		// What runs is what lies here, whatever else is named: it comes first, and is where a rerun starts.
		refs = append([]CodeRef{{Name: "workdir", Ref: "."}}, refs...)
	}
	var excluded []Excluded
	for _, dir := range p.r.StoreDirs {
		excluded = append(excluded, Excluded{Path: dir, Why: "store"})
	}
	for _, d := range req.Datasets {
		if path := localPath(d.URI, req.WorkDir); path != "" {
			excluded = append(excluded, Excluded{Path: path, Why: "dataset"})
		}
	}
	for _, o := range p.Run.DeclaredOutputs {
		if o.Path != nil {
			excluded = append(excluded, Excluded{Path: string(o.Path.Located), Why: "output"})
		}
	}
	if p.Run.MetricsFile != nil {
		excluded = append(excluded, Excluded{Path: string(p.Run.MetricsFile.Located), Why: "output"})
	}
	var out []CodeRequest
	for _, c := range refs {
		out = append(out, CodeRequest{Name: c.Name, Ref: c.Ref, WorkDir: req.WorkDir, Command: req.Command, Exclude: excluded, Sink: p.staged,
			AskRemote: slices.Contains(req.Require, "pushed"), Progress: p.r.Progress})
	}
	return out
}

func (p *Planned) namesThisCheckout(refs []CodeRef, root string) bool {
	for _, c := range refs {
		if strings.HasPrefix(c.Ref, "git+") {
			continue
		}
		at := c.Ref
		if !filepath.IsAbs(at) {
			at = filepath.Join(p.req.WorkDir, at)
		}
		if there := p.r.CodeRoot(at); there == root && (root != "" || filepath.Clean(at) == p.req.WorkDir) {
			return true
		}
	}
	return false
}

// localPath gives the absolute path of a plain path or file: URI, or "" for another scheme.
func localPath(uri, dir string) string {
	if rest, ok := cutScheme(uri, "file"); ok {
		uri = rest
	} else if i := indexScheme(uri); i > 1 {
		return ""
	}
	if filepath.IsAbs(uri) {
		return filepath.Clean(uri)
	}
	return filepath.Join(dir, uri)
}
