package schema

import (
	"math/rand/v2"
	"testing"
)

// A person who could not read the record names no try: the word is about the latest that had begun.
func TestFoldPerson(t *testing.T) {
	of := func(kind string, attempt int, id string) func(*Document) {
		return func(d *Document) { d.Reporter = Reporter{Kind: kind, Attempt: attempt, AttemptID: id} }
	}
	person, lease := of("user", 0, ""), &Lease{Host: "a", PID: 1}
	runs := func(at int64) func(*Document) {
		return status(StatusChange{To: Running, Started: fixedTime(at), Lease: lease})
	}
	ends := func(to Status, code int, at int64) func(*Document) {
		return status(StatusChange{To: to, ExitCode: &code, Finished: fixedTime(at)})
	}
	lost := newStory(Plan{}).said(10, of("joiner", 0, "pod-a"), runs(10))
	for name, test := range map[string]struct {
		story *story
		want  Status
		code  int
	}{
		"a named try was lost":           {lost.said(50, person, ends(Failed, 9, 50)), Failed, 9},
		"a named try ended":              {newStory(Plan{}).said(10, of("joiner", 0, "pod-a"), runs(10)).said(20, of("joiner", 0, "pod-a"), ends(Succeeded, 0, 20)).said(50, person, ends(Failed, 9, 50)), Failed, 9},
		"a counted try was lost":         {newStory(Plan{}).said(10, of("joiner", 2, "7.1"), runs(10)).said(50, person, ends(Succeeded, 0, 50)), Succeeded, 0},
		"the latest of several":          {newStory(Plan{}).said(30, of("joiner", 0, "pod-a"), runs(30)).said(10, of("joiner", 0, "pod-b"), runs(10)).said(50, person, ends(Failed, 9, 50)), Failed, 9},
		"a counted try of an odd clock":  {newStory(Plan{}).said(40, of("joiner", 1, "7.0"), runs(40)).said(10, of("joiner", 2, "7.1"), runs(10)).said(50, person, ends(Failed, 9, 50)), Failed, 9},
		"a try that nobody says began":   {newStory(Plan{}).said(10, of("joiner", 0, "pod-a"), ends(Succeeded, 0, 10)).said(50, person, ends(Failed, 9, 50)), Failed, 9},
		"a try that began later":         {newStory(Plan{}).said(10, of("joiner", 0, "pod-a"), runs(10)).said(50, person, ends(Failed, 9, 50)).said(60, of("joiner", 0, "pod-b"), runs(60)), Running, -1},
		"it was given up before any try": {newStory(Plan{}).said(5, person, ends(Failed, 9, 5)).said(60, of("joiner", 0, "pod-b"), runs(60)), Running, -1},
		"a person who names the try":     {newStory(Plan{}).said(10, of("joiner", 1, "7.0"), runs(10)).said(20, of("joiner", 2, "7.1"), runs(20)).said(50, of("user", 1, "7.0"), ends(Failed, 9, 50)), Running, -1},
		"a collector is no person":       {newStory(Plan{}).said(10, of("joiner", 0, "pod-a"), runs(10)).said(50, of("collector", 0, ""), ends(Failed, 9, 50)), Running, -1},
		"what was read later stands":     {newStory(Plan{}).said(10, of("joiner", 0, "pod-a"), runs(10)).said(50, person, ends(Failed, 9, 50)).said(60, of("user", 0, "pod-a"), ends(Succeeded, 0, 60)), Succeeded, 0},
	} {
		for range 5 {
			docs := test.story.docs
			rand.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
			r := test.story.fold(t)
			code := -1
			if r.ExitCode != nil {
				code = *r.ExitCode
			}
			if r.Status != test.want || code != test.code {
				t.Errorf("%s: %s, exit code %d; want %s, %d", name, r.Status, code, test.want, test.code)
			}
		}
	}
	if r := lost.fold(t); r.Fingerprint == "" || r.Lease != nil {
		t.Errorf("it is not sealed: fingerprint %q, lease %v", r.Fingerprint, r.Lease)
	}
}
