package rerun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// writtenJob is a job that was written down, and what was said of it since.
type writtenJob struct {
	id       schema.RunID
	spec     []byte
	launched schema.Launched
	followed bool
	stopped  bool
	refused  error
	unsure   error
}

func (j *writtenJob) ID() schema.RunID { return j.id }
func (j *writtenJob) Spec() []byte     { return j.spec }
func (j *writtenJob) Submitted(_ context.Context, l schema.Launched, follow bool) (func(), error) {
	j.launched, j.followed = l, follow
	return func() { j.stopped = true }, nil
}
func (j *writtenJob) Refused(_ context.Context, cause error) { j.refused = cause }
func (j *writtenJob) Unsure(_ context.Context, cause error)  { j.unsure = cause }

// scheduler is one that does as it is told.
type scheduler struct {
	calls   []string
	submit  error
	probe   error
	wait    func(ctx context.Context, n int) (launch.Outcome, error)
	waits   int
	spec    launch.Spec
	stopErr error
	found   *schema.Launched // what Find finds
	findErr error
	place   string // that Find was told
}

func (s *scheduler) Name() string { return "kubernetes" }
func (s *scheduler) Probe(context.Context, launch.Spec) error {
	s.calls = append(s.calls, "probe")
	return s.probe
}
func (s *scheduler) Plan(launch.Spec) ([]string, error) {
	s.calls = append(s.calls, "plan")
	return []string{"create it"}, nil
}
func (s *scheduler) Submit(_ context.Context, spec launch.Spec) (schema.Launched, error) {
	s.calls, s.spec = append(s.calls, "submit"), spec
	return schema.Launched{On: "kubernetes", Job: "Job/train", Place: "ml"}, s.submit
}
func (s *scheduler) Place(context.Context, launch.Spec) (string, error) { return "ml", nil }
func (s *scheduler) Find(_ context.Context, spec launch.Spec, place string) (schema.Launched, bool, error) {
	s.calls, s.spec, s.place = append(s.calls, "find"), spec, place
	if s.found == nil {
		return schema.Launched{}, false, s.findErr
	}
	return *s.found, true, nil
}
func (s *scheduler) Wait(ctx context.Context, _ schema.Launched, _ io.Writer) (launch.Outcome, error) {
	s.calls = append(s.calls, "wait")
	s.waits++
	return s.wait(ctx, s.waits)
}
func (s *scheduler) Stop(ctx context.Context, _ schema.Launched) error {
	s.calls = append(s.calls, "stop")
	return errors.Join(ctx.Err(), s.stopErr)
}
func (s *scheduler) Remove(context.Context, schema.Launched) error {
	s.calls = append(s.calls, "remove")
	return nil
}

// keptBlobs are kept in memory.
type keptBlobs map[schema.Digest][]byte

func (b keptBlobs) OpenBlob(_ context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b[ref.Digest])), nil
}

// Collect implements Collecting.
func (w *world) Collect(_ context.Context, id schema.RunID, _ schema.Launched, outcome launch.Outcome) (schema.Run, error) {
	run := originalJob(nil)
	run.ID, run.ExitCode, run.Why = id, &outcome.Exit.Code, outcome.Why
	return run, w.collected
}

const jobText = `apiVersion: batch/v1
kind: Job
metadata: {name: train}
spec:
  template:
    spec:
      containers:
        - name: main
          image: reg.example.org/team/train:1.4
`

func originalJob(kept keptBlobs) schema.Run {
	zero := 0
	blob := schema.NewBlob(schema.BlobJobSpec, []byte(jobText))
	if kept != nil {
		kept[blob.Ref.Digest] = []byte(jobText)
	}
	r := schema.Run{ID: schema.NewRunID(time.Unix(1_790_000_000, 0)), Status: schema.Succeeded, ExitCode: &zero, Metrics: map[string]schema.Text{"loss": "0.5"}}
	r.Launcher = "kubernetes"
	r.Job = &schema.JobSpec{Format: "kubernetes", Path: schema.Path{Typed: "train.yaml"}, Blob: &blob.Ref}
	r.Images = []schema.ImagePin{{Name: "main", Ref: "reg.example.org/team/train:1.4", Repository: "reg.example.org/team/train", Tag: "1.4", PlatformDigest: digestA, ConfigDigest: digestB,
		Where: schema.Texts([]string{"train.yaml:9:18 spec.template.spec.containers[0].image"})}}
	return r
}

func jobWorld() (*world, *scheduler, *Rerunner, schema.Run) {
	w, r := newWorld()
	s := &scheduler{wait: func(context.Context, int) (launch.Outcome, error) { return launch.Outcome{}, nil }}
	kept := keptBlobs{}
	r.Blobs, r.Collect = kept, w
	r.Scheduler = func(string, []schema.ImagePin) (launch.Batch, error) { return s, nil }
	return w, s, r, originalJob(kept)
}

func TestJobIsWrittenDownSubmittedFollowedAndJudged(t *testing.T) {
	w, s, r, run := jobWorld()
	result, err := r.Execute(t.Context(), Request{Run: run})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.calls, " "); got != "plan probe submit wait remove" {
		t.Error(got)
	}
	if result.Verdict == nil || result.Verdict.Result != schema.Identical || result.Run.ID != w.job.id || !w.job.followed || !w.job.stopped {
		t.Errorf("%+v, %+v", result, w.job)
	}
	text := string(s.spec.Data)
	if !strings.Contains(text, "@"+string(digestA)) || !strings.Contains(text, string(w.job.id)) || strings.Contains(text, "name: train\n") || s.spec.Run != w.job.id {
		t.Errorf("submitted was\n%s", text)
	}
	if w.prepared.Images[0].Use != schema.Enforced || run.Images[0].Use == schema.Enforced {
		t.Error("the pin of the rerun, and of the rerun alone, is enforced")
	}
}

func TestJobThatIsNotFollowed(t *testing.T) {
	w, s, r, run := jobWorld()
	result, err := r.Execute(t.Context(), Request{Run: run, Detach: true})
	if err != nil || result.Verdict != nil || result.Run.Launched == nil || w.job.followed || strings.Join(s.calls, " ") != "plan probe submit" {
		t.Errorf("%v, %+v, %v", err, result, s.calls)
	}
}

// A submission that nobody can be sure of has not failed: the run stays planned, and the reason is kept.
func TestJobThatMayHaveBeenSubmitted(t *testing.T) {
	w, s, r, run := jobWorld()
	s.submit = &schema.Error{Kind: schema.Unavailable, Err: fmt.Errorf("no answer; %w: look there", launch.ErrUnsure)}
	r.VerifyFlags = " --context lab"
	_, err := r.Execute(t.Context(), Request{Run: run})
	if !schema.IsKind(err, schema.Unavailable) || w.job.refused != nil || w.job.unsure == nil || !strings.Contains(err.Error(), "look there") {
		t.Errorf("%v; refused %v, unsure %v", err, w.job.refused, w.job.unsure)
	}
	if hint := schema.HintOf(schema.Failures(err)[1]); hint != "runpin verify "+string(w.job.id)+" --context lab looks at it" {
		t.Errorf("hint %q", hint)
	}
	if w.prepared.Place != "ml" {
		t.Errorf("where it was to be handed over is not written down: %q", w.prepared.Place)
	}
}

// A job that is to be kept is so whoever sees its end.
func TestJobThatIsKept(t *testing.T) {
	w, s, r, run := jobWorld()
	if _, err := r.Execute(t.Context(), Request{Run: run, Keep: true}); err != nil || strings.Join(s.calls, " ") != "plan probe submit wait" {
		t.Errorf("%v after %q", err, s.calls)
	}
	if _, err := r.Execute(t.Context(), Request{Run: run, Keep: true, Detach: true}); err != nil || !w.job.launched.Keep {
		t.Errorf("%v, %+v", err, w.job.launched)
	}
	left := run
	left.Status, left.Launched, s.calls = schema.Planned, &w.job.launched, nil
	if _, err := r.Resume(t.Context(), left); err != nil || strings.Join(s.calls, " ") != "wait" {
		t.Errorf("%v after %q", err, s.calls)
	}
}

func TestJobThatGoesWrong(t *testing.T) {
	boom := &schema.Error{Kind: schema.Unavailable, Err: errors.New("boom")}
	moved := &schema.Error{Kind: schema.Drift, Err: errors.New("another image")}
	for name, c := range map[string]struct {
		prepare func(w *world, s *scheduler, cancel func())
		calls   string
		kind    schema.Kind
		refused bool
	}{
		"no scheduler":       {func(w *world, s *scheduler, _ func()) { s.probe = boom }, "plan probe", schema.Unavailable, false},
		"refused":            {func(w *world, s *scheduler, _ func()) { s.submit = boom }, "plan probe submit", schema.Unavailable, true},
		"out of sight":       {func(w *world, s *scheduler, _ func()) { s.wait = answers(boom) }, "plan probe submit wait", schema.Unavailable, false},
		"something else":     {func(w *world, s *scheduler, _ func()) { s.wait = answers(moved) }, "plan probe submit wait stop remove", schema.Drift, false},
		"ran something else": {func(w *world, s *scheduler, _ func()) { w.collected = moved }, "plan probe submit wait remove", schema.Drift, false},
		"interrupted": {func(w *world, s *scheduler, cancel func()) {
			s.wait = func(ctx context.Context, n int) (launch.Outcome, error) {
				if n == 1 {
					cancel()
					return launch.Outcome{}, &schema.Error{Kind: schema.Interrupted, Err: ctx.Err()}
				}
				return launch.Outcome{Exit: launch.Exit{Code: 143}}, ctx.Err()
			}
		}, "plan probe submit wait stop wait remove", schema.Interrupted, false},
		"interrupted, and not to be stopped": {func(w *world, s *scheduler, cancel func()) {
			s.stopErr = boom
			s.wait = func(ctx context.Context, n int) (launch.Outcome, error) {
				cancel()
				return launch.Outcome{}, &schema.Error{Kind: schema.Interrupted, Err: ctx.Err()}
			}
		}, "plan probe submit wait stop", schema.Interrupted, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, s, r, run := jobWorld()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.prepare(w, s, cancel)
			_, err := r.Execute(ctx, Request{Run: run})
			if !schema.IsKind(err, c.kind) || strings.Join(s.calls, " ") != c.calls {
				t.Errorf("%v of kind %s after %v, want %s after %s", err, schema.KindOf(err), s.calls, c.kind, c.calls)
			}
			if w.job != nil && (w.job.refused != nil) != c.refused {
				t.Errorf("refused: %v", w.job.refused)
			}
			if len(w.saved) > 0 {
				t.Error("there is a verdict")
			}
			if name == "interrupted, and not to be stopped" && !strings.Contains(err.Error(), "Job/train in ml may still run") {
				t.Errorf("it is not said what may still run: %v", err)
			}
		})
	}
}

func answers(err error) func(context.Context, int) (launch.Outcome, error) {
	return func(context.Context, int) (launch.Outcome, error) { return launch.Outcome{}, err }
}

// TestSecretsOfABatchScript: what was withheld of the code that is put back for it is given like that of a command.
func TestSecretsOfABatchScript(t *testing.T) {
	_, _, r, run := jobWorld()
	run.Launcher = "slurm"
	run.Code = []schema.CodePin{{Name: "code", Kind: schema.CodeGit, Excluded: []schema.Exclusion{{Path: "conf/token", Why: schema.ExcludedSecret}}}}
	for name, c := range map[string]struct {
		secrets map[string]string
		refused bool
	}{
		"missing": {nil, true},
		"given":   {map[string]string{"conf/token": "s"}, false},
		"unknown": {map[string]string{"conf/token": "s", "other": "s"}, true},
		"spec":    {map[string]string{"conf/token": "s", "job": "s"}, true}, // which is in the record
	} {
		p, err := r.planJob(Request{Run: run, Secrets: c.secrets})
		if (err != nil) != c.refused || err != nil && schema.KindOf(err) != schema.Invalid || err == nil && p.Secrets["conf/token"] != "s" {
			t.Errorf("%s: %v", name, err)
		}
	}
	run.Launcher = "kubernetes"
	if _, err := r.planJob(Request{Run: run, Secrets: map[string]string{"conf/token": "s"}}); schema.KindOf(err) != schema.Invalid {
		t.Errorf("a cluster: %v", err)
	}
}

// TestWhatIsSetInASpec stands in the record as what is set in a command does.
func TestWhatIsSetInASpec(t *testing.T) {
	w, s, r, run := jobWorld()
	if _, err := r.Execute(t.Context(), Request{Run: run, Set: []Setting{{"field.metadata.name", "other"}}}); err != nil {
		t.Fatal(err)
	}
	want := schema.Reason{Code: "set", Subject: "field.metadata.name", Text: `set to "other"; the original had "train"`}
	if len(w.prepared.Relaxed) != 1 || w.prepared.Relaxed[0] != want || !strings.Contains(string(w.prepared.JobData), "name: other") || strings.Contains(string(s.spec.Data), "train}") {
		t.Errorf("%+v\n%s", w.prepared.Relaxed, w.prepared.JobData)
	}
}
