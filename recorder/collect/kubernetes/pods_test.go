package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/schema"
)

func digest(s string) schema.Digest { return schema.SHA256([]byte(s)) }

// registry describes what it knows, and cannot be reached for the rest.
type registry map[schema.Digest]schema.ImagePin

func (r registry) DescribeImage(_ context.Context, ref, _ string) (schema.ImagePin, []schema.Digest, error) {
	_, d, _ := strings.Cut(ref, "@")
	if pin, ok := r[schema.Digest(d)]; ok {
		return pin, nil, nil
	}
	return schema.ImagePin{}, nil, &schema.Error{Kind: schema.Unavailable, Err: errors.New("down")}
}

var pinned = schema.ImagePin{Name: "trainer", Ref: "team/trainer:1.4", Repository: "team/trainer", Tag: "1.4", IndexDigest: digest("index"), PlatformDigest: digest("amd64"), Platform: "linux/amd64",
	ConfigDigest: digest("config"), Use: schema.Claimed}

func base(pins ...schema.ImagePin) []schema.Document {
	at, _ := schema.ParseTime("2026-11-23T17:00:00Z")
	id := schema.DeriveRunID(at, "test")
	return []schema.Document{{Schema: schema.SchemaV1, Kind: schema.KindRun, ID: schema.DocumentID(id), Run: id, At: at, Reporter: schema.Reporter{Kind: "submitter"},
		Plan: &schema.Plan{Created: at, Images: pins, Recorder: "test", Job: &schema.JobSpec{Format: "kubernetes", TemplateDigest: digest("t"), Path: schema.Path{Typed: "j", Base: schema.BaseWorkDir, Rel: "j"}}}}}
}

func fold(t testing.TB, docs []schema.Document, pods []Pod, images collect.Describer) (schema.Run, []schema.Document, bool) {
	t.Helper()
	c := &collect.Collector{Images: images, Where: "kubernetes", Interval: 30}
	out, running, err := c.Report(context.Background(), docs, Tries(pods))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range out {
		if _, err := d.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	run, err := schema.Fold(slices.Concat(docs, out))
	if err != nil {
		t.Fatal(err)
	}
	return run, out, running
}

func read(t testing.TB, name string) []Pod {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pods, err := ReadPods(f, name)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// pod makes one pod of an indexed job; begun and ended are minutes of the hour.
func pod(name string, rank int, imageID string, begun, ended, code int) string {
	state, phase := fmt.Sprintf(`{"running":{"startedAt":"2026-11-23T18:%02d:00Z"}}`, begun), "Running"
	if ended >= 0 {
		phase = "Succeeded"
		if code != 0 {
			phase = "Failed"
		}
		state = fmt.Sprintf(`{"terminated":{"exitCode":%d,"reason":"Error","startedAt":"2026-11-23T18:%02d:00Z","finishedAt":"2026-11-23T18:%02d:00Z"}}`, code, begun, ended)
	}
	index := ""
	if rank >= 0 {
		index = fmt.Sprintf(`"batch.kubernetes.io/job-completion-index":"%d"`, rank)
	}
	return fmt.Sprintf(`{"kind":"Pod","metadata":{"name":%q,"creationTimestamp":"2026-11-23T18:%02d:00Z","annotations":{%s},"ownerReferences":[{"uid":"job","kind":"Job"}]},
"spec":{"nodeName":"n%s","containers":[{"name":"trainer","image":"team/trainer:1.4"}]},"status":{"phase":%q,"containerStatuses":[{"name":"trainer","imageID":%q,"state":%s}]}}`,
		name, begun, index, name, phase, imageID, state)
}

// waiting makes a pod that was made at ten past and that no node has taken yet.
func waiting(name string, rank int) string {
	index := ""
	if rank >= 0 {
		index = fmt.Sprintf(`"batch.kubernetes.io/job-completion-index":"%d"`, rank)
	}
	return fmt.Sprintf(`{"kind":"Pod","metadata":{"name":%q,"creationTimestamp":"2026-11-23T18:10:00Z","annotations":{%s},"ownerReferences":[{"uid":"job","kind":"Job"}]},
"spec":{"containers":[{"name":"trainer","image":"team/trainer:1.4"}]},"status":{"phase":"Pending"}}`, name, index)
}

func list(t testing.TB, pods ...string) []Pod {
	t.Helper()
	got, err := ReadPods(strings.NewReader(`{"kind":"List","items":[`+strings.Join(pods, ",")+`]}`), "list")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestImageForms: what each runtime writes proves the pin, or contradicts it, also where no registry answers.
func TestImageForms(t *testing.T) {
	known := registry{digest("index"): {IndexDigest: digest("index")}, digest("amd64"): {PlatformDigest: digest("amd64"), ConfigDigest: digest("config"), Platform: "linux/amd64"},
		digest("other"): {PlatformDigest: digest("other"), ConfigDigest: digest("other config")}}
	for _, c := range []struct {
		imageID string
		drift   bool
	}{
		{"docker.io/team/trainer@" + string(digest("index")), false},                     // containerd, by index
		{"registry.example.com:5000/team/trainer:1.4@" + string(digest("index")), false}, // with tag and port
		{"quay.io/team/trainer@" + string(digest("amd64")), false},                       // CRI-O, by the platform's manifest
		{string(digest("config")), false},                                                // containerd, loaded
		{digest("config").Hex(), false},                                                  // podman
		{string(digest("index")), false},                                                 // bare, of the index
		{"docker-pullable://team/trainer@" + string(digest("index")), false},             // dockershim
		{"docker://" + string(digest("config")), false},
		{"docker.io/team/trainer@" + string(digest("other")), true},
		{"docker://" + string(digest("other config")), true},
		{digest("other config").Hex(), true},
	} {
		for _, images := range []collect.Describer{known, registry{}, nil} {
			run, _, _ := fold(t, base(pinned), list(t, pod("a", 0, c.imageID, 1, 9, 0)), images)
			if (len(run.Drift) > 0) != c.drift {
				t.Errorf("%s (%v): drift %v", c.imageID, images, run.Drift)
			}
			if use := run.Images[0].Use; (use == schema.Observed) == c.drift {
				t.Errorf("%s: use %s", c.imageID, use)
			}
			if (run.Fingerprint == "") != c.drift {
				t.Errorf("%s: fingerprint %q", c.imageID, run.Fingerprint)
			}
		}
	}
}

// TestDriftOfOne: seven pods on one digest, one on another.
func TestDriftOfOne(t *testing.T) {
	var pods []string
	for rank := range 8 {
		image := digest("index")
		if rank == 5 {
			image = digest("other")
		}
		pods = append(pods, pod(fmt.Sprintf("w-%d", rank), rank, "team/trainer@"+string(image), 1, 9, 0))
	}
	run, _, _ := fold(t, base(pinned), list(t, pods...), nil)
	if len(run.Drift) != 1 || string(run.Drift[0].Found) != string(digest("other")) || len(run.Attempts) != 8 || run.Status != schema.Succeeded {
		t.Errorf("drift %v, %d attempts, %s", run.Drift, len(run.Attempts), run.Status)
	}
	// The same without a pin: they disagree with each other.
	if run, _, _ = fold(t, base(), list(t, pods...), nil); len(run.Drift) == 0 || len(collect.Drifts(&run)) == 0 {
		t.Error("pods that disagree are no drift")
	}
}

func TestStatus(t *testing.T) {
	id := "team/trainer@" + string(digest("index"))
	for _, c := range []struct {
		name    string
		pods    []string
		want    schema.Status
		running bool
		exit    int
	}{
		{"all succeeded", []string{pod("a", 0, id, 1, 9, 0), pod("b", 1, id, 1, 9, 0)}, schema.Succeeded, false, 0},
		{"one failed", []string{pod("a", 0, id, 1, 9, 0), pod("b", 1, id, 1, 9, 3)}, schema.Failed, false, 3},
		{"a rank tried again", []string{pod("a", 0, id, 1, 9, 0), pod("b", 1, id, 1, 5, 3), pod("c", 1, id, 6, 12, 0)}, schema.Succeeded, false, 0},
		{"a rank tried again, in vain", []string{pod("b", 1, id, 1, 5, 0), pod("c", 1, id, 6, 12, 137)}, schema.Failed, false, 137},
		{"one goes on", []string{pod("a", 0, id, 1, 9, 0), pod("b", 1, id, 1, -1, 0)}, schema.Running, true, 0},
		{"all wait", []string{waiting("a", 0), waiting("b", 1)}, schema.Planned, false, 0},
		{"all wait, without ranks", []string{waiting("a", -1), waiting("b", -1)}, schema.Planned, false, 0},
		{"one ended, one waits", []string{pod("a", 0, id, 1, 9, 0), waiting("b", 1)}, schema.Running, true, 0},
		{"one runs, one waits", []string{pod("a", 0, id, 1, -1, 0), waiting("b", 1)}, schema.Running, true, 0},
		{"one waits to be tried again", []string{pod("a", 0, id, 1, 9, 0), pod("b", 1, id, 1, 5, 3), waiting("c", 1)}, schema.Running, true, 0},
		{"no ranks, one ended and one waits", []string{pod("a", -1, id, 1, 9, 0), waiting("b", -1)}, schema.Running, true, 0},
		{"no ranks, tried again", []string{pod("a", -1, id, 1, 5, 1), pod("b", -1, id, 6, 9, 0)}, schema.Succeeded, false, 0},
		{"no ranks, side by side", []string{pod("a", -1, id, 1, 5, 1), pod("b", -1, id, 1, 9, 0)}, schema.Failed, false, 1},
		{"no ranks, going on", []string{pod("a", -1, id, 1, 5, 1), pod("b", -1, id, 6, -1, 0)}, schema.Running, true, 0},
	} {
		run, _, running := fold(t, base(pinned), list(t, c.pods...), nil)
		if run.Status != c.want || running != c.running || run.Status.Ended() && (run.ExitCode == nil || *run.ExitCode != c.exit) {
			t.Errorf("%s: %s, running %v, exit code %v", c.name, run.Status, running, run.ExitCode)
		}
		if running && run.Lease == nil {
			t.Errorf("%s: nobody vouches for it", c.name)
		}
	}
}

// TestRankWaitsForItsRetry: that a rank's pod is to be tried again stands over what its joiner said of the first.
func TestRankWaitsForItsRetry(t *testing.T) {
	docs := base(pinned)
	for i, d := range []schema.Document{
		{Reporter: schema.Reporter{Rank: new(int), AttemptID: "a"}, Status: &schema.StatusChange{To: schema.Succeeded, Started: at("18:01:02"), Finished: at("18:08:59"), ExitCode: new(int)}},
		{Reporter: schema.Reporter{Rank: index("1"), AttemptID: "b"}, Status: &schema.StatusChange{To: schema.Failed, Started: at("18:01:02"), Finished: at("18:04:59"), ExitCode: index("3")}},
	} {
		d.Schema, d.Kind, d.Run, d.At, d.Reporter.Kind = schema.SchemaV1, schema.KindStatus, docs[0].Run, d.Status.Finished, "joiner"
		d.ID = schema.DeriveDocumentID(d.At, "test", fmt.Sprint(i))
		docs = append(docs, d)
	}
	id := "team/trainer@" + string(digest("index"))
	run, _, running := fold(t, docs, list(t, pod("a", 0, id, 1, 9, 0), pod("b", 1, id, 1, 5, 3), waiting("c", 1)), nil)
	if run.Status != schema.Running || run.Lease == nil || !running || run.Started != at("18:01:00") {
		t.Errorf("%s, lease %v, running %v, started %s", run.Status, run.Lease, running, run.Started)
	}
}

func at(clock string) schema.Time {
	t, err := schema.ParseTime("2026-11-23T" + clock + "Z")
	if err != nil {
		panic(err)
	}
	return t
}

// TestAnyOrder: whatever was looked at first, in pieces and twice, the run is the same. An end that came too early, before a pod was tried again, is past.
func TestAnyOrder(t *testing.T) {
	id := "team/trainer@" + string(digest("index"))
	early := list(t, pod("a", -1, id, 1, 5, 1))
	middle := list(t, pod("a", -1, id, 1, 5, 1), pod("b", -1, id, 6, -1, 0))
	end := list(t, pod("a", -1, id, 1, 5, 1), pod("b", -1, id, 6, 9, 0))
	docs := base(pinned)
	run, one, _ := fold(t, docs, early, nil)
	if run.Status != schema.Failed {
		t.Errorf("first: %s", run.Status)
	}
	_, two, _ := fold(t, docs, middle, nil)
	if run, _ := schema.Fold(slices.Concat(docs, one, two)); run.Status != schema.Running {
		t.Errorf("then: %s", run.Status)
	}
	_, three, _ := fold(t, docs, end, nil)
	all := slices.Concat(docs, one, two, three, three, one)
	want, err := schema.Fold(all)
	if err != nil || want.Status != schema.Succeeded || want.Started.String() != "2026-11-23T18:01:00.000Z" || len(want.Attempts) != 2 {
		t.Fatalf("%v: %s, started %s, %d attempts", err, want.Status, want.Started, len(want.Attempts))
	}
	text, _ := json.Marshal(want)
	for range 50 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got, err := schema.Fold(all)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(got); string(again) != string(text) {
			t.Fatalf("another order, another run:\n%s\n%s", text, again)
		}
		slices.Reverse(end)
		if _, again, _ := fold(t, docs, end, nil); !slices.EqualFunc(again, three, func(a, b schema.Document) bool { return a.ID == b.ID }) {
			t.Fatal("the same pods in another order are other documents")
		}
	}
}

func TestFixtures(t *testing.T) {
	run, out, _ := fold(t, base(pinned), read(t, "oomkilled.yaml"), nil)
	if run.Status != schema.Failed || *run.ExitCode != 137 || run.Signal != "SIGKILL" || run.Why != "OOMKilled in container trainer of pod train-0-8x2ks" || len(run.Attempts) != 2 {
		t.Errorf("oomkilled: %s %v %s %q, %d attempts", run.Status, run.ExitCode, run.Signal, run.Why, len(run.Attempts))
	}
	for _, d := range out {
		if text, _ := json.Marshal(d); strings.Contains(string(text), "hunter2") {
			t.Error("a message that is a log was kept")
		}
	}
	run, _, _ = fold(t, base(pinned), read(t, "evicted.json"), nil)
	if run.Status != schema.Failed || run.ExitCode != nil || !strings.Contains(run.Why, "Evicted") || run.Attempts[0].Reason != "Evicted" || run.Finished.IsZero() {
		t.Errorf("evicted: %s %v %q %v", run.Status, run.ExitCode, run.Why, run.Attempts)
	}
	master, worker := pinned, pinned
	master.Where = []schema.Text{"j:1:1 spec.pytorchReplicaSpecs.Master.template.spec.containers[0].image"}
	worker.Name, worker.ConfigDigest, worker.IndexDigest, worker.PlatformDigest = "trainer_2", "", digest("worker"), ""
	worker.Where = []schema.Text{"j:9:1 spec.pytorchReplicaSpecs.Worker.template.spec.containers[0].image"}
	run, _, _ = fold(t, base(master, worker), read(t, "pytorchjob.yaml"), nil)
	if len(run.Drift) > 0 || run.Images[0].Use != schema.Observed || run.Images[1].Use != schema.Observed || run.Metrics["loss"] != "0.25" || len(run.Attempts) != 2 || *run.Attempts[1].Rank != 1 {
		t.Errorf("pytorchjob: drift %v, %s, %s, metrics %v, attempts %v", run.Drift, run.Images[0].Use, run.Images[1].Use, run.Metrics, run.Attempts)
	}
	var told []string
	for _, r := range run.Reasons {
		told = append(told, r.Code+" "+string(r.Subject))
	}
	if want := "[container-not-pinned istio-init container-not-pinned debugger-x7k2p]"; fmt.Sprint(told) != want && fmt.Sprint(told) != "[container-not-pinned debugger-x7k2p container-not-pinned istio-init]" {
		t.Errorf("reasons %v, want %s", told, want)
	}
}

// sidecars makes a pod from the states of its containers, each as a YAML flow mapping.
func sidecars(phase, annotations string, states ...string) string {
	spec, status := "", ""
	for _, s := range states {
		name, state, _ := strings.Cut(s, " ")
		spec += fmt.Sprintf("\n  - {name: %s, image: x}", name)
		status += fmt.Sprintf("\n  - {name: %s, %s}", name, state)
	}
	return "kind: Pod\nmetadata: {name: p, creationTimestamp: \"2026-11-23T18:00:00Z\", annotations: {" + annotations + "}}\nspec:\n  containers:" + spec +
		"\nstatus:\n  phase: " + phase + "\n  startTime: \"2026-11-23T18:00:01Z\"\n  containerStatuses:" + status + "\n"
}

// TestMainContainer: what stands beside the training gives neither its exit code nor its number of tries nor its times.
func TestMainContainer(t *testing.T) {
	const ended = `state: {terminated: {exitCode: %d, reason: %s, startedAt: "2026-11-23T18:%02d:00Z", finishedAt: "2026-11-23T18:%02d:00Z"}}`
	for _, c := range []struct {
		name     string
		pod      string
		why      string
		exit     int // -1: none
		attempts string
		status   schema.Status
	}{
		{"Argo's wait stands first", sidecars("Failed", "", "wait "+fmt.Sprintf(ended, 64, "Error", 1, 10), "main "+fmt.Sprintf(ended, 137, "OOMKilled", 2, 9)), "OOMKilled in container main of pod p", 137, "1:18:02", schema.Failed},
		{"what kubectl takes", sidecars("Failed", `kubectl.kubernetes.io/default-container: train`, "main "+fmt.Sprintf(ended, 2, "Error", 1, 10), "train "+fmt.Sprintf(ended, 3, "Error", 2, 9)), "exit code 3 in container train of pod p", 3, "1:18:02", schema.Failed},
		{"the main one went well", sidecars("Failed", "", "wait "+fmt.Sprintf(ended, 64, "Error", 1, 10), "main "+fmt.Sprintf(ended, 0, "Completed", 2, 9)), "exit code 64 in container wait of pod p", 64, "1:18:02", schema.Failed},
		{"a proxy that restarts", sidecars("Running", "", `trainer state: {running: {startedAt: "2026-11-23T18:05:00Z"}}`,
			`proxy restartCount: 4, state: {running: {startedAt: "2026-11-23T18:08:00Z"}}, lastState: {terminated: {exitCode: 1, startedAt: "2026-11-23T18:01:00Z", finishedAt: "2026-11-23T18:07:00Z"}}`), "", -1, "1:18:05", schema.Running},
		{"the main one restarted beside a proxy", sidecars("Running", "", `proxy state: {running: {startedAt: "2026-11-23T18:00:02Z"}}`,
			`main restartCount: 1, state: {running: {startedAt: "2026-11-23T18:08:00Z"}}, lastState: {terminated: {exitCode: 1, startedAt: "2026-11-23T18:01:00Z", finishedAt: "2026-11-23T18:07:00Z"}}`), "", -1, "1:18:01 2:18:08", schema.Running},
		{"between two restarts", sidecars("Running", "",
			`main restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, startedAt: "2026-11-23T18:05:00Z", finishedAt: "2026-11-23T18:07:00Z"}}`), "", -1, "2:18:05", schema.Running},
	} {
		pods, err := ReadPods(strings.NewReader(c.pod), "pod")
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, c.pod)
		}
		run, _, _ := fold(t, base(), pods, nil)
		exit, attempts := -1, ""
		if run.ExitCode != nil {
			exit = *run.ExitCode
		}
		for _, a := range run.Attempts {
			attempts += fmt.Sprintf(" %d:%s", a.Number, a.Started.String()[11:16])
		}
		if run.Why != c.why || exit != c.exit || strings.TrimSpace(attempts) != c.attempts || run.Status != c.status {
			t.Errorf("%s: %s %q, exit code %d, attempts%s", c.name, run.Status, run.Why, exit, attempts)
		}
	}
}

func TestReadPodsRefuses(t *testing.T) {
	for _, bad := range []string{"", "[]", "{", `{"kind":"List","items":[]}`, `{"kind":"Pod","metadata":{"name":"../etc"}}`, `{"items":[]}`, "a: &a [1]\nb: *c", "kind: Pod\nmetadata: {name: &n a, uid: *n}", "- 1", "kind: Pod\nmetadata: {name: [x]}", "? {a: b}\n: c",
		`{"kind":"List","items":[{"kind":"List","items":[` + pod("a", 0, "", 1, 2, 0) + `]}]}`} {
		if pods, err := ReadPods(strings.NewReader(bad), "x"); !schema.IsKind(err, schema.Invalid) {
			t.Errorf("%q: %d pods, %v", bad, len(pods), err)
		}
	}
}

func FuzzReadPods(f *testing.F) {
	f.Add([]byte(pod("a", 0, "team/trainer@"+string(digest("index")), 1, 2, 3)))
	for _, name := range []string{"oomkilled.yaml", "evicted.json", "pytorchjob.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pods, err := ReadPods(strings.NewReader(string(data)), "fuzz")
		if err != nil {
			return
		}
		fold(t, base(pinned), pods, nil) // every document must be one that a store takes
	})
}

// What the pod is there for says why it ended and how often it was tried; a sidecar that fails first or restarts does not.
func TestMainContainerSpeaks(t *testing.T) {
	pods, err := ReadPods(strings.NewReader(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"kubectl.kubernetes.io/default-container":"main"}},
		"spec":{"containers":[{"name":"wait"},{"name":"main"}]},"status":{"phase":"Failed","containerStatuses":[
		{"name":"wait","restartCount":3,"state":{"terminated":{"exitCode":64,"reason":"Error","startedAt":"2026-11-23T18:00:00Z","finishedAt":"2026-11-23T18:01:00Z"}},
		 "lastState":{"terminated":{"exitCode":1,"startedAt":"2026-11-23T17:00:00Z","finishedAt":"2026-11-23T17:01:00Z"}}},
		{"name":"main","restartCount":0,"state":{"terminated":{"exitCode":137,"reason":"OOMKilled","startedAt":"2026-11-23T18:00:00Z","finishedAt":"2026-11-23T18:00:30Z"}}}]}}`), "p")
	if err != nil {
		t.Fatal(err)
	}
	tries := Tries(pods)
	if len(tries) != 1 || tries[0].Number != 1 || *tries[0].ExitCode != 137 || tries[0].Why != "OOMKilled in container main of pod p" {
		t.Errorf("%+v", tries)
	}
}
