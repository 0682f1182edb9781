package rerun

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

func TestResume(t *testing.T) {
	boom := &schema.Error{Kind: schema.Unavailable, Err: errors.New("boom")}
	moved := &schema.Error{Kind: schema.Drift, Err: errors.New("another image")}
	launched := &schema.Launched{On: "kubernetes", Job: "Job/train", Place: "ml"}
	for name, c := range map[string]struct {
		spoil   func(run *schema.Run)
		prepare func(w *world, s *scheduler)
		calls   string
		kind    schema.Kind
		says    string
	}{
		"ended":                {func(*schema.Run) {}, nil, "", "", ""},
		"a command, lost":      {func(r *schema.Run) { r.Status = schema.Lost }, nil, "", "", ""},
		"a command, runs":      {func(r *schema.Run) { r.Status = schema.Running }, nil, "", schema.Unavailable, "it is running"},
		"a job, ended":         {func(r *schema.Run) { r.Status, r.Launched = schema.Planned, launched }, nil, "wait remove", "", ""},
		"a job, lost":          {func(r *schema.Run) { r.Status, r.Launched = schema.Lost, launched }, nil, "wait remove", "", ""},
		"a job, asked in vain": {func(r *schema.Run) { r.Status, r.Launched = schema.Planned, launched }, func(_ *world, s *scheduler) { s.wait = answers(boom) }, "wait", schema.Unavailable, "boom"},
		"another image":        {func(r *schema.Run) { r.Status, r.Launched = schema.Planned, launched }, func(_ *world, s *scheduler) { s.wait = answers(moved) }, "wait stop", schema.Drift, "another image"},
		"ran another image":    {func(r *schema.Run) { r.Status, r.Launched = schema.Planned, launched }, func(w *world, _ *scheduler) { w.collected = moved }, "wait", schema.Drift, "another image"},
		"a job, goes on": {func(r *schema.Run) { r.Status, r.Launched = schema.Planned, launched }, func(_ *world, s *scheduler) {
			s.wait = func(ctx context.Context, _ int) (launch.Outcome, error) {
				<-ctx.Done()
				return launch.Outcome{}, &schema.Error{Kind: schema.Interrupted, Err: ctx.Err()}
			}
		}, "wait", schema.Unavailable, "Job/train in ml has not ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s, r, run := jobWorld()
			c.spoil(&run)
			if c.prepare != nil {
				c.prepare(w, s)
			}
			_, err := r.Resume(t.Context(), run)
			if schema.KindOf(err) != c.kind || strings.Join(s.calls, " ") != c.calls || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v after %q, want %s %q after %q", err, s.calls, c.kind, c.says, c.calls)
			}
		})
	}
}

// A dry run asks what a rerun asks, and changes nothing.
func TestForesee(t *testing.T) {
	w, r := newWorld()
	dir := filepath.Join(t.TempDir(), "again")
	f, err := r.Foresee(t.Context(), Request{Run: original(), Dir: dir, Environ: []string{"OMP_NUM_THREADS=1", "WANDB_RUN_ID=secret"}})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, s := range f.Steps {
		text += s.About + " " + s.Text + "\n"
	}
	for _, want := range []string{"directory " + dir + " is made", "code:code commit 9fceb02d0ae5 is restored into " + dir + "/code", "copied from /home/u/project/data to " + dir + "/code/data",
		"variable OMP_NUM_THREADS=4, as recorded; here it is another", "variable WANDB_RUN_ID is left out", "output:model is written to " + dir + "/code/m.pt", "compare output model, bit for bit, with " + string(digestA)} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "secret") || w.prepared != nil || len(w.placed)+len(w.saved) > 0 {
		t.Errorf("it did something:\n%s", text)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error("the directory was made")
	}
	w.checks["dataset:train"] = schema.Availability{State: schema.StateGone}
	if _, err := r.Foresee(t.Context(), Request{Run: original(), Dir: dir}); schema.KindOf(err) != schema.Gone {
		t.Errorf("what is gone: %v", err)
	}
	wj, s, r, job := jobWorld()
	f, err = r.Foresee(t.Context(), Request{Run: job})
	if err != nil || strings.Join(s.calls, " ") != "plan probe" || wj.job != nil || !strings.Contains(f.Steps[1].Text, "create it") {
		t.Errorf("a job: %v, %q, %+v", err, s.calls, f.Steps)
	}
}
