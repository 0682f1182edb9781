package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// readJob finds the references of the job spec and keeps the spec verbatim, unless it holds a secret: then it is withheld as a whole.
func (p *Planned) readJob() (Spec, error) {
	job := p.req.Job
	spec, err := p.r.Specs.ReadSpec(job.Path, job.Data, job.Fields)
	if err != nil {
		return Spec{}, err
	}
	record := &schema.JobSpec{Format: spec.Format, Path: process.PathOf(job.Path, p.req.WorkDir, p.r.CodeRoot(p.req.WorkDir)), TemplateDigest: spec.Template, Fields: schema.Texts(job.Fields)}
	if job.Path == "-" {
		record.Path = schema.Path{Typed: "-", Base: schema.BaseWorkDir} // it came through a pipe and lies nowhere
	}
	if finding, found := redact.JobSpec(job.Data); found {
		p.Run.Withheld = append(p.Run.Withheld, schema.Withheld{What: "job-spec", Name: "job", Subject: schema.Text(job.Path), Why: finding})
		record.TemplateDigest = ""
		p.r.warnf("%s is not kept: it holds %s; `rerun` will ask for --secret job=@FILE", job.Path, finding)
	} else {
		ref, err := p.staged.PutBlob(context.Background(), schema.BlobJobSpec, bytes.NewReader(job.Data))
		if err != nil {
			return Spec{}, err
		}
		record.Blob = &ref
	}
	p.Run.Job, p.spec = record, spec
	p.Run.Launcher = jobLaunchers[spec.Format]
	return spec, nil
}

// pinJob writes the pinned spec. An image that is not pinned makes it impossible, unless the user asked for the best effort.
func (p *Planned) pinJob() error {
	job, plan := p.req.Job, &p.Run.Plan
	images := map[string]string{}
	var failures []error
	for _, pin := range plan.Images {
		switch {
		case pin.Local && len(pin.Where) > 0:
			failures = append(failures, &schema.Error{Op: "record.pin", Kind: schema.Unpinnable, Subject: string(pin.Ref), Hint: "push the image first",
				Err: fmt.Errorf("no registry has the image, so a cluster cannot pull it")})
		case pin.Pullable() != "" && len(pin.Where) > 0:
			images[pin.Name] = pin.PinnedReference(true)
		case pin.FileDigest != "" && len(pin.Where) > 0:
			images[pin.Name] = string(pin.FileDigest)
		}
	}
	if err := errors.Join(failures...); err != nil && !p.req.BestEffort {
		return err
	}
	for _, pin := range plan.Images {
		if len(pin.Where) > 0 && pin.PinnedReference(true) == "" && pin.FileDigest == "" { // only with --best-effort does one come this far
			plan.Reasons = append(plan.Reasons, schema.Reason{Code: "spec-unpinned", Subject: schema.Text("image:" + pin.Name), Text: "not every image could be pinned, so there is no pinned spec"})
			return nil
		}
	}
	code := p.pinnedCode()
	if len(code) < len(p.spec.Code) && (p.req.NoCode || p.req.BestEffort) {
		plan.Reasons = append(plan.Reasons, schema.Reason{Code: "spec-unpinned", Subject: "code", Text: "not all code that the spec fetches is pinned, so there is no pinned spec"})
		return nil
	}
	stamp := p.Run.ID
	if job.NoStamp {
		stamp = ""
	}
	pinned, err := p.r.Pinner.PinSpec(job.Path, job.Data, job.Fields, SpecPins{Images: images, Code: code, Datasets: p.pinnedDatasets()}, stamp)
	if err != nil {
		return err
	}
	p.Pinned = pinned
	if plan.Job.Blob != nil {
		ref, err := p.staged.PutBlob(context.Background(), schema.BlobJobSpec, bytes.NewReader(pinned))
		if err != nil {
			return err
		}
		plan.Job.Pinned = &ref
	}
	return nil
}
