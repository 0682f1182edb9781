package schema

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// by tells which try of a rank a document of a story is about.
func by(rank, attempt int, id string) func(*Document) {
	return func(d *Document) {
		d.Reporter.Rank, d.Reporter.Attempt, d.Reporter.AttemptID = ptr(rank), attempt, id
	}
}

func (s *story) said(ms int64, who func(*Document), body func(*Document)) *story {
	return s.add(ms, nil, func(d *Document) { who(d); body(d) })
}

func status(c StatusChange) func(*Document) { return func(d *Document) { d.Status = &c } }

// Tries of a rank, numbered by a scheduler or only named, under clocks that disagree by an hour.
func TestFoldAttempts(t *testing.T) {
	const hour = 3_600_000
	lease := &Lease{Host: "a", PID: 1}
	runs := func(at int64) func(*Document) {
		return status(StatusChange{To: Running, Started: fixedTime(at), Lease: lease})
	}
	ends := func(to Status, code int, at int64) func(*Document) {
		return status(StatusChange{To: to, ExitCode: &code, Finished: fixedTime(at)})
	}
	for name, test := range map[string]struct {
		story *story
		want  Status
		code  int
	}{
		"a requeue succeeds, on a machine whose clock is behind": {newStory(Plan{}).said(hour, by(0, 1, "7.0"), runs(hour)).said(hour+5, by(0, 1, "7.0"), ends(Failed, 9, hour+5)).
			said(10, by(0, 2, "7.1"), runs(10)).said(20, by(0, 2, "7.1"), ends(Succeeded, 0, 20)), Succeeded, 0},
		"a requeue is still running": {newStory(Plan{}).said(1, by(0, 1, "7.0"), ends(Failed, 9, 1)).said(2, by(0, 2, "7.1"), runs(2)), Running, -1},
		"a requeue on fewer nodes":   {newStory(Plan{}).said(1, by(0, 1, "7.0"), ends(Failed, 9, 1)).said(1, by(1, 1, "7.0"), ends(Failed, 9, 1)).said(2, by(0, 2, "7.1"), ends(Succeeded, 0, 9)), Succeeded, 0},
		"the end of a try that was counted does not hold for the next": {newStory(Plan{}).status(1, nil, StatusChange{To: Failed, ExitCode: ptr(9), Attempt: 1}).
			said(2, by(0, 2, "7.1"), runs(2)), Running, -1},
		"a pod is retried under another name":               {newStory(Plan{}).said(1, by(0, 0, "pod-a"), runs(1)).said(2, by(0, 0, "pod-a"), ends(Failed, 9, 2)).said(3, by(0, 0, "pod-b"), runs(3)), Running, -1},
		"a pod is retried, and its reports arrive first":    {newStory(Plan{}).said(4, by(0, 0, "pod-a"), ends(Failed, 9, 4)).said(1, by(0, 0, "pod-a"), runs(1)).said(3, by(0, 0, "pod-b"), runs(3)).said(3, by(0, 0, "pod-b"), ends(Succeeded, 0, 5)), Succeeded, 0},
		"one rank is retried, the others go on":             {newStory(Plan{}).said(1, by(1, 0, "b"), ends(Succeeded, 0, 5)).said(1, by(0, 0, "a"), ends(Failed, 1, 2)).said(3, by(0, 0, "c"), runs(3)).said(6, by(0, 0, "c"), ends(Succeeded, 0, 6)), Succeeded, 0},
		"the collector's word on the whole stands over all": {newStory(Plan{}).said(1, by(0, 1, "a"), runs(1)).status(2, nil, StatusChange{To: Failed, ExitCode: ptr(137)}), Failed, 137},
	} {
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

func TestFoldOutputsOfAttempts(t *testing.T) {
	output := func(uri, loss string) func(*Document) {
		return func(d *Document) {
			d.Output = &OutputEvent{Outputs: []Output{{Name: "model", URI: Text(uri)}}, Metrics: map[string]Text{"loss": Text(loss)}}
		}
	}
	r := newStory(Plan{}).said(9_000_000, by(0, 1, "7.0"), output("first", "3")).said(10, by(0, 2, "7.1"), output("second", "2")).fold(t)
	if len(r.Outputs) != 1 || r.Outputs[0].URI != "second" || r.Metrics["loss"] != "2" {
		t.Errorf("a clock that is behind lost the second try: %+v %v", r.Outputs, r.Metrics)
	}
	r = newStory(Plan{}).said(10, by(0, 2, "7.1"), output("second", "2")).said(1, func(*Document) {}, output("whole", "1")).fold(t)
	if r.Outputs[0].URI != "whole" || r.Metrics["loss"] != "1" {
		t.Errorf("the word on the whole run does not stand: %+v %v", r.Outputs, r.Metrics)
	}
}

// A run is lost when none of its ranks is there, not when its lowest is.
func TestJudgeRanks(t *testing.T) {
	s := newStory(Plan{})
	for rank := range 3 {
		s.said(int64(rank), by(rank, 1, "j"), status(StatusChange{To: Running, Lease: &Lease{Host: "n", PID: 10 + rank}}))
	}
	for alive, want := range map[int]Status{10: Running, 12: Running, 99: Lost} {
		r := s.fold(t)
		if r.Lease == nil || r.Lease.PID != 10 || len(r.RankLeases) != 2 {
			t.Fatalf("leases %v %v", r.Lease, r.RankLeases)
		}
		if r.Judge(func(l Lease) bool { return l.PID == alive }); r.Status != want {
			t.Errorf("with %d alive: %s, want %s", alive, r.Status, want)
		}
	}
	s.said(10, by(0, 1, "j"), status(StatusChange{To: Succeeded})).said(11, by(1, 1, "j"), status(StatusChange{To: Succeeded}))
	r := s.fold(t)
	if r.Judge(func(Lease) bool { return false }); r.Status != Lost {
		t.Errorf("a rank that fell silent: %s", r.Status)
	}
}

// Sixty-four ranks on eight equal nodes: the environment is written down once, each node is shown with its own devices.
func TestSharedEnvironment(t *testing.T) {
	s := newStory(Plan{})
	ids := map[DocumentID]bool{}
	for rank := range 64 {
		e := fixtureEnvironment()
		e.Node = "node-" + string(rune('a'+rank/8))
		e.GPUs[0].UUID = "GPU-" + e.Node
		shared, node, err := SharedEnvironment(fixtureRun, e)
		if err != nil {
			t.Fatal(err)
		}
		if shared.Observation.Environment.ID != fixtureEnvironment().ID {
			t.Fatal("the identity depends on the node")
		}
		ids[shared.ID] = true
		s.docs = append(s.docs, shared)
		s.observe(int64(10+rank), ptr(rank), Observation{Node: &node})
	}
	if len(ids) != 1 {
		t.Errorf("%d documents describe one environment", len(ids))
	}
	r := s.fold(t)
	if len(r.Environments) != 8 {
		t.Fatalf("%d environments, want one for each node", len(r.Environments))
	}
	for i, e := range r.Environments {
		if e.OS.Kernel == "" || len(e.Ranks) != 8 || e.Ranks[0] != 8*i || e.GPUs[0].UUID != "GPU-"+e.Node || e.GPUs[0].Model == "" {
			t.Errorf("environment %d: %+v", i, e)
		}
	}
	// The description has not arrived yet: that is said, and the node is not lost.
	early := s.docs[:1:1]
	for _, d := range s.docs {
		if d.Observation != nil && d.Observation.Node != nil {
			early = append(early, d)
		}
	}
	if r := foldFixture(t, early); len(r.Environments) != 8 || len(r.Environments[0].Reasons) != 1 {
		t.Errorf("without the description: %+v", r.Environments)
	}
}

// A run that ranks report has no single process that seals it: the fold gives the fingerprint once they have ended.
func TestSealedByRanks(t *testing.T) {
	plan := Plan{Command: []Text{"train"}, Params: map[string]Text{"lr": "0.1"},
		Code: []CodePin{{Name: "code", Kind: CodeGit, Ref: "image:trainer", Commit: fixedObject("a"), Use: Claimed, Origin: Origin{Kind: FromLabel}}}}
	s := newStory(plan).status(1, ptr(0), StatusChange{To: Running, Lease: &Lease{}}).status(2, ptr(1), StatusChange{To: Succeeded})
	if r := s.fold(t); r.Fingerprint != "" {
		t.Error("a run that goes on has a fingerprint")
	}
	r := s.status(3, ptr(0), StatusChange{To: Succeeded}).fold(t)
	plan.Code = nil
	bare := Run{Plan: plan}
	if want, _ := bare.Fingerprinted(); r.Fingerprint == "" || r.Fingerprint != want {
		t.Errorf("fingerprint %q, want %q: what an image's label says is covered by the image", r.Fingerprint, want)
	}
	s.observe(4, ptr(1), Observation{Drift: []Drifted{{Pin: "dataset:d", Text: "changed"}}})
	if r := s.fold(t); r.Fingerprint != "" {
		t.Error("a run whose input drifted has a fingerprint")
	}
}

func TestDerivedIDs(t *testing.T) {
	at := fixedTime(5)
	a := DeriveDocumentID(at, "environment", "x", "y")
	if a != DeriveDocumentID(at, "environment", "x", "y") || a == DeriveDocumentID(at, "environment", "xy", "") || a == DeriveDocumentID(fixedTime(6), "environment", "x", "y") {
		t.Error("an id follows from its parts and time, and from nothing else")
	}
	id := DeriveRunID(at, "mlflow", "0123")
	if _, err := parseExactID(string(id)); err != nil || id.Time() != at {
		t.Errorf("%s: %v, %s", id, err, id.Time())
	}
	if want := RunID("01M84S1585VDY9PN4Y1H0WNQ5F"); id != want {
		t.Errorf("derived ids are part of the record and never change: %s, want %s", id, want)
	}
}

// The fold of ranks and tries is the same in every order.
func TestFoldRanksInAnyOrder(t *testing.T) {
	docs := randomDocuments(rand.New(rand.NewPCG(7, 7)), 120)
	want, err := Fold(docs)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		mixed := append(slices.Clone(docs), docs[:rng.IntN(len(docs))]...)
		rng.Shuffle(len(mixed), reflect.Swapper(mixed))
		got, err := Fold(mixed)
		if err != nil {
			t.Fatal(err)
		}
		if runJSON(t, got) != runJSON(t, want) {
			t.Fatal("order matters")
		}
	}
}

// What a pod says of its own try, without a number, and what the cluster says of it, with one, is one entry; a pod whose container was started again keeps its tries apart.
func TestAttemptsOfAPod(t *testing.T) {
	told := func(number int, id string, exit int) Observation {
		return Observation{Attempt: &Attempt{Number: number, ID: id, Rank: ptr(0), ExitCode: &exit}}
	}
	r := newStory(Plan{}).observe(1, ptr(0), Observation{Attempt: &Attempt{ID: "pod-a", Rank: ptr(0), Node: "n1", Started: fixedTime(1)}}).observe(5, nil, told(1, "pod-a", 137)).
		observe(6, nil, told(1, "pod-b", 1)).observe(7, nil, told(2, "pod-b", 0)).observe(8, ptr(0), Observation{Attempt: &Attempt{ID: "pod-b", Rank: ptr(0)}}).fold(t)
	if len(r.Attempts) != 4 {
		t.Fatalf("%d attempts: %+v", len(r.Attempts), r.Attempts)
	}
	if a := r.Attempts[0]; a.Number != 1 || a.ID != "pod-a" || a.Node != "n1" || *a.ExitCode != 137 || a.Started != fixedTime(1) {
		t.Errorf("%+v", a)
	}
}
