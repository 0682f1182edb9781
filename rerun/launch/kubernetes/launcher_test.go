package kubernetes

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

const runA, runB = "01JDABCDEFGHJKMNPQRSTVWXYZ", "01JDABCDEFGHJKMNPQRSTVWXY0"

func digest(s string) string { return string(schema.SHA256([]byte(s))) }

var trainer = "registry.example.com/team/trainer:1.4@" + digest("trainer")

// jobSpec is a pinned and stamped Job.
func jobSpec(name string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata:
  %s
  annotations:
    runpin.dev/run: "%s"
spec:
  backoffLimit: 0
  template:
    metadata:
      annotations:
        runpin.dev/run: "%s"
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: %s
          env:
            - name: RUNPIN_RUN_ID
              value: "%s"
`, name, runA, runA, trainer, runA)
}

const settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {lr: \"0.1\"}\n---\n"

func spec(text string) launch.Spec {
	return launch.Spec{Name: "train.yaml", Data: []byte(text), Run: runA}
}

// notes collects what a launcher warns of.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, s)
}

func (n *notes) has(part string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.all, func(s string) bool { return strings.Contains(s, part) })
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 2000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s does not happen", what)
}

func wantError(t *testing.T, err error, kind schema.Kind, parts ...string) {
	t.Helper()
	if schema.KindOf(err) != kind {
		t.Errorf("kind %q, want %s: %v", schema.KindOf(err), kind, err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error()+schema.HintOf(err), "sesame") {
		t.Errorf("%q holds the token", err)
	}
}

func submit(t *testing.T, l *Launcher, text string) schema.Launched {
	t.Helper()
	job, err := l.Submit(t.Context(), spec(text))
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestProbe(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{Timeout: 200 * time.Millisecond})
	if err := l.Probe(t.Context(), launch.Spec{}); err != nil {
		t.Error(err)
	}
	text := spec(settings + jobSpec("name: train"))
	if err := l.Probe(t.Context(), text); err != nil {
		t.Error(err)
	}
	if len(c.names("jobs"))+len(c.names("configmaps")) > 0 {
		t.Error("something was created")
	}
	c.denied["create jobs"] = true
	wantError(t, l.Probe(t.Context(), text), schema.Unavailable, "does not let this account create jobs.batch in namespace ml")
	c.denied["watch pods"] = true
	wantError(t, l.Probe(t.Context(), launch.Spec{}), schema.Unavailable, "watch pods")
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"hanging": func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
		"garbage": func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "hello"); return true },
		"huge": func(w http.ResponseWriter, _ *http.Request) bool {
			for range 200 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return true
				}
			}
			return true
		},
		"unauthorized": func(w http.ResponseWriter, r *http.Request) bool {
			refuse(w, 401, "Unauthorized", "not with "+r.Header.Get("Authorization"))
			return true
		},
		"500": func(w http.ResponseWriter, _ *http.Request) bool { http.Error(w, "\x1b[31mpanic", 500); return true },
	} {
		c.mu.Lock()
		c.fault = fault
		c.mu.Unlock()
		err := l.Probe(t.Context(), launch.Spec{})
		wantError(t, err, schema.Unavailable, "cluster 127.0.0.1")
		if strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: %q", name, err)
		}
	}
	nobody, err := New(&rest.Config{Host: "http://user:hunter22@127.0.0.1:1"}, "ml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = nobody.Probe(t.Context(), launch.Spec{})
	wantError(t, err, schema.Unavailable, "refused")
	if strings.Contains(err.Error(), "hunter22") {
		t.Error(err)
	}
	if _, err := New(&rest.Config{Host: "http://x"}, "a/b", Options{}); schema.KindOf(err) != schema.Invalid {
		t.Error(err)
	}
}

// What the server warns of when an object is created reaches the user.
func TestServerWarnings(t *testing.T) {
	c := newCluster(t)
	n := &notes{}
	l := c.launcher(Options{Warn: n.add})
	c.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" {
			w.Header().Set("Warning", `299 - "unknown field \"spec.backofLimit\""`)
		}
		return false
	}
	submit(t, l, jobSpec("name: train"))
	if !n.has(`unknown field "spec.backofLimit"`) {
		t.Errorf("%q", n.all)
	}
}

// Several clusters stand behind one host, and tell each other's jobs from their own. What an earlier version wrote names the host alone.
func TestClustersBehindOneHost(t *testing.T) {
	one, two := newCluster(t), newCluster(t)
	gate := http.NewServeMux()
	gate.Handle("/k8s/clusters/one/", http.StripPrefix("/k8s/clusters/one", one))
	gate.Handle("/k8s/clusters/two/", http.StripPrefix("/k8s/clusters/two", two))
	server := httptest.NewServer(gate)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	behind := func(path string) *Launcher {
		l, err := New(&rest.Config{Host: server.URL + path, BearerToken: "sesame-open-wide", QPS: 1000, Burst: 1000}, "ml", Options{Patience: 2 * time.Second, Settle: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first, second := behind("/k8s/clusters/one/"), behind("/k8s/clusters/two")
	job := submit(t, first, jobSpec("name: train"))
	host := strings.TrimPrefix(server.URL, "http://")
	if got := hostOf("https://ann:hunter22@api.example.org:6443/k8s/a%20b/?token=sesame#sesame"); got != "api.example.org:6443/k8s/a%20b" {
		t.Errorf("%q", got)
	}
	if want := "ml@" + host + "/k8s/clusters/one"; job.Place != want {
		t.Errorf("%q, want %q", job.Place, want)
	}
	_, err := second.Wait(t.Context(), job, nil)
	wantError(t, err, schema.Invalid, "/k8s/clusters/one, and this is "+host+"/k8s/clusters/two")
	wantError(t, second.Stop(t.Context(), job), schema.Invalid)
	wantError(t, second.Remove(t.Context(), job), schema.Invalid)
	if _, _, err := second.Find(t.Context(), spec(jobSpec("name: train")), job.Place); schema.KindOf(err) != schema.Invalid || !strings.Contains(schema.HintOf(err), "--context") {
		t.Errorf("%v", err)
	}
	old := job
	old.Place = "ml@" + host
	_, err = second.Wait(t.Context(), old, nil)
	wantError(t, err, schema.Invalid, "does not tell from others there")
	one.change("jobs", "train", condition("Complete", "True", ""))
	if _, err := first.Wait(t.Context(), old, nil); err != nil {
		t.Error(err)
	}
	if err := first.Remove(t.Context(), old); err != nil || len(one.names("jobs")) > 0 {
		t.Errorf("%v, left %v", err, one.names("jobs"))
	}
}
