package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/schema"
)

// JoinRequest says which run a command belongs to that something else has planned. Relative paths are relative to WorkDir.
type JoinRequest struct {
	_ struct{}

	Run     schema.RunID // "": the command runs and nothing is recorded
	Seat    process.Seat
	User    string
	Outputs []OutputRef // {rank} in a path stands for the rank
	Metrics string
	Env     []string // further names of environment variables that determine the result

	Command []string
	WorkDir string
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// SilentInterval is the interval of a lease that nobody renews, because a spool takes no beats: the run counts as lost a day after its start.
const SilentInterval = 8 * time.Hour

const (
	// startAfter is how long a command must have been running for its start to be reported alone: a shorter one reports it with its end.
	startAfter = 100 * time.Millisecond
	// environmentPatience is how long after the end of a command its environment is still waited for.
	environmentPatience = time.Second
	// storePatience is the default of [Recorder.StorePatience], and storeRest how long a store that did not answer is not asked again.
	storePatience = 15 * time.Second
	storeRest     = time.Minute
)

// Join runs a command as one rank of a run and reports what this rank adds: the node's environment, the try, how it ended and, where they are its own, outputs
// and metrics. The command starts at once, whatever has become of the store; nothing that befalls the recorder changes its exit code. An error means that the
// command could not be started. The plan of the run is not read.
func (r *Recorder) Join(ctx context.Context, req JoinRequest) (Result, error) {
	launcher := r.Launchers["local"]
	if launcher == nil {
		return Result{}, internalf("no launcher named %q", "local")
	}
	j := &joined{r: r, req: req, staged: newStaging()}
	defer j.staged.close()
	j.declare()
	job := LaunchRequest{Argv: j.argv(), Dir: req.WorkDir, Env: j.childEnv(), Stdin: req.Stdin, Stdout: req.Stdout, Stderr: req.Stderr}
	// What the recorder does from here on must not be cut short by the signals that are meant for the command.
	quiet := context.WithoutCancel(ctx)
	if req.Run == "" {
		exit, err := launcher.Launch(quiet, job)
		return Result{Code: exit.Code}, err
	}
	before := signatures(j.outputs, j.metrics)
	j.started = r.Now()
	if ctx.Err() != nil {
		stopped := &schema.Error{Op: "record", Kind: schema.Interrupted, Subject: "record", Err: errors.New("stopped before the command was started")}
		j.reportEnd(quiet, Exit{}, stopped, nil)
		return Result{ID: req.Run}, stopped
	}
	j.lookAround(quiet)
	var background sync.WaitGroup
	ended := make(chan struct{})
	background.Go(func() { j.accompany(quiet, ended) })
	exit, err := launcher.Launch(quiet, job)
	close(ended)
	finished := r.Now()
	background.Wait()
	j.finished = finished
	j.awaitEnvironment()
	j.reportEnd(quiet, exit, err, before)
	return Result{ID: req.Run, Code: exit.Code}, err
}

// joined is a command that runs as one rank of a run. One goroutine at a time uses it: the one that accompanies the command, then the one that started it.
type joined struct {
	r        *Recorder
	req      JoinRequest
	staged   *staging
	outputs  []schema.Output // this rank's
	metrics  *schema.Path
	values   map[string]string // paths of all outputs that were asked for, by name
	started  time.Time
	finished time.Time

	environment <-chan seenEnvironment // nil once it has been taken
	pending     []schema.Document      // not reported yet
	untaken     []schema.Report        // reported, and neither the store nor the spool took it
	told        bool                   // the start has been reported
	silent      time.Time              // when the store last failed to answer
}

// declare finds out which outputs are this rank's. torchrun and srun give all ranks the same flags: an output belongs to rank 0, unless its path has {rank} in it.
func (j *joined) declare() {
	root := ""
	if j.r.CodeRoot != nil {
		root = j.r.CodeRoot(j.req.WorkDir)
	}
	seat := j.req.Seat
	rank := 0
	if seat.Rank != nil {
		rank = *seat.Rank
	}
	own := func(path string) (string, bool) {
		placed := strings.ReplaceAll(path, "{rank}", strconv.Itoa(rank))
		return placed, seat.Owner || placed != path
	}
	j.values = map[string]string{}
	for _, ref := range j.req.Outputs {
		uri, mine := own(ref.URI)
		ref.URI = uri
		out := declareOutput(ref, j.req.WorkDir, root)
		j.values[ref.Name] = uri
		if out.Path != nil {
			j.values[ref.Name] = string(out.Path.Typed)
		}
		if mine {
			j.outputs = append(j.outputs, out)
		}
	}
	if path, mine := own(j.req.Metrics); mine && path != "" {
		at := process.PathOf(path, j.req.WorkDir, root)
		j.metrics = &at
		if _, taken := j.values[MetricsName]; !taken {
			j.values[MetricsName] = path
		}
	}
}

func (j *joined) argv() []string {
	if len(j.values) == 0 {
		return j.req.Command
	}
	argv, _ := process.Expand(j.req.Command, j.values)
	return argv
}

// childEnv tells the command its run. The pins and paths that stand there are this run's own when the run is, and stay.
func (j *joined) childEnv() []string {
	if j.req.Run == "" {
		return j.req.Environ
	}
	env := process.ChildEnv(j.req.Environ, process.Child{Run: j.req.Run, Store: j.r.StoreName,
		Tags: j.r.trackerTags(schema.Run{ID: j.req.Run}, j.req.Environ)})
	same := false
	var pins []string
	for _, kv := range j.req.Environ {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case name == "RUNPIN_RUN_ID":
			same = strings.EqualFold(value, string(j.req.Run))
		case strings.HasPrefix(name, "RUNPIN_PIN_") || strings.HasPrefix(name, "RUNPIN_PATH_"):
			pins = append(pins, kv)
		}
	}
	if same {
		env = append(env, pins...)
	}
	return env
}

func (j *joined) lookAround(ctx context.Context) {
	if j.r.Environment == nil {
		return
	}
	seen := make(chan seenEnvironment, 1)
	j.environment = seen
	blobs := newStaging()
	req := EnvironmentRequest{Argv: j.req.Command, Env: j.req.Environ, Dir: j.req.WorkDir, Extra: j.req.Env, Sink: blobs}
	if j.r.CodeRoot != nil {
		req.CodeRoot = j.r.CodeRoot(j.req.WorkDir)
	}
	go func() {
		env, err := j.r.Environment.ReadEnvironment(ctx, req)
		seen <- seenEnvironment{env, err, blobs}
	}()
}

// accompany reports that the command has started, and what its node looks like, and renews the lease, until the command has ended.
func (j *joined) accompany(ctx context.Context, ended <-chan struct{}) {
	start := time.NewTimer(startAfter)
	defer start.Stop()
	beat := time.NewTicker(BeatInterval)
	defer beat.Stop()
	for {
		select {
		case <-ended:
			return
		case seen := <-j.environment:
			j.takeEnvironment(seen)
			if j.told {
				j.flush(ctx)
			}
		case <-start.C:
			j.told = true
			j.pending = append(j.startDocuments(), j.pending...)
			j.flush(ctx)
		case <-beat.C:
			if j.r.Beat != nil {
				beating, cancel := context.WithTimeout(ctx, j.patience())
				_ = j.r.Beat.Beat(beating, j.req.Run, schema.At(j.r.Now()))
				cancel()
			}
		}
	}
}

func (j *joined) awaitEnvironment() {
	if j.environment == nil {
		return
	}
	select {
	case seen := <-j.environment:
		j.takeEnvironment(seen)
	case <-time.After(environmentPatience):
		j.environment = nil
		j.because("environment-unread", "the command had ended before its environment could be read")
	}
}

// takeEnvironment: equal environments of many ranks are one document, and each rank says on which node it saw it.
func (j *joined) takeEnvironment(seen seenEnvironment) {
	j.environment = nil
	defer seen.blobs.close()
	if seen.err == nil {
		seen.env.Node = cmp.Or(j.req.Seat.Node, seen.env.Node)
		shared, node, err := schema.SharedEnvironment(j.req.Run, seen.env)
		if err == nil {
			doc := j.document(schema.KindObservation)
			doc.Observation = &schema.Observation{Node: &node}
			j.pending = append(j.pending, shared, doc)
			j.staged.adopt(seen.blobs)
			return
		}
		seen.err = err
	}
	j.because("environment-unread", seen.err.Error())
}

func (j *joined) because(code, text string) {
	doc := j.document(schema.KindObservation)
	doc.Observation = &schema.Observation{Reasons: []schema.Reason{{Code: code, Subject: "environment", Text: text}}}
	j.pending = append(j.pending, doc)
}

func (j *joined) document(kind schema.DocumentKind) schema.Document {
	now, seat := j.r.Now(), j.req.Seat
	return schema.Document{Schema: schema.SchemaV1, Kind: kind, ID: schema.NewDocumentID(now), Run: j.req.Run, At: schema.At(now),
		Reporter: schema.Reporter{Kind: "joiner", Host: j.r.Host, Rank: seat.Rank, By: j.req.User, Attempt: seat.Attempt, AttemptID: seat.AttemptID}}
}

func (j *joined) startDocuments() []schema.Document {
	lease := j.r.NewLease(BeatInterval)
	status := j.document(schema.KindStatus)
	status.Status = &schema.StatusChange{To: schema.Running, Started: schema.At(j.started), Lease: &lease, Attempt: j.req.Seat.Attempt}
	doc := j.document(schema.KindObservation)
	doc.Observation = &schema.Observation{Attempt: j.attempt(), Reasons: j.req.Seat.Reasons}
	return []schema.Document{status, doc}
}

func (j *joined) attempt() *schema.Attempt {
	seat := j.req.Seat
	return &schema.Attempt{Number: seat.Attempt, ID: seat.AttemptID, Rank: seat.Rank, Node: cmp.Or(seat.Node, j.r.Host), Started: schema.At(j.started)}
}

// reportEnd says everything about this rank that has not been said, and repeats when it started: the report of the start may have been lost with a disk.
func (j *joined) reportEnd(ctx context.Context, exit Exit, failed error, before map[string]signature) {
	if j.finished.IsZero() {
		j.finished = j.r.Now()
	}
	at := schema.At(j.finished)
	attempt := j.attempt()
	attempt.Finished = at
	status := schema.StatusChange{To: schema.Succeeded, Started: attempt.Started, Finished: at, Attempt: j.req.Seat.Attempt}
	observed := schema.Observation{Attempt: attempt}
	if !j.told {
		observed.Reasons = append(observed.Reasons, j.req.Seat.Reasons...)
	}
	var produced schema.OutputEvent
	if failed != nil {
		status.To, status.Why = schema.Failed, "the command could not be started: "+failed.Error()
		attempt.Reason = status.Why
	} else {
		status.ExitCode, status.Signal = &exit.Code, exit.Signal
		attempt.ExitCode, attempt.Reason = &exit.Code, exit.Signal
		if exit.Code != 0 {
			status.To = schema.Failed
		}
		var reasons []schema.Reason
		produced.Outputs, produced.Metrics, reasons = j.r.collect(ctx, j.outputs, j.metrics, before, j.staged)
		observed.Reasons = append(observed.Reasons, reasons...)
		if seat := j.req.Seat; seat.Rank == nil || *seat.Rank == 0 { // the others would find the same runs
			var labels *schema.Label
			labels, produced.Metrics, reasons = j.r.readBack(ctx, TrackerRequest{Run: j.req.Run, WorkDir: j.req.WorkDir, Environ: j.req.Environ, Since: j.started}, produced.Metrics)
			observed.Reasons = append(observed.Reasons, reasons...)
			if labels != nil {
				doc := j.document(schema.KindLabel)
				doc.Label = labels
				j.pending = append(j.pending, doc)
			}
		}
	}
	if len(produced.Outputs)+len(produced.Metrics) > 0 {
		doc := j.document(schema.KindOutput)
		doc.Output = &produced
		j.pending = append(j.pending, doc)
	}
	seen := j.document(schema.KindObservation)
	seen.Observation = &observed
	end := j.document(schema.KindStatus)
	end.Status = &status
	j.pending = append(j.pending, seen, end)
	j.flush(ctx)
}

// flush hands what is pending to the store, or to the spool where the store does not take it. What neither takes is tried again with the next flush: each report
// by itself, so that one that is refused for what it says does not take the end of the try with it.
func (j *joined) flush(ctx context.Context) {
	if report := (schema.Report{Documents: j.pending, Blobs: j.staged.take()}); len(report.Documents) > 0 {
		j.untaken = append(j.untaken, report)
	}
	j.pending = nil
	j.untaken = slices.DeleteFunc(j.untaken, func(report schema.Report) bool { return j.hand(ctx, report) })
}

// hand reports whether the store or the spool took a report, and warns where the store did not.
func (j *joined) hand(ctx context.Context, report schema.Report) bool {
	err := j.store(ctx, report)
	if err == nil {
		return true
	}
	last := "it is lost"
	if j.finished.IsZero() {
		last = "it is tried again with the next report"
	}
	if j.r.Fallback == nil {
		j.r.warnf("a report of run %s could not be stored (%v): %s", j.req.Run.Short(), err, last)
		return false
	}
	if j.told && j.finished.IsZero() {
		// The store cannot hear of this rank, so its silence will mean nothing.
		lease := j.r.NewLease(SilentInterval)
		doc := j.document(schema.KindStatus)
		doc.Status = &schema.StatusChange{To: schema.Running, Started: schema.At(j.started), Lease: &lease, Attempt: j.req.Seat.Attempt}
		report.Documents = append(slices.Clip(report.Documents), doc)
	}
	if spoolErr := j.r.Fallback.Save(ctx, report); spoolErr != nil {
		j.r.warnf("a report of run %s could be kept neither in the store (%v) nor in the spool (%v): %s", j.req.Run.Short(), err, spoolErr, last)
		return false
	}
	j.r.warnf("the store did not take a report of run %s (%v); it waits in the spool and is folded in by `runpin import`", j.req.Run.Short(), err)
	return true
}

func (j *joined) patience() time.Duration { return cmp.Or(j.r.StorePatience, storePatience) }

// store gives up on a store that does not answer: saving the same report again is harmless.
func (j *joined) store(ctx context.Context, report schema.Report) error {
	if !j.silent.IsZero() && time.Since(j.silent) < storeRest {
		return errors.New("it did not answer a moment ago")
	}
	limited, cancel := context.WithTimeout(ctx, j.patience())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- j.r.Saver.Save(limited, report) }()
	select {
	case err := <-done:
		if limited.Err() != nil && err != nil {
			j.silent = time.Now()
		}
		return err
	case <-limited.Done():
		j.silent = time.Now()
		return fmt.Errorf("it did not answer within %s", j.patience())
	}
}
