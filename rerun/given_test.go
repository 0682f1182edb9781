package rerun

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func oneAudit(t *testing.T, r *Rerunner, run schema.Run, opts AuditOptions) (Audited, Tally) {
	t.Helper()
	var got Audited
	tally, err := r.Audit(t.Context(), func(yield func(schema.Run, error) bool) { yield(run, nil) }, opts, func(a Audited) error { got = a; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return got, tally
}

// A check says yes of what a rerun without settings starts, and names what it is refused without.
func TestCheckSaysYesOfWhatARerunStarts(t *testing.T) {
	inBucket := []schema.Output{{Name: "model", URI: "s3://models/run1/m.pt"}}
	for name, c := range map[string]struct {
		change func(run *schema.Run)
		job    bool
		needs  string
	}{
		"as it stands": {change: func(*schema.Run) {}},
		"an argument":  {change: func(run *schema.Run) { run.Withheld = []schema.Withheld{{What: "argument", Name: "api_key"}} }, needs: "secret:api_key"},
		"a file of the code": {change: func(run *schema.Run) {
			run.Code[0].Excluded = []schema.Exclusion{{Path: "key.pem", Why: schema.ExcludedSecret}}
		}, needs: "secret:key.pem"},
		"a variable": {change: func(run *schema.Run) { run.Reasons = []schema.Reason{{Code: envFileCode, Subject: "env.TOKEN"}} }, needs: "secret:TOKEN"},
		"a job's variable": {change: func(run *schema.Run) {
			run.Withheld = []schema.Withheld{{What: "variable", Name: "TOKEN", Subject: "TOKEN"}}
		}, job: true},
		"a URL of a remote":  {change: func(run *schema.Run) { run.Withheld = []schema.Withheld{{What: "url", Name: "origin"}} }},
		"an output":          {change: func(run *schema.Run) { run.DeclaredOutputs = inBucket }, needs: "output:model"},
		"a run of a tracker": {change: func(run *schema.Run) { run.CommandTemplate = append(run.CommandTemplate, "--wandb_id", "abc") }, needs: "tracker:--wandb_id"},
		"everything at once": {change: func(run *schema.Run) {
			run.DeclaredOutputs, run.Withheld = inBucket, []schema.Withheld{{What: "param", Name: "key"}}
			run.CommandTemplate = append(run.CommandTemplate, "--wandb_id=abc")
		}, needs: "secret:key output:model tracker:--wandb_id"},
		"a job": {change: func(*schema.Run) {}, job: true},
		"a job's spec": {change: func(run *schema.Run) {
			run.Job.Blob, run.Withheld = nil, []schema.Withheld{{What: "job-spec", Name: "job"}}
		}, job: true, needs: "secret:job"},
		"a job's output":    {change: func(run *schema.Run) { run.DeclaredOutputs = inBucket }, job: true, needs: "output:model"},
		"a job's param":     {change: func(run *schema.Run) { run.Withheld = []schema.Withheld{{What: "param", Name: "key"}} }, job: true},
		"a script's output": {change: func(run *schema.Run) { run.Launcher, run.Outputs = "slurm", inBucket }, job: true, needs: "output:model"},
		"a script's argument": {change: func(run *schema.Run) {
			run.Launcher, run.Withheld = "slurm", []schema.Withheld{{What: "argument", Name: "key"}}
		}, job: true, needs: "secret:key"},
		"a kind of its own": {change: func(run *schema.Run) { run.Launcher, run.Job.Format = "", "compose" }, job: true, needs: "start"},
	} {
		_, r := newWorld()
		run := original()
		if c.job {
			_, _, r, run = jobWorld()
		}
		c.change(&run)
		a, _ := oneAudit(t, r, run, AuditOptions{})
		if got := strings.Join(names(a.ToGive), " "); got != c.needs || (a.Answer() == RerunYes) != (c.needs == "") || (a.Answer() == RerunNeeds) != (c.needs != "") {
			t.Errorf("%s: %s %q, want %q", name, a.Answer(), got, c.needs)
		}
		for _, row := range a.ToGive {
			if row.Remedy == "" || row.Reason == "" || !row.Advisory {
				t.Errorf("%s: %+v", name, row)
			}
		}
		_, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again")})
		if kind := schema.KindOf(err); (kind == schema.Invalid || kind == schema.Conflict) != (c.needs != "") {
			t.Errorf("%s: check says %s, and the rerun: %v", name, a.Answer(), err)
		}
	}
}

func names(rows []schema.Availability) (out []string) {
	for _, a := range rows {
		out = append(out, a.Pin)
	}
	return out
}

func TestWhatIsLostBeatsWhatIsNeeded(t *testing.T) {
	w, r := newWorld()
	run := original()
	run.Withheld = []schema.Withheld{{What: "argument", Name: "key"}}
	for state, want := range map[schema.State]CanRerun{schema.StateGone: RerunNo, schema.StateUnknown: RerunUnknown, schema.StateAvailable: RerunNeeds} {
		w.checks["code:code"] = schema.Availability{State: state}
		if a, _ := oneAudit(t, r, run, AuditOptions{}); a.Answer() != want || len(a.ToGive) != 1 {
			t.Errorf("%s: %s %+v", state, a.Answer(), a.ToGive)
		}
	}
	delete(w.checks, "code:code")
	if a, _ := oneAudit(t, r, run, AuditOptions{PreflightOptions: PreflightOptions{Given: map[string]bool{"key": true}}}); a.Answer() != RerunYes {
		t.Errorf("what was given is asked for: %+v", a.ToGive)
	}
}

// A run that did not come to its end has nothing to compare with: a history leaves it out, asks nothing about it, and counts it.
func TestAuditLeavesOutWhatDidNotEnd(t *testing.T) {
	job := originalJob(nil)
	for _, c := range []struct {
		run    schema.Run
		status schema.Status
		left   int
	}{{original(), schema.Succeeded, 0}, {original(), schema.Failed, 0}, {original(), schema.Running, 1}, {original(), schema.Lost, 1}, {original(), schema.Planned, 1}, {job, schema.Planned, 0}, {job, schema.Lost, 1}} {
		counted, r := newCounted()
		r.Blobs = keptBlobs{}
		c.run.Status = c.status
		a, tally := oneAudit(t, r, c.run, AuditOptions{Ended: true})
		asked := false
		counted.asked.Range(func(any, any) bool { asked = true; return false })
		if tally.DidNotEnd != c.left || (a.Run == "") != (c.left == 1) || asked != (c.left == 0) {
			t.Errorf("%s: %+v, %d answers, asked: %t", c.status, tally, len(a.Pins), asked)
		}
		if a, tally = oneAudit(t, r, c.run, AuditOptions{}); tally.DidNotEnd != 0 || a.Run == "" {
			t.Errorf("%s, asked for: %+v", c.status, tally)
		}
	}
}

func TestSummaryOfWhatIsNeeded(t *testing.T) {
	_, r := newWorld()
	var s Summary
	add := func(n int, change func(*schema.Run)) {
		for range n {
			run := original()
			change(&run)
			a, _ := oneAudit(t, r, run, AuditOptions{})
			a.Run = schema.RunID(strings.Repeat("0", 25) + string(rune('A'+s.Runs)))
			s.Add(a)
		}
	}
	add(1, func(*schema.Run) {})
	add(2, func(run *schema.Run) { run.Withheld = []schema.Withheld{{What: "argument", Name: "key_a"}} })
	add(3, func(run *schema.Run) { run.Withheld = []schema.Withheld{{What: "argument", Name: "key_b"}} })
	r.Code = &failing{}
	add(1, func(*schema.Run) {})
	s.DidNotEnd = 4
	if want := "of 7 runs 1 can be run again today; 5 can with something that you give; 1 lost their code; 4 more did not end"; s.Sentence() != want {
		t.Errorf("%s\nwant %s", s.Sentence(), want)
	}
	if s.Rerunnable != 1 || s.Needs != 5 || s.Lost != 1 || len(s.Losses()) != 1 {
		t.Errorf("%+v %+v", s, s.Losses())
	}
	var told []string
	for _, c := range s.Causes() {
		told = append(told, c.Kind+" "+strings.TrimPrefix(c.Remedy, "give it to the rerun: "))
		if c.Needed != (c.Kind == "secret") {
			t.Errorf("%+v", c)
		}
	}
	if want := []string{"code ", "secret --secret key_b=@FILE", "secret --secret key_a=@FILE"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q: what is lost comes first, each secret by itself", told, want)
	}
	none := Summary{DidNotEnd: 2}
	if want := "there are no runs to check; 2 more did not end"; none.Sentence() != want {
		t.Errorf("%s", none.Sentence())
	}
}

type failing struct{ world }

func (*failing) CheckCode(context.Context, schema.CodePin, schema.BlobSource) schema.Availability {
	return schema.Availability{State: schema.StateGone, Reason: "away"}
}
