package schema

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// story builds the documents of a run from short statements: each by a reporter, ms after the start.
type story struct{ docs []Document }

func newStory(plan Plan) *story {
	if plan.Created.IsZero() {
		plan.Created = fixedTime(0)
	}
	plan.Recorder = "test"
	return &story{[]Document{{Schema: SchemaV1, Kind: KindRun, ID: DocumentID(fixtureRun), Run: fixtureRun, At: fixedTime(0), Reporter: Reporter{Kind: "submitter"}, Plan: &plan}}}
}

func (s *story) add(ms int64, rank *int, body func(*Document)) *story {
	d := Document{Schema: SchemaV1, ID: DocumentID(fixedID(ms, byte(len(s.docs)+1))), Run: fixtureRun, At: fixedTime(ms), Reporter: Reporter{Kind: "joiner", Rank: rank}}
	body(&d)
	for kind, set := range map[DocumentKind]bool{KindStatus: d.Status != nil, KindObservation: d.Observation != nil, KindOutput: d.Output != nil, KindLabel: d.Label != nil, KindKeep: d.Keep != nil} {
		if set {
			d.Kind = kind
		}
	}
	s.docs = append(s.docs, d)
	return s
}

func (s *story) status(ms int64, rank *int, c StatusChange) *story {
	return s.add(ms, rank, func(d *Document) { d.Status = &c })
}

func (s *story) observe(ms int64, rank *int, o Observation) *story {
	return s.add(ms, rank, func(d *Document) { d.Observation = &o })
}

func (s *story) fold(t testing.TB) Run {
	t.Helper()
	for _, d := range s.docs {
		if _, err := d.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	return foldFixture(t, s.docs)
}

// Where a run stands, whatever the order in which the words arrived and whatever the clocks said.
func TestFoldStatus(t *testing.T) {
	lease := &Lease{Host: "a", PID: 1}
	running := StatusChange{To: Running, Started: fixedTime(10), Lease: lease}
	ok := StatusChange{To: Succeeded, Finished: fixedTime(100), ExitCode: ptr(0), Fingerprint: Fingerprint("fp1:" + strings.Repeat("a", 64))}
	bad := StatusChange{To: Failed, Finished: fixedTime(200), ExitCode: ptr(3), Signal: "KILL", Why: "out of memory"}
	again := func(c StatusChange, attempt int) StatusChange { c.Attempt = attempt; return c }
	leaseless := StatusChange{To: Running}
	for name, test := range map[string]struct {
		story    *story
		want     Status
		code     int // -1: none
		lease    bool
		finished int64
	}{
		"planned":                               {newStory(Plan{}), Planned, -1, false, 0},
		"planned, said again":                   {newStory(Plan{}).status(1, nil, StatusChange{To: Planned}), Planned, -1, false, 0},
		"running":                               {newStory(Plan{}).status(1, nil, running), Running, -1, true, 0},
		"succeeded":                             {newStory(Plan{}).status(1, nil, running).status(2, nil, ok), Succeeded, 0, false, 100},
		"the end has an earlier clock":          {newStory(Plan{}).status(3_600_000, nil, running).status(2, nil, ok), Succeeded, 0, false, 100},
		"an end without a beginning":            {newStory(Plan{}).status(2, nil, bad), Failed, 3, false, 200},
		"a late finish":                         {newStory(Plan{}).status(1, nil, running).status(2, nil, bad).status(3, nil, ok), Succeeded, 0, false, 100},
		"a requeue runs":                        {newStory(Plan{}).status(1, nil, running).status(2, nil, bad).status(3, nil, again(running, 1)), Running, -1, true, 0},
		"a requeue ends":                        {newStory(Plan{}).status(9, nil, bad).status(3, nil, again(running, 1)).status(4, nil, again(ok, 1)), Succeeded, 0, false, 100},
		"an old try ends late":                  {newStory(Plan{}).status(1, nil, again(running, 2)).status(2, nil, again(bad, 1)), Running, -1, true, 0},
		"all ranks end":                         {newStory(Plan{}).status(1, ptr(0), running).status(2, ptr(1), running).status(3, ptr(0), ok).status(4, ptr(1), ok), Succeeded, 0, false, 100},
		"one rank goes on":                      {newStory(Plan{}).status(1, ptr(0), running).status(2, ptr(1), running).status(3, ptr(0), ok), Running, -1, true, 0},
		"one rank fails":                        {newStory(Plan{}).status(3, ptr(0), ok).status(4, ptr(1), bad), Failed, 3, false, 200},
		"one rank fails first":                  {newStory(Plan{}).status(3, ptr(1), bad).status(4, ptr(0), ok), Failed, 3, false, 200},
		"two ranks fail":                        {newStory(Plan{}).status(3, ptr(1), bad).status(4, ptr(0), StatusChange{To: Failed, ExitCode: ptr(9), Finished: fixedTime(50)}), Failed, 9, false, 200},
		"the whole is done":                     {newStory(Plan{}).status(3, ptr(0), running).status(4, nil, ok), Succeeded, 0, false, 100},
		"the whole goes on":                     {newStory(Plan{}).status(1, nil, running).status(3, ptr(0), ok), Running, -1, true, 0},
		"nobody vouches for the whole":          {newStory(Plan{}).status(1, nil, leaseless).status(3, ptr(0), ok), Succeeded, 0, false, 100},
		"a rank runs that the planner knows of": {newStory(Plan{}).status(1, nil, StatusChange{To: Planned}).status(3, ptr(2), running), Running, -1, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.story.fold(t)
			code := -1
			if r.ExitCode != nil {
				code = *r.ExitCode
			}
			if r.Status != test.want || code != test.code || (r.Lease != nil) != test.lease {
				t.Errorf("%s, exit code %d, lease %v; want %s, %d, %v", r.Status, code, r.Lease, test.want, test.code, test.lease)
			}
			if want := test.finished; (want == 0) != r.Finished.IsZero() || (want != 0 && r.Finished != fixedTime(want)) {
				t.Errorf("finished %s", r.Finished)
			}
			if r.Status == Failed && r.Why == "" && code == 3 {
				t.Error("why it failed is lost")
			}
		})
	}
	r := newStory(Plan{}).status(3_600_000, nil, running).status(2, nil, ok).fold(t)
	if r.Started != fixedTime(10) || r.Fingerprint != ok.Fingerprint {
		t.Errorf("started %s, fingerprint %s", r.Started, r.Fingerprint)
	}
	other := ok
	other.Fingerprint = Fingerprint("fp1:" + strings.Repeat("b", 64))
	if r := newStory(Plan{}).status(1, nil, ok).status(2, nil, other).fold(t); r.Fingerprint != ok.Fingerprint {
		t.Error("the fingerprint changed after the run was sealed")
	}
	early := running
	early.Fingerprint = other.Fingerprint
	if r := newStory(Plan{}).status(1, nil, early).status(2, nil, ok).fold(t); r.Fingerprint != ok.Fingerprint {
		t.Error("a run was sealed while it was running")
	}
}

func TestJudge(t *testing.T) {
	lease := &Lease{Host: "a"}
	for _, test := range []struct {
		r     Run
		alive bool
		want  Status
	}{
		{Run{Status: Running, Lease: lease}, true, Running},
		{Run{Status: Running, Lease: lease}, false, Lost},
		{Run{Status: Running}, true, Lost},
		{Run{Status: Planned}, false, Planned},
		{Run{Status: Succeeded}, false, Succeeded},
		{Run{Status: Failed}, false, Failed},
	} {
		before := test.r.Status
		test.r.Judge(func(Lease) bool { return test.alive })
		if test.r.Status != test.want {
			t.Errorf("%s became %s, want %s", before, test.r.Status, test.want)
		}
	}
}

func TestFoldImages(t *testing.T) {
	pin := ImagePin{Name: "image", Ref: "r/a:1", Use: Claimed, IndexDigest: fixedDigest("1"), PlatformDigest: fixedDigest("2"), ConfigDigest: fixedDigest("3")}
	with := func(change func(*ImagePin)) ImagePin { p := pin; change(&p); return p }
	for name, test := range map[string]struct {
		pin, seen ImagePin
		drift     bool
	}{
		"the same":                                    {pin, pin, false},
		"the same config from another registry":       {pin, ImagePin{ConfigDigest: fixedDigest("3"), PlatformDigest: fixedDigest("9"), IndexDigest: fixedDigest("8")}, false},
		"another config under the same index":         {pin, ImagePin{ConfigDigest: fixedDigest("4"), IndexDigest: fixedDigest("1")}, true},
		"the index as the runtime's only digest":      {pin, ImagePin{PlatformDigest: fixedDigest("1")}, false},
		"the platform as the runtime's only digest":   {pin, ImagePin{IndexDigest: fixedDigest("2")}, false},
		"another config of the same platform":         {pin, ImagePin{ConfigDigest: fixedDigest("4"), PlatformDigest: fixedDigest("2"), IndexDigest: fixedDigest("1")}, true},
		"another platform of another index":           {pin, ImagePin{PlatformDigest: fixedDigest("5"), IndexDigest: fixedDigest("6")}, true},
		"another digest":                              {pin, ImagePin{PlatformDigest: fixedDigest("5")}, true},
		"another index":                               {pin, ImagePin{IndexDigest: fixedDigest("5")}, true},
		"another file":                                {with(func(p *ImagePin) { p.FileDigest, p.ConfigDigest = fixedDigest("6"), "" }), ImagePin{FileDigest: fixedDigest("7")}, true},
		"nothing to compare: what is known is filled": {with(func(p *ImagePin) { p.ConfigDigest = "" }), ImagePin{ConfigDigest: fixedDigest("3")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			test.seen.Name, test.seen.Use = "image", Observed
			r := newStory(Plan{Images: []ImagePin{test.pin}}).observe(1, nil, Observation{Images: []ImagePin{test.seen}}).fold(t)
			if (len(r.Drift) > 0) != test.drift {
				t.Errorf("drift is %+v", r.Drift)
			}
			if want := map[bool]Use{true: Claimed, false: Observed}[test.drift]; r.Images[0].Use != want {
				t.Errorf("use is %s, want %s", r.Images[0].Use, want)
			}
			if !test.drift && r.Images[0].ConfigDigest != fixedDigest("3") {
				t.Errorf("config is %s", r.Images[0].ConfigDigest)
			}
		})
	}
	// What else was seen before does not hide the pin.
	late := newStory(Plan{Images: []ImagePin{pin}}).observe(1, nil, Observation{Attempt: &Attempt{Number: 1}, Drift: []Drifted{{Pin: "dataset:a", Text: "x"}}}).
		observe(2, nil, Observation{Images: []ImagePin{with(func(p *ImagePin) { p.Use = Observed })}}).fold(t)
	if len(late.Images) != 1 || late.Images[0].Use != Observed {
		t.Errorf("images: %+v", late.Images)
	}
	// Seven pods on one digest, one on another: the disagreement is shown once, and there is no fingerprint.
	s := newStory(Plan{Images: []ImagePin{pin}})
	for i := range 8 {
		seen := with(func(p *ImagePin) { p.Use = Observed })
		if i == 5 {
			seen.ConfigDigest = fixedDigest("4")
		}
		s.observe(int64(10+i), ptr(i), Observation{Images: []ImagePin{seen}})
	}
	s.observe(30, ptr(5), Observation{Images: []ImagePin{with(func(p *ImagePin) { p.ConfigDigest = fixedDigest("4") })}})
	s.status(40, nil, StatusChange{To: Succeeded, Fingerprint: Fingerprint("fp1:" + strings.Repeat("a", 64))})
	r := s.fold(t)
	want := []Drifted{{Pin: "image:image", Expected: Text(fixedDigest("3")), Found: Text(fixedDigest("4")), Text: "another image ran than the one that was pinned", At: fixedTime(15)}}
	if !reflect.DeepEqual(r.Drift, want) {
		t.Errorf("drift is %+v", r.Drift)
	}
	if r.Fingerprint != "" {
		t.Error("a run on two images has a fingerprint")
	}
	if enforced := newStory(Plan{Images: []ImagePin{with(func(p *ImagePin) { p.Use = Enforced })}}).observe(1, nil, Observation{Images: []ImagePin{with(func(p *ImagePin) { p.Use = Observed })}}).fold(t); enforced.Images[0].Use != Enforced {
		t.Error("what was enforced is only observed now")
	}
	if unplanned := newStory(Plan{}).observe(1, nil, Observation{Images: []ImagePin{pin}}).fold(t); len(unplanned.Images) != 1 {
		t.Error("an image that ran without a plan is not shown")
	}
}

func TestFoldRanks(t *testing.T) {
	env := fixtureEnvironment()
	s := newStory(Plan{})
	for _, rank := range []int{3, 1, 2, 0, 1} {
		e := env
		if rank == 2 {
			e.Node = "node-2"
		}
		s.observe(int64(10-rank), ptr(rank), Observation{Environment: &e, Reasons: []Reason{{Code: "no-gpu", Text: "none"}}, Withheld: []Withheld{{What: "variable", Name: "k", Why: "a secret"}}})
		s.add(int64(20-rank), ptr(rank), func(d *Document) {
			d.Output = &OutputEvent{Outputs: []Output{{Name: "model", URI: Text("m" + string('0'+rune(rank)))}}, Metrics: map[string]Text{"loss": Text("0." + string('0'+rune(rank)))}}
		})
		s.observe(int64(30+rank), ptr(rank), Observation{Attempt: &Attempt{Number: 1, Rank: ptr(rank), Started: fixedTime(int64(rank))}})
		s.observe(int64(40+rank), ptr(rank), Observation{Attempt: &Attempt{Number: 1, Rank: ptr(rank), Finished: fixedTime(99), ExitCode: ptr(0)}})
	}
	r := s.fold(t)
	if len(r.Environments) != 2 || !slices.Equal(r.Environments[0].Ranks, []int{0, 1, 3}) && !slices.Equal(r.Environments[1].Ranks, []int{0, 1, 3}) {
		t.Errorf("%d environments: %v", len(r.Environments), r.Environments)
	}
	if len(r.Reasons) != 1 || len(r.Withheld) != 1 {
		t.Errorf("what four ranks said stands %d and %d times", len(r.Reasons), len(r.Withheld))
	}
	if len(r.Outputs) != 4 || r.Metrics["loss"] != "0.0" {
		t.Errorf("%d outputs, loss %s", len(r.Outputs), r.Metrics["loss"])
	}
	for _, o := range r.Outputs {
		if want := "m0"; o.Rank == nil && string(o.URI) != want {
			t.Errorf("the output of the run is %s", o.URI)
		}
	}
	if len(r.Attempts) != 4 || r.Attempts[0].Started.IsZero() || r.Attempts[0].Finished.IsZero() || r.Attempts[0].ExitCode == nil {
		t.Errorf("attempts: %+v", r.Attempts)
	}
	if e := r.Observations[0].Environment; e != nil && (e.ID != env.ID || e.CPU.Model != "") {
		t.Errorf("the observation holds %+v", e)
	}
}

func TestFoldLabelsAndKeeps(t *testing.T) {
	label := func(set map[string]string, remove ...string) func(*Document) {
		return func(d *Document) { d.Label = &Label{Set: set, Remove: remove} }
	}
	keep := func(removed bool) func(*Document) {
		return func(d *Document) { d.Keep = &Keep{Pin: "image:image", How: "tag", Where: "r/a:keep", Removed: removed} }
	}
	r := newStory(Plan{}).add(1, nil, label(map[string]string{"a": "1", "b": "1"})).add(2, nil, label(map[string]string{"b": "2"}, "a", "b", "c")).add(3, nil, keep(false)).add(4, nil, keep(false)).fold(t)
	if !reflect.DeepEqual(r.Labels, map[string]string{"b": "2"}) {
		t.Errorf("labels: %v", r.Labels)
	}
	if len(r.Keeps) != 1 || r.Keeps[0].At != fixedTime(4) {
		t.Errorf("keeps: %v", r.Keeps)
	}
	if r := newStory(Plan{}).add(1, nil, label(map[string]string{"a": "1"})).add(2, nil, label(nil, "a")).add(3, nil, keep(false)).add(4, nil, keep(true)).fold(t); r.Labels != nil || r.Keeps != nil {
		t.Errorf("labels %v, keeps %v", r.Labels, r.Keeps)
	}
}

func TestFoldRefuses(t *testing.T) {
	docs := fixtureDocuments()
	foreign := docs[1]
	foreign.Run = RunID(fixedID(77, 7))
	second := docs[0]
	second.ID, second.Run = DocumentID(fixedID(77, 7)), RunID(fixedID(77, 7))
	changed := docs[len(docs)-1]
	changed.At = fixedTime(5)
	for name, test := range map[string]struct {
		docs []Document
		kind Kind
	}{
		"nothing":                      {nil, Internal},
		"no base":                      {docs[1:], Internal},
		"an event of another run":      {[]Document{docs[0], foreign}, Internal},
		"two bases":                    {append(slices.Clone(docs), second), Internal},
		"two documents under one id":   {append(slices.Clone(docs), changed), Conflict},
		"the same, in another order":   {append([]Document{changed}, docs...), Conflict},
		"a base without plan":          {[]Document{{Kind: KindRun, ID: DocumentID(fixtureRun), Run: fixtureRun}}, Internal},
		"a release that no run led to": {append(slices.Clone(docs), Document{Schema: SchemaV1, Kind: KindRelease, ID: DocumentID(fixedID(1, 99)), At: fixedTime(1), Release: &Release{}}), Internal},
	} {
		if _, err := Fold(test.docs); KindOf(err) != test.kind || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The fold gives one answer for a set of documents: in every order, with repetition, and again.
func TestFoldOrder(t *testing.T) {
	docs := fixtureDocuments()
	want := runJSON(t, foldFixture(t, docs))
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		shuffled := slices.Clone(docs)
		for range rng.IntN(6) {
			shuffled = append(shuffled, docs[rng.IntN(len(docs))])
		}
		rng.Shuffle(len(shuffled), reflect.Swapper(shuffled))
		if got := runJSON(t, foldFixture(t, shuffled)); got != want {
			t.Fatalf("another order gives\n%s\nnot\n%s", got, want)
		}
	}
}

func runJSON(t testing.TB, r Run) string {
	t.Helper()
	b, err := Canonical(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A caller may write to what Judge and the store write to without changing the documents.
func TestFoldSharesNothingWritten(t *testing.T) {
	docs := fixtureDocuments()[:6]
	docs[4].Observation.Verdict = &Verdict{Result: Identical, Against: fixtureRun}
	before := runJSON(t, foldFixture(t, docs))
	r := foldFixture(t, docs)
	r.Lease.Beat = fixedTime(9)
	r.Verdict.Cause = "changed"
	r.Images[0].Use = Claimed
	r.Environments[0].Ranks[0] = 99
	r.Metrics["loss"] = "99"
	if after := runJSON(t, foldFixture(t, docs)); after != before {
		t.Error("a run and its documents share memory")
	}
}
