package rerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// planJob works out the rerun of a run that was recorded from a job spec, without looking at the world.
func (r *Rerunner) planJob(req Request) (Prepared, error) {
	run := req.Run
	refuse := func(hint, format string, args ...any) (Prepared, error) {
		return Prepared{}, &schema.Error{Op: "rerun", Kind: schema.Invalid, Subject: "run " + run.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	prints := "runpin rerun " + run.ID.Short() + " prints its pinned spec, ready to submit"
	if run.Launcher != "kubernetes" && run.Launcher != "slurm" {
		return refuse(prints, "runpin cannot start a job of the kind %q itself", run.Job.Format)
	}
	if req.On != "" && req.On != run.Launcher {
		return refuse("leave out --on", "its job spec is for %s, not for %s", run.Launcher, req.On)
	}
	if len(req.Env)+len(req.Without) > 0 || req.GPUs != "" {
		return refuse("set a variable with --set env.NAME=V, a field with --set field.PATH=V", "--env-file, --without and --gpus are for a command, and what a job gets stands in its spec")
	}
	if len(req.At) > 0 && run.Launcher == "kubernetes" {
		return refuse("set the place in the spec: --set field.PATH=V", "--at puts data in place on this machine, and a job in a cluster fetches its own")
	}
	others := maps.Clone(req.Secrets) // than the spec itself
	if run.Job.Blob == nil {
		delete(others, "job")
	}
	copied := *run.Job
	p := preparedOf(run)
	p.Launcher, p.Job = run.Launcher, &copied
	if err := req.Tolerances.Check(run); err != nil {
		return p, err
	}
	req.Tolerances.carry(&p)
	for i := range p.Images {
		if len(p.Images[i].Where) > 0 {
			p.Images[i].Use = schema.Enforced
		}
	}
	if p.Launcher == "slurm" {
		p.WorkDir = submittedFrom(run)
		if len(p.Outputs) == 0 {
			p.Outputs = append(p.Outputs, run.Outputs...) // named when it was finished
		}
		return p, p.takeSecrets(others)
	}
	for name := range others { // what a cluster fetches itself is not put back here
		return refuse("", "--secret %s: a job in a cluster is given nothing of that name", name)
	}
	return p, nil
}

// submittedFrom gives the directory in which a batch script was submitted, where it lies in the code: a relative path is relative to that.
func submittedFrom(run schema.Run) *schema.Path {
	at := run.Job.Path
	if at.Base != schema.BaseCheckout {
		return nil
	}
	rel := strings.TrimSuffix(string(at.Rel), strings.TrimPrefix(string(at.Typed), "./"))
	if rel = strings.Trim(rel, "/"); rel == "" {
		rel = "."
	}
	return &schema.Path{Typed: ".", Base: schema.BaseCheckout, Rel: schema.Text(rel)}
}

// hasCheckout reports whether the code of the run is a checkout that can be put back: a batch script then runs in it.
func (p *Prepared) hasCheckout() bool { return len(p.Code) > 0 && p.Code[0].Root != nil }

// executeJob hands a job to its scheduler, follows it and compares. From the moment it is written down it has a name that says which run it is, so that whatever
// befalls this process, nothing runs that nobody knows of.
func (r *Rerunner) executeJob(ctx context.Context, req Request, p Prepared, result Result) (Result, error) {
	scheduler, err := r.Scheduler(p.Launcher, p.Images)
	if err != nil {
		return result, err
	}
	if err := r.specOf(ctx, req, &p); err != nil {
		return result, err
	}
	trial, err := p.Spec(req.Run.ID)
	if err != nil {
		return result, err
	}
	name := string(req.Run.Job.Path.Typed)
	asked := launch.Spec{Name: name, Data: trial, Run: req.Run.ID, Dir: req.Dir}
	if _, err := scheduler.Plan(asked); err != nil {
		return result, err
	}
	if err := scheduler.Probe(ctx, asked); err != nil {
		return result, err
	}
	if p.Place, err = scheduler.Place(ctx, asked); err != nil {
		return result, err
	}
	at, takeBack := req.Dir, func() {}
	if p.Launcher == "slurm" && p.hasCheckout() {
		takeBack = takingBack(req.Dir)
		if err := r.restore(ctx, req, &p); err != nil {
			return result, err
		}
		at = p.commandDir()
	}
	planned, err := r.Record.Plan(ctx, p)
	if err != nil {
		takeBack()
		return result, err
	}
	quiet := context.WithoutCancel(ctx)
	launched, err := scheduler.Submit(ctx, launch.Spec{Name: name, Data: planned.Spec(), Run: planned.ID(), Dir: at})
	switch {
	case errors.Is(err, launch.ErrUnsure):
		planned.Unsure(quiet, err)
		return result, errors.Join(err, &schema.Error{Op: "rerun.submit", Kind: schema.Unavailable, Subject: "run " + planned.ID().Short(),
			Err: errors.New("it is not known whether its job was submitted"), Hint: r.again(string(planned.ID()))})
	case err != nil:
		planned.Refused(quiet, err)
		return result, err
	}
	launched.Keep = req.Keep
	stop, err := planned.Submitted(quiet, launched, !req.Detach)
	if err != nil {
		return result, errors.Join(err, fmt.Errorf("run %s was submitted as %s and goes on", planned.ID(), describe(launched)))
	}
	result.Run = schema.Run{ID: planned.ID(), Launched: &launched}
	if req.Detach {
		return result, nil
	}
	defer stop()
	run, err := r.follow(ctx, scheduler, planned.ID(), launched, req)
	if run.ID != "" {
		result.Run = run
	}
	if err != nil {
		return result, err
	}
	return r.judge(ctx, req, result, at)
}

// specOf makes the functions that give the spec, with what the user set in it.
func (r *Rerunner) specOf(ctx context.Context, req Request, p *Prepared) error {
	options := SpecOptions{Withheld: req.Secrets["job"], Reader: r.Reader, Resubmit: true, Name: req.Name, Set: req.Set, Relocate: req.Relocate, moved: p.relocated}
	run := req.Run
	run.Images = p.Images
	if len(req.Set) > 0 {
		data, _, set, err := pinSpec(ctx, req.Run, r.Blobs, SpecOptions{Withheld: options.Withheld, Reader: r.Reader, Set: req.Set})
		if err != nil {
			return err
		}
		spec, err := recordedSpec(req.Run, data, r.Reader)
		if err != nil {
			return err
		}
		p.JobData, p.Job.TemplateDigest = data, spec.Template()
		p.Relaxed = append(p.Relaxed, set...)
	}
	p.Spec = func(id schema.RunID) ([]byte, error) {
		o := options
		o.Stamp = id
		if o.Name == "" && p.Launcher == "kubernetes" {
			o.Name = jobName(req.Run, id)
		}
		data, _, err := PinnedSpec(ctx, run, r.Blobs, o)
		return data, err
	}
	return nil
}

// jobName names the object of a rerun, so that it can be told from the original's and found by the run.
func jobName(of schema.Run, id schema.RunID) string {
	name := "rerun-of-" + strings.ToLower(of.ID.Short())
	return name + "-" + strings.ToLower(id.Short())
}

// follow waits for the job, or stops it when ctx ends, and writes down what became of it.
func (r *Rerunner) follow(ctx context.Context, scheduler launch.Batch, id schema.RunID, launched schema.Launched, req Request) (schema.Run, error) {
	output := req.Output
	if output == nil {
		output = io.Discard
	}
	quiet := context.WithoutCancel(ctx)
	outcome, err := scheduler.Wait(ctx, launched, output)
	switch {
	case ctx.Err() != nil:
		if stopErr := scheduler.Stop(quiet, launched); stopErr != nil {
			return schema.Run{}, errors.Join(interrupted(), fmt.Errorf("%s may still run: %w", describe(launched), stopErr))
		}
		if outcome, err = scheduler.Wait(quiet, launched, io.Discard); err != nil {
			outcome = launch.Outcome{Exit: launch.Exit{Code: 130}}
		}
		outcome.Why = "it was stopped because the rerun was interrupted"
		err = interrupted()
	case schema.IsKind(err, schema.Drift), schema.IsKind(err, schema.Gone): // it runs something else, or never will: neither may go on
		if stopErr := scheduler.Stop(quiet, launched); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("%s may still run: %w", describe(launched), stopErr))
		}
		outcome.Exit.Code, outcome.Why = max(outcome.Exit.Code, 1), err.Error()
	case err != nil: // nobody knows how it goes on: it is left, and has a name
		return schema.Run{}, errors.Join(err, &schema.Error{Op: "rerun.follow", Kind: schema.Unavailable, Subject: describe(launched), Err: errors.New("it was submitted and may still run"),
			Hint: r.again(string(id)) + " again"})
	}
	run, collectErr := r.Collect.Collect(quiet, id, launched, outcome)
	if told := collectErr == nil || schema.IsKind(collectErr, schema.Drift); !launched.Keep && told { // what could be told of it stands in the record
		if err := scheduler.Remove(quiet, launched); err != nil {
			r.Warn("%s has ended and could not be removed: %v", describe(launched), err)
		}
	}
	return run, errors.Join(err, collectErr)
}

func describe(l schema.Launched) string {
	if l.Place == "" {
		return l.On + " " + l.Job
	}
	return l.On + " " + l.Job + " in " + l.Place
}
