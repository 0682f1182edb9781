package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/recorder/collect/kubernetes"
	"github.com/runpin/runpin/recorder/collect/slurm"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// recording lets recorder serve rerun.
type recording struct{ w *wiring }

func (r recording) request(p rerun.Prepared) recorder.Request {
	req := recorder.Request{Project: p.Of.Project, User: r.w.env.user(), Command: p.Template, WorkDir: p.Root, Environ: p.Environ,
		Stdin: r.w.env.In, Stdout: r.w.env.Err, Stderr: r.w.env.Err, // stdout is the answer's: the new run's id
		Rerun: &recorder.Given{Of: p.Of.ID, Images: p.Images, Code: p.Code, Datasets: p.Datasets, Outputs: p.Outputs, Metrics: p.Metrics, Root: p.Root,
			WorkDir: p.WorkDir, Template: p.Template, Paths: p.Paths, Sources: p.Sources, Params: p.Params, Vars: p.Vars, Launcher: p.Launcher, Relaxed: p.Relaxed,
			Withheld: p.Withheld, Secrets: p.Secrets, Tolerances: p.Tolerances, Env: p.Env, GPUs: p.GPUs, Started: p.Started, Job: p.Job, JobData: p.JobData, Place: p.Place, Spec: p.Spec}}
	if p.InContainer() {
		req.In = p.Launcher
	}
	if p.Job != nil {
		req.Job = &recorder.Job{Path: string(p.Job.Path.Typed)}
	}
	return req
}

// Record implements rerun.Recording.
func (r recording) Record(ctx context.Context, p rerun.Prepared) (schema.Run, int, error) {
	result, err := r.record(ctx, p)
	var coded *codedError
	if errors.As(err, &coded) && coded.code != exitRefused { // 126 and 127 are for record; here something that the run needs is missing
		err = &schema.Error{Op: "rerun", Kind: schema.Gone, Subject: "command", Err: coded.err,
			Hint: "install it as it was; a directory such as .venv is part of the machine, not of the recorded code"}
	} else if coded != nil {
		err = coded.err
	}
	return result.Run, result.Code, err
}

// record writes the run down, says so, and runs its command.
func (r recording) record(ctx context.Context, p rerun.Prepared) (recorder.Result, error) {
	if err := r.inPlace(); err != nil {
		return recorder.Result{}, err
	}
	req := r.request(p)
	if r.w.started != nil {
		req.Started = func(int) { r.w.started() }
	}
	planned, err := r.w.recorder.Plan(ctx, req)
	if err != nil {
		return recorder.Result{}, err
	}
	r.writtenDown(p, planned.Run.ID)
	return planned.Execute(ctx)
}

// inPlace tells that all is restored: what is printed from here on is the command's.
func (r recording) inPlace() error {
	if r.w.inPlace == nil {
		return nil
	}
	return r.w.inPlace()
}

// writtenDown tells whoever has to know it that the run exists. From here on it has a name, and nothing keeps it from being started.
func (r recording) writtenDown(p rerun.Prepared, id schema.RunID) {
	if p.Written != nil {
		if err := p.Written(id); err != nil {
			r.w.env.warn("the directory of run %s does not say whose it is: %v", id.Short(), err)
		}
	}
	if r.w.written != nil {
		r.w.written(id)
	}
}

// Describe implements rerun.Describer.
func (r recording) Describe(ctx context.Context, p rerun.Prepared) ([]string, error) {
	job, err := r.w.recorder.Describe(r.request(p))
	if err != nil {
		return nil, err
	}
	place := p.Launcher
	if job.Image == "" {
		if place != "slurm" {
			place = "local"
		}
		return []string{fmt.Sprintf("%s, in %s: %s", place, job.Dir, shellWords(job.Argv))}, nil
	}
	engine, ok := r.w.recorder.Launchers[place].(*engine)
	if !ok {
		return []string{fmt.Sprintf("%s, in %s of %s: %s", place, job.Dir, job.Image, shellWords(job.Argv))}, nil
	}
	create, err := engine.createArgs(ctx, job)
	if err != nil {
		return nil, err
	}
	return []string{shellWords(create), place + " start --attach --interactive CONTAINER", place + " rm --volumes CONTAINER"}, nil
}

// Plan implements rerun.Recording.
func (r recording) Plan(ctx context.Context, p rerun.Prepared) (rerun.PlannedJob, error) {
	if err := r.inPlace(); err != nil {
		return nil, err
	}
	planned, err := r.w.recorder.Plan(ctx, r.request(p))
	if err != nil {
		return nil, err
	}
	r.writtenDown(p, planned.Run.ID)
	return plannedJob{planned}, nil
}

type plannedJob struct{ *recorder.Planned }

func (p plannedJob) ID() schema.RunID { return p.Run.ID }
func (p plannedJob) Spec() []byte     { return p.Pinned }
func (p plannedJob) Refused(ctx context.Context, cause error) {
	p.Unsubmitted(ctx, cause)
}
func (p plannedJob) Unsure(ctx context.Context, cause error) { p.MaybeSubmitted(ctx, cause) }

// jobCollecting lets recorder/collect serve rerun: what `finish --pod` and `finish --slurm` do.
type jobCollecting struct{ w *wiring }

// Collect implements rerun.Collecting. Where the scheduler tells nothing of the tries, its word on the end is all there is.
func (j jobCollecting) Collect(ctx context.Context, id schema.RunID, launched schema.Launched, outcome launch.Outcome) (schema.Run, error) {
	w := j.w
	docs, err := w.store.Documents(ctx, id)
	if err != nil {
		return schema.Run{}, err
	}
	planned, err := schema.Fold(docs)
	if err != nil {
		return schema.Run{}, err
	}
	told, unread := j.tries(ctx, launched, outcome, docs)
	if unread != nil {
		w.env.warn("what %s tells of %s could not be read: %v", launched.On, launched.Job, unread)
	}
	report := schema.Report{Documents: told.documents}
	say := func(kind schema.DocumentKind, fill func(doc *schema.Document)) {
		doc := w.event(id)
		doc.Reporter.Kind, doc.Kind = "collector", kind
		fill(&doc)
		report.Documents = append(report.Documents, doc)
	}
	if launched.On == "slurm" {
		event, blobs, reasons, done := w.recorder.CollectOutputs(ctx, planned)
		defer done()
		if len(event.Outputs)+len(event.Metrics) > 0 {
			say(schema.KindOutput, func(doc *schema.Document) { doc.Output = &event })
		}
		if len(reasons) > 0 {
			say(schema.KindObservation, func(doc *schema.Document) { doc.Observation = &schema.Observation{Reasons: reasons} })
		}
		report.Blobs = blobs
	}
	sofar, err := schema.Fold(slices.Concat(docs, report.Documents))
	if err != nil {
		return schema.Run{}, err
	}
	if !sofar.Status.Ended() {
		code := outcome.Exit.Code
		status := schema.StatusChange{To: schema.Succeeded, ExitCode: &code, Signal: outcome.Exit.Signal, Why: outcome.Why}
		if code != 0 {
			status.To = schema.Failed
		}
		status.Fingerprint, _ = sofar.Fingerprinted()
		say(schema.KindStatus, func(doc *schema.Document) { status.Finished, doc.Status = doc.At, &status })
	}
	if err := w.store.Save(ctx, report); err != nil {
		return schema.Run{}, err
	}
	run, err := w.store.Run(ctx, id)
	return run, errors.Join(err, errors.Join(collect.Drifts(&run)...))
}

func (j jobCollecting) tries(ctx context.Context, launched schema.Launched, outcome launch.Outcome, docs []schema.Document) (collected, error) {
	if launched.On == "slurm" {
		tries, err := slurm.Ask(ctx, launched.Job)
		if err != nil {
			return collected{}, err
		}
		return j.w.collect(ctx, "slurm", tries, docs, onceInterval)
	}
	if len(outcome.Pods) == 0 {
		return collected{}, nil
	}
	pods, err := kubernetes.ReadPods(bytes.NewReader(outcome.Pods), launched.Job)
	if err != nil {
		return collected{}, err
	}
	return j.w.collect(ctx, "kubernetes", kubernetes.Tries(pods), docs, onceInterval)
}
