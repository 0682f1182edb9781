package rerun

import (
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// TestIncomparable holds what is said before a rerun against what is judged after it: where nothing can be compared, no result of a rerun that ends as the
// original did is anything else than not comparable.
func TestIncomparable(t *testing.T) {
	zero := 0
	at := &schema.Path{Typed: "o", Base: schema.BaseCheckout, Rel: "o"}
	declared := schema.Output{Name: "o", Path: at}
	hashed := schema.Output{Name: "o", Path: at, FileDigest: digestA}
	as := func(o schema.Output, change func(*schema.Output)) schema.Output { change(&o); return o }
	ended := func(outputs ...schema.Output) schema.Run {
		return schema.Run{ID: "old", Status: schema.Succeeded, ExitCode: &zero, Outputs: outputs, Plan: schema.Plan{DeclaredOutputs: []schema.Output{declared}}}
	}
	nothing := ended()
	nothing.DeclaredOutputs = nil
	cases := map[string]struct {
		run   schema.Run
		given Tolerances
		why   string
	}{
		"an output":         {run: ended(hashed)},
		"missing":           {run: ended(as(declared, func(o *schema.Output) { o.Missing = true }))},
		"stale beside new":  {run: ended(as(hashed, func(o *schema.Output) { o.Stale = true }), as(hashed, func(o *schema.Output) { o.Name = "p" }))},
		"a metric":          {run: func() schema.Run { r := nothing; r.Metrics = map[string]schema.Text{"loss": "1"}; return r }()},
		"unread metrics":    {run: func() schema.Run { r := nothing; r.MetricsFile = at; return r }()},
		"ignored, until":    {run: ended(as(hashed, func(o *schema.Output) { o.Compare = schema.CompareIgnore })), given: Tolerances{Outputs: map[string]schema.CompareRule{"o": {Mode: schema.CompareExact}}}},
		"lost":              {run: func() schema.Run { r := ended(hashed); r.Status = schema.Lost; return r }(), why: "did not end (it is lost)"},
		"running":           {run: func() schema.Run { r := ended(hashed); r.Status = schema.Running; return r }(), why: "did not end (it is running)"},
		"planned":           {run: func() schema.Run { r := ended(hashed); r.Status = schema.Planned; return r }(), why: "did not end (it is planned)"},
		"drift":             {run: func() schema.Run { r := ended(hashed); r.Drift = []schema.Drifted{{Pin: "dataset:d"}}; return r }(), why: "dataset:d changed while the original used it"},
		"neither":           {run: nothing, why: "neither an output nor a metric"},
		"never reported":    {run: ended(), why: "nobody reported what the original wrote"},
		"stale":             {run: ended(as(hashed, func(o *schema.Output) { o.Stale = true })), why: "no output of the original can be compared"},
		"ignored":           {run: ended(as(hashed, func(o *schema.Output) { o.Compare = schema.CompareIgnore })), why: "no output of the original can be compared"},
		"ignored from here": {run: ended(hashed), given: Tolerances{Outputs: map[string]schema.CompareRule{"o": {Mode: schema.CompareIgnore}}}, why: "no output of the original can be compared"},
	}
	results := []schema.Output{hashed, as(hashed, func(o *schema.Output) { o.FileDigest = schema.SHA256([]byte("other")) }), as(declared, func(o *schema.Output) { o.Missing = true })}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			why, remedy := incomparable(c.run, c.given)
			if (why == "") != (c.why == "") || !strings.Contains(why, c.why) || (why == "") != (remedy == "") {
				t.Fatalf("%q, %q; want %q", why, remedy, c.why)
			}
			told := false
			for _, o := range results {
				rerun := schema.Run{ID: "new", Status: schema.Succeeded, ExitCode: &zero, Plan: schema.Plan{RerunOf: "old", DeclaredOutputs: c.run.DeclaredOutputs}}
				if len(rerun.DeclaredOutputs) > 0 {
					rerun.Outputs = []schema.Output{o}
				}
				if len(c.run.Metrics) > 0 || c.run.MetricsFile != nil {
					rerun.Metrics = map[string]schema.Text{"loss": "2"}
				}
				j := judging{ctx: t.Context(), old: c.run, new: rerun, given: c.given, alike: map[string]bool{}}
				told = told || j.judge().Result != schema.CannotBeCompared
			}
			if told == (why != "") {
				t.Errorf("a rerun tells something: %v, though it is said: %q", told, why)
			}
		})
	}
}
