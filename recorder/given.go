package recorder

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"

	"github.com/runpin/runpin/schema"
)

// takeGiven builds the plan of a rerun from pins that are proved already, and places the command where they were restored.
func (p *Planned) takeGiven() error {
	req, plan, given := &p.req, &p.Run.Plan, p.req.Rerun
	plan.RerunOf, plan.Images, plan.Code, plan.Datasets = given.Of, given.Images, given.Code, given.Datasets
	plan.DeclaredOutputs, plan.MetricsFile, plan.WorkDir = given.Outputs, given.Metrics, given.WorkDir
	plan.CommandTemplate, plan.Launcher = schema.Texts(given.Template), given.Launcher
	plan.Params, plan.Variables = given.Params, given.Vars
	plan.GPUs = given.GPUs
	plan.Relaxed, plan.Withheld, plan.Tolerances = given.Relaxed, given.Withheld, given.Tolerances
	if given.Job != nil {
		return p.takeGivenJob()
	}
	rel := "."
	if given.WorkDir != nil && given.WorkDir.Rel != "" {
		rel = string(given.WorkDir.Rel)
	}
	place := placement{launcher: "local", dir: filepath.Join(given.Root, rel), secrets: given.Secrets}
	values, absolute := map[string]string{}, map[string]string{}
	for k, v := range given.Params {
		values[k] = string(v)
	}
	for _, w := range given.Withheld {
		if w.What == "param" {
			values[w.Name] = given.Secrets[w.Name]
		}
	}
	if given.Launcher != "local" && req.In != "" {
		seen := p.enterContainer(&place, given.Root, rel, given.Sources)
		place.env = append(place.env, given.Env...)
		maps.Copy(values, seen.typed)
		absolute = seen.absolute
		values[CodeRootName] = containerRoot
		if given.Paths[MetricsName] != "" {
			values[MetricsName] = given.Paths[MetricsName]
		}
	} else {
		place.env = req.Environ
		if _, remote := p.r.Launchers[given.Launcher].(RemoteLauncher); remote {
			place.launcher = given.Launcher
		}
		maps.Copy(values, given.Paths)
		for name, at := range given.Paths {
			if !filepath.IsAbs(at) {
				at = filepath.Join(place.dir, at)
			}
			absolute[name] = at
		}
		for _, i := range given.Images {
			values[i.Name] = pinnedRef(i)
		}
		values[CodeRootName] = given.Root
	}
	var err error
	started := given.Template
	if len(given.Started) > 0 {
		started = given.Started
	}
	p.place, err = p.completePlacement(place, started, values, absolute)
	return err
}

// Describe says how the command of a rerun would be started, without starting or writing anything. What was withheld from the record is withheld here, too.
func (r *Recorder) Describe(req Request) (LaunchRequest, error) {
	p := &Planned{r: r, req: req, staged: newStaging()}
	defer p.staged.close()
	p.Run.ID = "NEW"
	if err := p.takeGiven(); err != nil {
		return LaunchRequest{}, err
	}
	return LaunchRequest{Argv: schema.Strings(p.Run.Command), Dir: p.place.dir, Env: p.place.env, Image: p.place.image, Mounts: p.place.mounts, GPUs: p.gpus()}, nil
}

// takeGivenJob takes over a job spec, which is pinned already.
func (p *Planned) takeGivenJob() error {
	given := p.req.Rerun
	job := *given.Job
	p.Run.Job, p.Run.WorkDir, p.Run.LaunchPlace = &job, nil, given.Place
	keep := func(data []byte) (*schema.BlobRef, error) {
		ref, err := p.staged.PutBlob(context.Background(), schema.BlobJobSpec, bytes.NewReader(data))
		return &ref, err
	}
	var err error
	if given.JobData != nil && job.Blob != nil {
		if job.Blob, err = keep(given.JobData); err != nil {
			return err
		}
	}
	if p.Pinned, err = given.Spec(p.Run.ID); err != nil {
		return err
	}
	job.Pinned = nil
	if job.Blob != nil {
		job.Pinned, err = keep(p.Pinned)
	}
	return err
}
