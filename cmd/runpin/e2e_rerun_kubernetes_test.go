package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// jobServer is as much of an API server as one job needs: what is created runs at once, in one pod, and ends as the test says. rerun/launch/kubernetes has the
// tests of everything that a cluster can do wrong.
type jobServer struct {
	t        *testing.T
	mu       sync.Mutex
	jobs     map[string]map[string]any
	pods     map[string]map[string]any
	removed  []string
	exitCode int
	message  string              // that the container leaves
	imageID  func(string) string // what a node says that it runs, by what was asked for; nil: that
	hangs    bool                // the container never ends
	stalls   chan<- string       // told when a request to create was carried out, or with idle was not, which is never answered; nil: all are
	idle     bool
	silent   bool // it creates, says that it does not, and does not say what there is
	version  int
}

func startJobServer(t *testing.T) (server *jobServer, kubeconfig string) {
	server = &jobServer{t: t, jobs: map[string]map[string]any{}, pods: map[string]map[string]any{}, version: 10}
	h := httptest.NewServer(server)
	t.Cleanup(h.CloseClientConnections)
	t.Cleanup(h.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"x","context":{"cluster":"c","namespace":"ml"}}],"current-context":"x"}`, h.URL)
	if err := os.WriteFile(kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return server, kubeconfig
}

func (s *jobServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("watch") != "" {
		w.(http.Flusher).Flush()
		select { // nothing happens that was not listed
		case <-r.Context().Done():
		case <-time.After(200 * time.Millisecond):
		}
		return
	}
	s.mu.Lock()
	if stalls := s.stalls; stalls != nil && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/jobs") {
		name := "nothing"
		if !s.idle {
			s.create(r.Body, func(job any) { name = job.(map[string]any)["metadata"].(map[string]any)["name"].(string) })
		}
		s.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body) // a server sees that its client has gone only then
		stalls <- name
		<-r.Context().Done()
		return
	}
	defer s.mu.Unlock()
	say := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	fail := func(code int, reason string) {
		w.WriteHeader(code)
		say(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason})
	}
	resources := func(gv string, rows ...any) {
		say(map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": rows})
	}
	list := func(kind string, all map[string]map[string]any) {
		items := []any{}
		for _, o := range all {
			items = append(items, o)
		}
		say(map[string]any{"kind": kind + "List", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": fmt.Sprint(s.version)}, "items": items})
	}
	const jobs, pods = "/apis/batch/v1/namespaces/ml/jobs", "/api/v1/namespaces/ml/pods"
	switch p := r.URL.Path; {
	case p == "/version":
		say(map[string]any{"gitVersion": "v1.31.0"})
	case strings.HasSuffix(p, "/selfsubjectaccessreviews"):
		say(map[string]any{"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "status": map[string]any{"allowed": true}})
	case p == "/api/v1":
		resources("v1", map[string]any{"name": "pods", "kind": "Pod", "namespaced": true})
	case p == "/apis/batch/v1":
		resources("batch/v1", map[string]any{"name": "jobs", "kind": "Job", "namespaced": true})
	case p == jobs && s.silent:
		if r.Method == http.MethodPost {
			s.create(r.Body, func(any) {})
		}
		fail(http.StatusInternalServerError, "InternalError")
	case p == jobs && r.Method == http.MethodPost:
		s.create(r.Body, say)
	case p == jobs:
		list("Job", s.jobs)
	case p == pods:
		list("Pod", s.pods)
	case strings.HasSuffix(p, "/log"):
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "2026-11-20T10:00:04.000000000Z epoch 1 of 1\n")
	case strings.HasPrefix(p, jobs+"/") && r.Method == http.MethodDelete:
		s.removed = append(s.removed, path.Base(p))
		delete(s.jobs, path.Base(p))
		clear(s.pods)
		say(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	case strings.HasPrefix(p, jobs+"/") && s.jobs[path.Base(p)] != nil:
		say(s.jobs[path.Base(p)])
	case strings.HasPrefix(p, pods+"/") && s.pods[path.Base(p)] != nil:
		say(s.pods[path.Base(p)])
	default:
		fail(http.StatusNotFound, "NotFound")
	}
}

// create takes a job, and does what controller, scheduler and node do with it.
func (s *jobServer) create(body io.Reader, say func(any)) {
	var job map[string]any
	if err := json.NewDecoder(body).Decode(&job); err != nil {
		s.t.Error(err)
	}
	s.version++
	meta := job["metadata"].(map[string]any)
	name := meta["name"].(string)
	meta["uid"], meta["resourceVersion"], meta["namespace"] = "uid-"+name, fmt.Sprint(s.version), "ml"
	s.jobs[name] = job
	template := job["spec"].(map[string]any)["template"].(map[string]any)
	asked := template["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["image"].(string)
	runs := asked
	if s.imageID != nil {
		runs = s.imageID(asked)
	}
	pod := endedPod(name+"-0", 0, "gpu-a", asked, runs, s.exitCode, s.message)
	podMeta := pod["metadata"].(map[string]any)
	podMeta["namespace"], podMeta["resourceVersion"] = "ml", fmt.Sprint(s.version)
	podMeta["labels"] = map[string]any{"job-name": name, "batch.kubernetes.io/job-name": name}
	if given, ok := template["metadata"].(map[string]any); ok && given["annotations"] != nil {
		podMeta["annotations"] = given["annotations"]
	}
	podMeta["ownerReferences"].([]any)[0].(map[string]any)["name"] = name
	podMeta["ownerReferences"].([]any)[0].(map[string]any)["uid"] = meta["uid"]
	if s.hangs {
		status := pod["status"].(map[string]any)
		status["phase"] = "Running"
		status["containerStatuses"].([]any)[0].(map[string]any)["state"] = map[string]any{"running": map[string]any{"startedAt": "2026-11-20T10:00:03Z"}}
	} else {
		kind := "Complete"
		if s.exitCode != 0 {
			kind = "Failed"
		}
		job["status"] = map[string]any{"conditions": []any{map[string]any{"type": kind, "status": "True", "reason": "Test"}}}
	}
	s.pods[name+"-0"] = pod
	say(job)
}

// submitted gives what is left of what was submitted, and what was taken away again.
func (s *jobServer) state() (jobs, removed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.jobs {
		jobs = append(jobs, name)
	}
	return jobs, append([]string(nil), s.removed...)
}

// recordedJob records a job of one pod that succeeded, with a loss of 0.125.
func (p *pipeline) recordedJob(registry, digest string) (id string) {
	p.t.Helper()
	image := registry + "/team/trainer:1.4"
	p.write("job.yaml", strings.ReplaceAll(strings.ReplaceAll(kubernetesJob, "IMAGE", image), "completions: 2\n  parallelism: 2\n  completionMode: Indexed", "completions: 1"))
	id = strings.TrimSpace(p.must(0, "record", "--job", "job.yaml", "--pinned", "pinned.yaml"))
	pod := endedPod("train-0-a", 0, "gpu-a", image+"@"+digest, registry+"/team/trainer@"+digest, 0, `{"loss": 0.125}`)
	if code, out, said := p.run(nil, podList(p.t, pod), "finish", id, "--pod", "-"); code != 0 {
		p.t.Fatalf("finish: %d\n%s%s", code, out, said)
	}
	return id
}

// TestRerunOnKubernetesFoundAgain: a job whose submitter was killed before it could name it, or did not get an answer, is named by show, and found, judged and taken
// away by verify.
func TestRerunOnKubernetesFoundAgain(t *testing.T) {
	cluster, kubeconfig := startJobServer(t)
	cluster.message = `{"loss": 0.125}`
	p := newPipeline(t)
	p.env = append(p.env, "KUBECONFIG="+kubeconfig)
	registry, _ := startRegistry(t)
	id := p.recordedJob(registry, busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"}))
	set := func(change func()) {
		cluster.mu.Lock()
		defer cluster.mu.Unlock()
		change()
	}
	killed := func(idle bool) (run, job string) {
		t.Helper()
		reached := make(chan string, 1)
		set(func() { cluster.stalls, cluster.idle = reached, idle })
		defer set(func() { cluster.stalls = nil })
		cmd := exec.CommandContext(t.Context(), "runpin", "rerun", id, "--execute")
		cmd.Dir, cmd.Env = p.project, p.env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		job = <-reached
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return lastID(p.must(0, "list", "-q", "--limit", "1")), job
	}

	run, job := killed(false)
	if got := p.show(run); got.Status != schema.Planned || got.Launched != nil || !strings.HasPrefix(got.LaunchPlace, "ml@127.0.0.1:") || string(got.RerunOf) != id {
		t.Fatalf("%s, %+v, %q, of %s", got.Status, got.Launched, got.LaunchPlace, got.RerunOf)
	}
	if s := p.must(0, "show", run); !strings.Contains(s, "it is not known whether it was: runpin verify") {
		t.Errorf("what may be left is not named:\n%s", s)
	}
	if left, _ := cluster.state(); len(left) != 1 || left[0] != job {
		t.Errorf("left %q, want %s", left, job)
	}
	p.must(0, "verify", run)
	again := p.show(run)
	if again.Status != schema.Succeeded || again.Verdict == nil || again.Verdict.Result != schema.Identical || again.Launched == nil || !strings.HasPrefix(again.Launched.Job, "Job/"+job+"@") {
		t.Errorf("%s, %+v, %+v", again.Status, again.Verdict, again.Launched)
	}
	if left, removed := cluster.state(); len(left) != 0 || len(removed) != 1 || removed[0] != job {
		t.Errorf("left %q, removed %q", left, removed)
	}

	// One that was killed before there is a job: nobody says that it failed while somebody may be about to submit it.
	run, _ = killed(true)
	if code, _, said := p.run(nil, "", "verify", run); code != 15 || !strings.Contains(said, "may be about to be submitted") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	later := func(minutes time.Duration) []string {
		return []string{"RUNPIN_TEST_CLOCK=" + time.Now().Add(minutes*time.Minute).UTC().Format(time.RFC3339)}
	}
	if code, _, said := p.run(later(10), "", "verify", run); code != 13 || !strings.Contains(said, "is recorded as failed: it was never submitted") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	if got := p.show(run); got.Status != schema.Failed || !strings.Contains(got.Why, "never submitted") {
		t.Errorf("%s %q", got.Status, got.Why)
	}
	if code, _, said := p.run(later(20), "", "finish", run, "--status", "succeeded", "--exit-code", "0"); code != 0 || p.show(run).Status != schema.Succeeded {
		t.Errorf("who knows better is not believed: %d\n%s", code, said)
	}

	// One that the cluster made and denies: it has not failed, and is found when the cluster answers again.
	set(func() { cluster.silent = true })
	code, _, said := p.run(nil, "", "rerun", id, "--execute")
	if code != 15 || !strings.Contains(said, "there may be a job all the same") || !strings.Contains(said, "runpin verify") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	run = lastID(p.must(0, "list", "-q", "--limit", "1"))
	if got := p.show(run); got.Status != schema.Planned || len(got.Reasons) == 0 || got.Reasons[len(got.Reasons)-1].Code != "submission-unsure" {
		t.Errorf("%s, %+v", got.Status, got.Reasons)
	}
	p.must(15, "verify", run)
	set(func() { cluster.silent = false })
	p.must(0, "verify", run)
	if left, _ := cluster.state(); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

// TestVerifyOnAnotherCluster: verify is told which cluster a job runs on, says so when it is not, and leaves a job where it is that is to be kept.
func TestVerifyOnAnotherCluster(t *testing.T) {
	cluster, near := startJobServer(t)
	cluster.message = `{"loss": 0.125}`
	_, far := startJobServer(t)
	p := newPipeline(t)
	p.env = append(p.env, "KUBECONFIG="+far+string(filepath.ListSeparator)+p.renamed(near, "lab"))
	registry, _ := startRegistry(t)
	id := p.recordedJob(registry, busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"}))
	code, out, said := p.run(nil, "", "rerun", id, "--execute", "--detach", "--keep-job", "--context", "lab")
	run := lastID(out)
	if code != 0 || !strings.Contains(said, " --context lab looks at it") {
		t.Fatalf("exit code %d\n%s%s", code, out, said)
	}
	if code, _, said := p.run(nil, "", "verify", run); code != 2 || !strings.Contains(said, "name the cluster with --context") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	p.must(0, "verify", run, "--context", "lab")
	if got := p.show(run); got.Status != schema.Succeeded || !got.Launched.Keep {
		t.Errorf("%s, %+v", got.Status, got.Launched)
	}
	if left, removed := cluster.state(); len(left) != 1 || len(removed) != 0 {
		t.Errorf("left %q, removed %q", left, removed)
	}
	p.must(0, "verify", run, "--kubeconfig", near)
}

// renamed writes a kubeconfig of startJobServer with another name for all that it names.
func (p *pipeline) renamed(kubeconfig, name string) string {
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.t.TempDir(), name)
	if err := os.WriteFile(file, []byte(strings.NewReplacer(`"c"`, fmt.Sprintf("%q", name), `"x"`, fmt.Sprintf("%q", name)).Replace(string(text))), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// TestRerunOnKubernetes runs a recorded job again on a cluster: by the recorded digest though the tag moved, followed, collected, judged and taken away.
func TestRerunOnKubernetes(t *testing.T) {
	cluster, kubeconfig := startJobServer(t)
	p := newPipeline(t)
	p.env = append(p.env, "KUBECONFIG="+kubeconfig)
	registry, _ := startRegistry(t)
	first := busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"})
	id := p.recordedJob(registry, first)
	busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "second\n"}) // the tag moves

	// The same result.
	cluster.message = `{"loss": 0.125}`
	code, out, said := p.run(nil, "", "rerun", id, "--execute")
	if code != 0 || !strings.Contains(said, "epoch 1 of 1") {
		t.Fatalf("exit code %d\n%s%s", code, out, said)
	}
	again := p.show(lastID(out))
	if again.Verdict == nil || again.Verdict.Result != schema.Identical || again.Status != schema.Succeeded || again.Launched == nil || again.Launched.On != "kubernetes" {
		t.Errorf("%+v, launched %+v, %s", again.Verdict, again.Launched, again.Status)
	}
	if string(again.Images[0].Pullable()) != first || len(again.Attempts) != 1 || again.Attempts[0].Node != "gpu-a" {
		t.Errorf("image %s, attempts %+v", again.Images[0].Pullable(), again.Attempts)
	}
	if left, removed := cluster.state(); len(left) != 0 || len(removed) != 1 {
		t.Errorf("left %q, removed %q", left, removed)
	}

	// Another result, and a job that fails.
	cluster.message = `{"loss": 0.5}`
	p.must(13, "rerun", id, "--execute")
	p.must(0, "rerun", id, "--execute", "--tolerance", "loss=1")
	cluster.exitCode = 3
	p.must(13, "rerun", id, "--execute")
	cluster.exitCode, cluster.message = 0, `{"loss": 0.125}`

	// A node that runs something else than what is pinned.
	cluster.imageID = func(string) string { return registry + "/team/trainer@sha256:" + strings.Repeat("ab", 32) }
	code, out, said = p.run(nil, "", "rerun", id, "--execute")
	if code != 14 || !strings.Contains(said, "abababab") {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
	cluster.imageID = nil

	// It is left alone, and judged later.
	cluster.hangs = true
	detached := lastID(p.must(0, "rerun", id, "--execute", "--detach"))
	p.must(15, "verify", detached)
	if s := p.must(0, "show", detached); !strings.Contains(s, "launched") || !strings.Contains(s, "looks at it") {
		t.Errorf("where it runs is not shown:\n%s", s)
	}

	// A dry run says what would be created, and creates nothing.
	before, _ := cluster.state()
	if said := p.must(0, "rerun", id, "--execute", "--dry-run"); !strings.Contains(said, "Job") || !strings.Contains(said, "ml") {
		t.Errorf("a dry run says\n%s", said)
	}
	if after, _ := cluster.state(); len(after) != len(before) {
		t.Errorf("a dry run created %q", after)
	}

	// No cluster.
	if code, _, said := p.run([]string{"KUBECONFIG=/nowhere"}, "", "rerun", id, "--execute"); code != 2 && code != 15 {
		t.Errorf("exit code %d\n%s", code, said)
	}
}
