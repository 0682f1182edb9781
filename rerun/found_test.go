package rerun

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// What a rerun left that was killed, or did not get an answer, is looked for where it was to be handed over, and taken over.
func TestResumeFinds(t *testing.T) {
	boom := &schema.Error{Kind: schema.Unavailable, Err: errors.New("boom")}
	launched := &schema.Launched{On: "kubernetes", Job: "Job/train", Place: "ml"}
	for name, c := range map[string]struct {
		age    time.Duration
		spoil  func(run *schema.Run, s *scheduler)
		calls  string
		kind   schema.Kind
		says   string
		saved  schema.DocumentKind
		status schema.Status
	}{
		"a job":                       {time.Hour, func(_ *schema.Run, s *scheduler) { s.found = launched }, "find wait remove", "", "", schema.KindObservation, schema.Succeeded},
		"a job at once":               {time.Second, func(_ *schema.Run, s *scheduler) { s.found = launched }, "find wait remove", "", "", schema.KindObservation, schema.Succeeded},
		"a job of a lost run":         {time.Hour, func(r *schema.Run, s *scheduler) { r.Status, s.found = schema.Lost, launched }, "find wait remove", "", "", schema.KindObservation, schema.Succeeded},
		"none":                        {time.Hour, func(*schema.Run, *scheduler) {}, "find", "", "", schema.KindStatus, schema.Failed},
		"none yet":                    {time.Minute, func(*schema.Run, *scheduler) {}, "find", schema.Unavailable, "may be about to be submitted", "", schema.Planned},
		"none here, where is unknown": {time.Hour, func(r *schema.Run, _ *scheduler) { r.LaunchPlace = "" }, "find", schema.Unavailable, "does not say to which one", "", schema.Planned},
		"none that I may see":         {time.Hour, func(r *schema.Run, _ *scheduler) { r.User = "eve" }, "find", schema.Unavailable, "may show eve one", "", schema.Planned},
		"nobody knows":                {time.Hour, func(_ *schema.Run, s *scheduler) { s.findErr = boom }, "find", schema.Unavailable, "boom", "", schema.Planned},
		"something else's job":        {time.Hour, func(r *schema.Run, _ *scheduler) { r.RerunOf = "" }, "", schema.Unavailable, "it is planned", "", schema.Planned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s, r, run := jobWorld()
			r.User = "ann"
			run.RerunOf, run.User, run.LaunchPlace, run.Status, run.Job.Pinned = schema.NewRunID(time.Unix(1_780_000_000, 0)), "ann", "ml@lab", schema.Planned, run.Job.Blob
			run.ExitCode, run.Created = nil, schema.At(r.Now().Time().Add(-c.age))
			c.spoil(&run, s)
			got, err := r.Resume(t.Context(), run)
			if schema.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) || strings.Join(s.calls, " ") != c.calls {
				t.Errorf("%v after %q, want %s %q after %q", err, s.calls, c.kind, c.says, c.calls)
			}
			if c.saved == "" && len(w.saved) > 0 || c.saved != "" && (len(w.saved) != 1 || w.saved[0].Documents[0].Kind != c.saved) {
				t.Errorf("saved: %+v", w.saved)
			}
			if c.status == schema.Failed && (got.Status != schema.Failed || !strings.Contains(got.Why, "never submitted")) {
				t.Errorf("%s %q", got.Status, got.Why)
			}
			if c.calls != "" && (string(s.spec.Data) != jobText || s.spec.Run != run.ID || s.place != run.LaunchPlace) {
				t.Errorf("asked for %+v at %q", s.spec, s.place)
			}
			if c.saved == schema.KindObservation && *w.saved[0].Documents[0].Observation.Launched != *launched {
				t.Errorf("%+v", w.saved[0].Documents[0].Observation.Launched)
			}
		})
	}
}
