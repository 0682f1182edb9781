package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
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

// set changes how the server behaves.
func (s *jobServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
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
	cluster.set(func() { cluster.message = `{"loss": 0.125}` })
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
	cluster.set(func() { cluster.message = `{"loss": 0.5}` })
	p.must(13, "rerun", id, "--execute")
	p.must(0, "rerun", id, "--execute", "--tolerance", "loss=1")
	cluster.set(func() { cluster.exitCode = 3 })
	p.must(13, "rerun", id, "--execute")
	cluster.set(func() { cluster.exitCode, cluster.message = 0, `{"loss": 0.125}` })

	// A node that runs something else than what is pinned.
	cluster.set(func() {
		cluster.imageID = func(string) string { return registry + "/team/trainer@sha256:" + strings.Repeat("ab", 32) }
	})
	code, out, said = p.run(nil, "", "rerun", id, "--execute")
	if code != 14 || !strings.Contains(said, "abababab") {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
	cluster.set(func() { cluster.imageID = nil })

	// It is left alone, and judged later.
	cluster.set(func() { cluster.hangs = true })
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
