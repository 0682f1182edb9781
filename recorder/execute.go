package recorder

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// Execute starts the command, waits for it, looks again at what it used, and seals the run. From the moment the command has started nothing that
// befalls the recorder changes the exit code; an error means that it could not be started.
func (p *Planned) Execute(ctx context.Context) (Result, error) {
	defer p.staged.close()
	launcher := p.r.Launchers[p.place.launcher]
	if launcher == nil {
		return Result{}, internalf("no launcher named %q", p.place.launcher)
	}
	before := signatures(p.Run.DeclaredOutputs, p.Run.MetricsFile)
	if err := ctx.Err(); err != nil {
		stopped := &schema.Error{Op: "record", Kind: schema.Interrupted, Subject: "record", Err: errors.New("stopped before the command was started")}
		p.sealUnstarted(context.WithoutCancel(ctx), p.r.Now(), stopped)
		return Result{ID: p.Run.ID}, stopped
	}
	// What the recorder does from here on must not be cut short by the signals that are meant for the command.
	quiet := context.WithoutCancel(ctx)
	var background sync.WaitGroup
	ended := make(chan struct{})
	background.Go(func() { p.observeEnvironment(quiet, ended) })
	stopBeat := p.keepBeating(quiet, &background)
	launching := quiet
	if p.req.Rerun != nil { // a signal that came while it was being restored must stop it, too; and on another machine none reaches it
		launching = ctx
	}
	exit, err := launcher.Launch(launching, LaunchRequest{Argv: p.place.argv, Dir: p.place.dir, Env: p.place.env, Stdin: p.req.Stdin, Stdout: p.req.Stdout,
		Stderr: p.req.Stderr, Image: p.place.image, Mounts: p.place.mounts, GPUs: p.gpus(), Withheld: p.withheldVariables(), Started: p.req.Started})
	close(ended)
	stopBeat()
	background.Wait()
	finished := p.r.Now()
	if err != nil {
		p.sealUnstarted(quiet, finished, err)
		return Result{ID: p.Run.ID}, err
	}
	why := ""
	if p.req.Rerun != nil && ctx.Err() != nil { // whatever its exit code: many a trainer saves what it has, and ends with 0
		why = "it was stopped because the rerun was interrupted"
	}
	p.seal(quiet, finished, exit, before, why)
	return Result{ID: p.Run.ID, Run: p.Run, Code: exit.Code}, nil
}

// withheldVariables are those that a file gave to a rerun: no value of theirs is written down.
func (p *Planned) withheldVariables() (names []string) {
	if p.req.Rerun != nil {
		for _, kv := range p.req.Rerun.Env {
			names = append(names, before(kv, "="))
		}
	}
	return names
}

// gpus is what the container is given.
func (p *Planned) gpus() string {
	if p.place.image == "" || p.Run.GPUs == "none" {
		return ""
	}
	return p.Run.GPUs
}

func (p *Planned) keepBeating(ctx context.Context, background *sync.WaitGroup) (stop func()) {
	if p.r.Beat == nil {
		return func() {}
	}
	done := make(chan struct{})
	background.Go(func() {
		ticker := time.NewTicker(BeatInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				// A beat that is not taken costs nothing: on the same machine the process itself proves that the run lives.
				_ = p.r.Beat.Beat(ctx, p.Run.ID, schema.At(p.r.Now()))
			}
		}
	})
	return sync.OnceFunc(func() { close(done) })
}

// reportAlone is how long a command must have been running for its environment to be reported at once: a shorter one reports it with its end.
const reportAlone = 500 * time.Millisecond

// seenEnvironment is what was read of this node, and its blobs.
type seenEnvironment struct {
	env   schema.Environment
	err   error
	blobs *staging
}

// lookAround begins to read the environment beside the resolvers: it depends on no pin. Asking a GPU can take longer than the rest of the recorder together.
func (p *Planned) lookAround(ctx context.Context) {
	if p.r.Environment == nil || len(p.req.Command) == 0 {
		return
	}
	if g := p.req.Rerun; g != nil {
		if _, remote := p.r.Launchers[g.Launcher].(RemoteLauncher); remote {
			p.Run.Reasons = append(p.Run.Reasons, schema.Reason{Code: "environment-unread", Subject: "environment", Text: "the command runs on another machine (" + g.Launcher + "), which was not looked at"})
			return
		}
	}
	seen := make(chan seenEnvironment, 1)
	p.environment = seen
	req := EnvironmentRequest{Argv: p.req.Command, Env: p.req.Environ, Dir: p.req.WorkDir, Extra: p.req.Env}
	if p.req.Rerun != nil {
		for _, kv := range p.req.Rerun.Env {
			req.Unsaid = append(req.Unsaid, before(kv, "="))
		}
	}
	if p.req.In != "" {
		req.Argv, req.Env, req.Dir = nil, nil, "" // what is installed in the image is the image's, not this machine's
	} else {
		req.CodeRoot = p.r.CodeRoot(p.req.WorkDir)
	}
	blobs := newStaging()
	req.Sink = blobs
	go func() {
		env, err := p.r.Environment.ReadEnvironment(ctx, req)
		seen <- seenEnvironment{env, err, blobs}
	}()
}

func (p *Planned) observeEnvironment(ctx context.Context, ended <-chan struct{}) {
	if p.environment == nil {
		return
	}
	seen := <-p.environment
	defer seen.blobs.close()
	doc := p.document(schema.KindObservation, schema.At(p.r.Now()))
	doc.Observation = &schema.Observation{Environment: &seen.env}
	if seen.err != nil {
		doc.Observation = &schema.Observation{Reasons: []schema.Reason{{Code: "environment-unread", Subject: "environment", Text: seen.err.Error()}}}
	}
	timer := time.NewTimer(reportAlone)
	defer timer.Stop()
	select {
	case <-ended:
		p.observed = append(p.observed, doc)
		p.staged.adopt(seen.blobs)
	case <-timer.C:
		p.saveReport(ctx, schema.Report{Documents: []schema.Document{doc}, Blobs: seen.blobs.take()})
	}
}

// seal records outputs, metrics, drift and the end in one report. why says more of the end than an exit code.
func (p *Planned) seal(ctx context.Context, finished time.Time, exit Exit, before map[string]signature, why string) {
	at := schema.At(finished)
	outputs, metrics, reasons := p.r.collect(ctx, p.Run.DeclaredOutputs, p.Run.MetricsFile, before, p.staged)
	drift := p.recheck(ctx)
	reasons = append(reasons, p.recaptureAtEnd(ctx)...)
	labels, metrics, unread := p.r.readBack(ctx, TrackerRequest{Run: p.Run.ID, WorkDir: p.req.WorkDir, Environ: p.req.Environ, Since: p.started}, metrics)
	reasons = append(reasons, unread...)
	var docs []schema.Document
	if labels != nil {
		doc := p.document(schema.KindLabel, at)
		doc.Label = labels
		docs = append(docs, doc)
	}
	if len(outputs) > 0 || len(metrics) > 0 {
		doc := p.document(schema.KindOutput, at)
		doc.Output = &schema.OutputEvent{Outputs: outputs, Metrics: metrics}
		docs = append(docs, doc)
	}
	if len(drift) > 0 || len(reasons) > 0 {
		doc := p.document(schema.KindObservation, at)
		doc.Observation = &schema.Observation{Drift: drift, Reasons: reasons}
		docs = append(docs, doc)
	}
	to := schema.Succeeded
	if exit.Code != 0 || why != "" {
		to = schema.Failed
	}
	// The fingerprint is fixed here, of the inputs as they are known now: one that drifted has none.
	var fingerprint schema.Fingerprint
	if run, err := schema.Fold(slices.Concat(p.docs, p.observed, docs)); err == nil {
		fingerprint, _ = run.Fingerprinted()
	}
	status := p.document(schema.KindStatus, at)
	status.Status = &schema.StatusChange{To: to, Finished: at, ExitCode: &exit.Code, Signal: exit.Signal, Fingerprint: fingerprint, Why: why}
	p.finish(ctx, append(docs, status))
}

// sealUnstarted: the command could not be started; the run is kept as failed, with the reason.
func (p *Planned) sealUnstarted(ctx context.Context, finished time.Time, cause error) {
	at := schema.At(finished)
	status := p.document(schema.KindStatus, at)
	status.Status = &schema.StatusChange{To: schema.Failed, Finished: at, Why: "the command could not be started: " + cause.Error()}
	p.finish(ctx, []schema.Document{status})
}

func (p *Planned) finish(ctx context.Context, docs []schema.Document) {
	p.saveReport(ctx, schema.Report{Documents: slices.Concat(p.observed, docs), Blobs: p.staged.take()})
	if run, err := schema.Fold(p.docs); err == nil {
		p.Run = run
	} else {
		p.r.warnf("run %s: %v", p.Run.ID.Short(), err)
	}
}

// recheck looks at every data set again: an input that changed while the run was using it is drift.
func (p *Planned) recheck(ctx context.Context) []schema.Drifted {
	var drift []schema.Drifted
	for _, d := range p.Run.Datasets {
		if len(d.Reasons) > 0 && d.ContentDigest == "" && d.VersionID == "" {
			continue // it was never resolved
		}
		if p.req.Rerun != nil && d.Path != nil && p.req.Rerun.Sources[d.Name] != "" {
			at := *d.Path
			at.Located = schema.Text(p.req.Rerun.Sources[d.Name])
			d.Path = &at
		}
		if change := p.r.Datasets.RecheckDataset(ctx, d); change != nil {
			change.At = schema.At(p.r.Now())
			drift = append(drift, *change)
			p.r.warnf("%s changed while the run was using it: %s", change.Pin, change.Text)
		}
	}
	return drift
}

var errNoSuchOutput = errors.New("it does not exist at the end of the run")
