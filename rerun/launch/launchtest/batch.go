package launchtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Work is what a job of the suite does.
type Work struct {
	Output string // it prints this
	Hold   bool   // then it goes on until it is released
	Code   int    // and ends with this code
}

// BatchHarness is a scheduler, real or played.
type BatchHarness struct {
	// New gives a launcher that knows nothing of what others of its kind did, as another process would have it.
	New func(t *testing.T) launch.Batch
	// Spec gives a spec of a run of its own that does the work.
	Spec func(t *testing.T, work Work) launch.Spec
	// Release lets a job that holds go on to its end.
	Release func(t *testing.T, spec launch.Spec)
	// Left names what there is of a spec in the scheduler and on disk that Remove takes away.
	Left func(t *testing.T, spec launch.Spec) []string
	// Running reports whether the scheduler has a job of the spec that has not ended.
	Running func(t *testing.T, spec launch.Spec) bool
	// Refused is a spec that Plan takes and the scheduler does not.
	Refused func(t *testing.T) launch.Spec
	// Unfollowable are specs that Plan refuses.
	Unfollowable func(t *testing.T) []launch.Spec
	// Gone is a handle such as the launcher gives, of a job that the scheduler does not know.
	Gone schema.Launched
}

type batchTest struct {
	BatchHarness
	t *testing.T
}

// Batch holds a launcher of job specs to its promises.
func Batch(t *testing.T, h BatchHarness) {
	for _, test := range []struct {
		name string
		run  func(batchTest)
	}{
		{"probe and plan", batchTest.probeAndPlan},
		{"success", batchTest.success},
		{"exit codes", batchTest.exitCodes},
		{"output", batchTest.output},
		{"a writer that fails", batchTest.brokenWriter},
		{"the end of the context leaves the job", batchTest.detach},
		{"stop", batchTest.stop},
		{"remove", batchTest.remove},
		{"find", batchTest.find},
		{"handles of others", batchTest.handles},
		{"a job that is gone", batchTest.gone},
		{"refused", batchTest.refused},
		{"context that has ended", batchTest.endedContext},
		{"several at once", batchTest.several},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(batchTest{h, t}) })
	}
}

func (b batchTest) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	b.t.Cleanup(cancel)
	return ctx
}

// submit submits, and takes the job away when the test ends.
func (b batchTest) submit(spec launch.Spec) (launch.Batch, schema.Launched) {
	b.t.Helper()
	l := b.New(b.t)
	job, err := l.Submit(b.context(), spec)
	if err != nil {
		b.t.Fatal(err)
	}
	if job.On != l.Name() || job.Job == "" || !job.At.IsZero() {
		b.t.Errorf("the handle is %+v", job)
	}
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := errors.Join(l.Stop(ctx, job), l.Remove(ctx, job)); err != nil {
			b.t.Error(err)
		}
		if left := b.Left(b.t, spec); len(left) > 0 {
			b.t.Errorf("left are %q", left)
		}
	})
	return l, job
}

func (b batchTest) want(err error, kind schema.Kind) {
	b.t.Helper()
	if schema.KindOf(err) != kind {
		b.t.Errorf("got %q, want the kind %s: %v", schema.KindOf(err), kind, err)
	}
	if err != nil {
		wantErrorForm(b.t, err)
	}
}

func (b batchTest) probeAndPlan() {
	l := b.New(b.t)
	if err := l.Probe(b.context(), launch.Spec{}); err != nil {
		b.t.Error(err)
	}
	spec := b.Spec(b.t, Work{Output: "x\n"})
	data := slices.Clone(spec.Data)
	lines, err := l.Plan(spec)
	if err != nil || len(lines) == 0 {
		b.t.Fatalf("%q %v", lines, err)
	}
	for _, line := range lines {
		if strings.TrimSpace(line) != line || line == "" || strings.ContainsAny(line, "\n\r\x1b") {
			b.t.Errorf("not a line: %q", line)
		}
	}
	again, _ := l.Plan(spec)
	if !slices.Equal(lines, again) {
		b.t.Errorf("%q, then %q", lines, again)
	}
	if left := b.Left(b.t, spec); len(left) > 0 || b.Running(b.t, spec) || string(data) != string(spec.Data) {
		b.t.Errorf("a plan left %q", left)
	}
	for _, spec := range b.Unfollowable(b.t) {
		_, err := l.Plan(spec)
		b.want(err, schema.Invalid)
		_, err = l.Submit(b.context(), spec)
		b.want(err, schema.Invalid)
		if b.Running(b.t, spec) {
			b.t.Errorf("%s runs", spec.Name)
		}
	}
}

func (b batchTest) success() {
	l, job := b.submit(b.Spec(b.t, Work{Output: "hello\n"}))
	var out strings.Builder
	outcome, err := l.Wait(b.context(), job, &out)
	if err != nil || outcome.Exit != (launch.Exit{}) || out.String() != "hello\n" {
		b.t.Errorf("%+v %v %q", outcome, err, out.String())
	}
	out.Reset() // what has ended can be waited for again
	outcome, err = b.New(b.t).Wait(b.context(), job, &out)
	if err != nil || outcome.Exit != (launch.Exit{}) || out.String() != "hello\n" {
		b.t.Errorf("again: %+v %v %q", outcome, err, out.String())
	}
}

func (b batchTest) exitCodes() {
	for _, code := range []int{1, 42, 127, 255} {
		l, job := b.submit(b.Spec(b.t, Work{Output: "x\n", Code: code}))
		outcome, err := l.Wait(b.context(), job, io.Discard)
		if err != nil || outcome.Exit != (launch.Exit{Code: code}) {
			b.t.Errorf("%d: %+v %v", code, outcome, err)
		}
	}
}

func (b batchTest) output() {
	for _, want := range []string{"", "no end of line", "\n\n", "\x00\xff\x1b[31m\r\n", numbers(200000)} {
		l, job := b.submit(b.Spec(b.t, Work{Output: want}))
		var out strings.Builder
		if outcome, err := l.Wait(b.context(), job, &out); err != nil || outcome.Exit.Code != 0 || out.String() != want {
			b.t.Errorf("%+v %v, %d bytes of %d: %.60q", outcome, err, out.Len(), len(want), out.String())
		}
	}
}

func (b batchTest) brokenWriter() {
	l, job := b.submit(b.Spec(b.t, Work{Output: "x\n", Code: 3}))
	if outcome, err := l.Wait(b.context(), job, brokenWriter{}); err != nil || outcome.Exit.Code != 3 {
		b.t.Errorf("%+v %v", outcome, err)
	}
}

// Whoever waits may go; another process waits on, and gets the output from its beginning.
func (b batchTest) detach() {
	spec := b.Spec(b.t, Work{Output: "begun\n", Hold: true, Code: 6})
	l, job := b.submit(spec)
	ctx, cancel := context.WithCancel(b.context())
	defer cancel()
	_, err := l.Wait(ctx, job, OnOutput("begun\n", cancel))
	b.want(err, schema.Interrupted)
	if !b.Running(b.t, spec) {
		b.t.Fatal("the job does not go on")
	}
	again := OnOutput("begun\n", func() { b.Release(b.t, spec) })
	outcome, err := b.New(b.t).Wait(b.context(), job, again)
	if err != nil || outcome.Exit.Code != 6 || again.String() != "begun\n" {
		b.t.Errorf("%+v %v %q", outcome, err, again.String())
	}
}

func (b batchTest) stop() {
	spec := b.Spec(b.t, Work{Output: "begun\n", Hold: true})
	l, job := b.submit(spec)
	for range 2 {
		if err := b.New(b.t).Stop(b.context(), job); err != nil {
			b.t.Fatal(err)
		}
		if b.Running(b.t, spec) {
			b.t.Fatal("it runs")
		}
	}
	// One that was stopped has failed, or is gone.
	if outcome, err := l.Wait(b.context(), job, io.Discard); err == nil && outcome.Exit.Code == 0 || err != nil && !schema.IsKind(err, schema.Gone) {
		b.t.Errorf("%+v %v", outcome, err)
	}
}

func (b batchTest) remove() {
	spec := b.Spec(b.t, Work{Output: "x\n"})
	l, job := b.submit(spec)
	if _, err := l.Wait(b.context(), job, io.Discard); err != nil {
		b.t.Fatal(err)
	}
	for range 2 {
		if err := b.New(b.t).Remove(b.context(), job); err != nil {
			b.t.Error(err)
		}
		if left := b.Left(b.t, spec); len(left) > 0 {
			b.t.Errorf("left are %q", left)
		}
	}
	if err := l.Stop(b.context(), job); err != nil {
		b.t.Error(err)
	}
}

// What a submitter made that was killed then is found by another process, while it runs and after its end, at its place and nowhere else.
func (b batchTest) find() {
	spec := b.Spec(b.t, Work{Output: "x\n", Hold: true, Code: 4})
	place, err := b.New(b.t).Place(b.context(), spec)
	if err != nil || place == "" {
		b.t.Fatalf("%q %v", place, err)
	}
	if _, ok, err := b.New(b.t).Find(b.context(), spec, place); ok || err != nil {
		b.t.Errorf("before there is one: %v %v", ok, err)
	}
	l, job := b.submit(spec)
	if job.Place != place {
		b.t.Errorf("it is at %q, and was to be at %q", job.Place, place)
	}
	wantFound := func(when string) {
		b.t.Helper()
		for _, at := range []string{place, ""} {
			if found, ok, err := b.New(b.t).Find(b.context(), spec, at); !ok || err != nil || found != job {
				b.t.Errorf("%s: %+v %v %v, want %+v", when, found, ok, err, job)
			}
		}
	}
	wantFound("while it runs")
	_, ok, err := b.New(b.t).Find(b.context(), spec, place+"-2")
	b.want(err, schema.Invalid)
	if _, other, err := b.New(b.t).Find(b.context(), b.Spec(b.t, Work{}), place); ok || other || err != nil {
		b.t.Errorf("found elsewhere: %v, of another run: %v %v", ok, other, err)
	}
	b.Release(b.t, spec)
	if outcome, err := l.Wait(b.context(), job, io.Discard); err != nil || outcome.Exit.Code != 4 {
		b.t.Errorf("%+v %v", outcome, err)
	}
	wantFound("after its end")
	if _, ok, err := b.New(b.t).Find(b.context(), launch.Spec{Name: spec.Name, Run: spec.Run, Data: nil}, place); err != nil && schema.KindOf(err) != schema.Unavailable || err == nil && !ok {
		b.t.Errorf("without its text: %v %v", ok, err)
	}
}

func (b batchTest) handles() {
	l := b.New(b.t)
	for _, job := range []schema.Launched{
		{}, {On: l.Name()}, {On: "another", Job: b.Gone.Job, Place: b.Gone.Place}, {Job: b.Gone.Job, Place: b.Gone.Place},
		{On: l.Name(), Job: "../../etc/passwd", Place: b.Gone.Place}, {On: l.Name(), Job: "--all", Place: b.Gone.Place}, {On: l.Name(), Job: "1 2;\x1b[2J\n", Place: b.Gone.Place},
		{On: l.Name(), Job: strings.Repeat("9", 1<<20), Place: b.Gone.Place}, {On: l.Name(), Job: b.Gone.Job, Place: "../x\n\x1b[2J"},
	} {
		ctx := b.context()
		_, err := l.Wait(ctx, job, io.Discard)
		b.want(err, schema.Invalid)
		b.want(l.Stop(ctx, job), schema.Invalid)
		b.want(l.Remove(ctx, job), schema.Invalid)
	}
}

func (b batchTest) gone() {
	l := b.New(b.t)
	if err := l.Stop(b.context(), b.Gone); err != nil {
		b.t.Error(err)
	}
	if err := l.Remove(b.context(), b.Gone); err != nil {
		b.t.Error(err)
	}
	_, err := l.Wait(b.context(), b.Gone, io.Discard)
	b.want(err, schema.Gone)
}

func (b batchTest) refused() {
	spec := b.Refused(b.t)
	if _, err := b.New(b.t).Plan(spec); err != nil {
		b.t.Error(err)
	}
	_, err := b.New(b.t).Submit(b.context(), spec)
	b.want(err, schema.Invalid)
	if left := b.Left(b.t, spec); len(left) > 0 || b.Running(b.t, spec) {
		b.t.Errorf("left are %q", left)
	}
}

func (b batchTest) endedContext() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	spec := b.Spec(b.t, Work{})
	_, err := b.New(b.t).Submit(ctx, spec)
	b.want(err, schema.Interrupted)
	if left := b.Left(b.t, spec); len(left) > 0 || b.Running(b.t, spec) {
		b.t.Errorf("left are %q", left)
	}
	held := b.Spec(b.t, Work{Hold: true})
	l, job := b.submit(held)
	_, err = l.Wait(ctx, job, io.Discard)
	b.want(err, schema.Interrupted)
	if !b.Running(b.t, held) {
		b.t.Error("the job does not go on")
	}
}

func (b batchTest) several() {
	var all sync.WaitGroup
	for i := range 3 {
		want := fmt.Sprintf("output %d\n", i)
		l, job := b.submit(b.Spec(b.t, Work{Output: want, Code: i}))
		ctx := b.context()
		all.Go(func() {
			var out strings.Builder
			if outcome, err := l.Wait(ctx, job, &out); err != nil || outcome.Exit.Code != i || out.String() != want {
				b.t.Errorf("%d: %+v %v %q", i, outcome, err, out.String())
			}
		})
	}
	all.Wait()
}
