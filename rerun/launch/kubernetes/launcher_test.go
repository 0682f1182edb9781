package kubernetes

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
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

func TestPlan(t *testing.T) {
	l := newCluster(t).launcher(Options{})
	lines, err := l.Plan(spec(settings + jobSpec("generateName: train-")))
	want := []string{"create ConfigMap settings in namespace ml of cluster " + l.host, "create Job train-* in namespace ml of cluster " + l.host}
	if err != nil || !slices.Equal(lines[:2], want) {
		t.Errorf("%q %v", lines, err)
	}
	simple := func(apiVersion, kind string) string {
		return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: x}\n"
	}
	for text, says := range map[string]string{
		simple("batch/v1", "CronJob"):                            "by the clock",
		simple("argoproj.io/v1alpha1", "CronWorkflow"):           "by the clock",
		simple("apps/v1", "Deployment"):                          "never ends",
		simple("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"): "never ends",
		simple("example.com/v1", "Thing"):                        "whose end runpin does not know",
		settings:                                                 "whose end runpin does not know",
		settings + simple("v1", "Secret"):                        "holds no job",
		jobSpec("name: a") + "---\n" + jobSpec("name: b"):        "second job beside Job a",
		jobSpec("name: a") + "---\n" + jobSpec("name: a"):        "second job",
		settings + settings + jobSpec("name: a"):                 "is there twice",
		jobSpec("name: a") + "...\n" + simple("v1", "Thing"):     "other readers of YAML do not",
		jobSpec("labels: {a: b}"):                                "neither a name nor a generateName",
		jobSpec("name: A_b"):                                     "cannot follow",
		jobSpec("name: ../../x"):                                 "cannot follow",
		jobSpec("name: a\n  namespace: other") + "---\n" + strings.Replace(settings, "settings", "settings, namespace: third", 1): "several namespaces",
		jobSpec("name: a\n  namespace: ../kube-system"):    "is not the name of a namespace",
		strings.ReplaceAll(jobSpec("name: a"), runA, runB): "stamp of another run",
		"- a\n- b\n":         "no object of Kubernetes",
		"a: [":               "cannot be read",
		"":                   "holds no object",
		"kind: x\nkind: y\n": "cannot be read",
		strings.Replace(jobSpec("name: a"), "batch/v1", "batch/../v1", 1): "needs an apiVersion and a kind",
		strings.Repeat("# padding\n", 400_000):                            "more than 3 MiB",
		strings.Repeat(settings, 40):                                      "more than 32 objects",
	} {
		_, err := l.Plan(spec(text))
		if err == nil {
			t.Errorf("%q is planned, want: %s", text, says)
			continue
		}
		wantError(t, err, schema.Invalid, says)
		if !strings.Contains(err.Error(), "train.yaml") || schema.HintOf(err) == "" && says != "is there twice" {
			t.Errorf("%v: hint %q", err, schema.HintOf(err))
		}
	}
	if _, err := l.Plan(launch.Spec{Data: []byte(jobSpec("name: a"))}); schema.KindOf(err) != schema.Invalid {
		t.Errorf("no run: %v", err)
	}
}

// Numbers and booleans are what kubectl makes of them, and a list is taken apart.
func TestReadAsKubectl(t *testing.T) {
	l := newCluster(t).launcher(Options{})
	p, err := l.read(spec("apiVersion: v1\nkind: List\nitems:\n- apiVersion: ray.io/v1\n  kind: RayJob\n  metadata: {name: r}\n  spec: {shutdownAfterJobFinishes: yes, count: 3, f: 0.5, s: \"yes\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := object{"shutdownAfterJobFinishes": true, "count": int64(3), "f": 0.5, "s": "yes"}
	if got := p.objects[p.job].Object["spec"]; !reflect.DeepEqual(got, want) {
		t.Errorf("%#v", got)
	}
}

func TestHandle(t *testing.T) {
	for text, object := range map[string]string{
		"Job/train-x9k2@" + runA: "Job/train-x9k2",
		"PyTorchJob.v1.kubeflow.org/train+ConfigMap/settings@" + runA:                           "PyTorchJob.v1.kubeflow.org/train",
		"Job.v1alpha1.batch.volcano.sh/v+Service/s+Role.v1.rbac.authorization.k8s.io/r@" + runA: "Job.v1alpha1.batch.volcano.sh/v",
		"Pod/p@" + runA: "Pod/p",
	} {
		l := schema.Launched{On: Name, Job: text, Place: "ml@127.0.0.1:6443"}
		h, err := parseHandle(l)
		if err != nil {
			t.Fatal(text, err)
		}
		if again := h.launched(); again != l {
			t.Errorf("%v comes back as %v", l, again)
		}
		if o, ns := Object(l); o != object || ns != "ml" {
			t.Errorf("%s: %s %s", text, o, ns)
		}
	}
	l := newCluster(t).launcher(Options{})
	for _, job := range []schema.Launched{
		{}, {On: "slurm", Job: "4711", Place: "c"}, {On: Name, Job: "4711", Place: "ml@h"}, {On: Name, Job: "Job/a", Place: "ml@h"}, {On: Name, Job: "Job/a@x", Place: "ml@h"},
		{On: Name, Job: "Job/../../secrets/s@" + runA, Place: "ml@h"}, {On: Name, Job: "Job/a@" + runA, Place: "../x@h"}, {On: Name, Job: "Job/a@" + runA, Place: "ml"},
		{On: Name, Job: "ConfigMap/a@" + runA, Place: "ml@h"}, {On: Name, Job: "Deployment.v1.apps/a@" + runA, Place: "ml@h"}, {On: Name, Job: "Job/a+@" + runA, Place: "ml@h"},
		{On: Name, Job: "Job/a\n@" + runA, Place: "ml@h"}, {On: Name, Job: "Job.v1.batch/a@" + runA, Place: "ml@h"}, {On: Name, Job: "Job/a+" + strings.Repeat("Pod/b+", 5000) + "Pod/c@" + runA, Place: "ml@h"},
		{On: Name, Job: "Job/a%2f..@" + runA, Place: "ml@h"}, {On: Name, Job: "Job/a@" + runA, Place: "ml@elsewhere:6443"},
	} {
		_, err := l.Wait(t.Context(), job, nil)
		wantError(t, err, schema.Invalid)
		wantError(t, l.Stop(t.Context(), job), schema.Invalid)
		wantError(t, l.Remove(t.Context(), job), schema.Invalid)
		if strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q", err)
		}
	}
}

func TestSubmitAndRemove(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	job := submit(t, l, settings+jobSpec("generateName: train-"))
	name := c.names("jobs")[0]
	if want := "Job/" + name + "+ConfigMap/settings@" + runA; job.Job != want || job.On != "kubernetes" || job.Place != "ml@"+l.host {
		t.Errorf("%+v", job)
	}
	for _, k := range []string{"jobs/ml/" + name, "configmaps/ml/settings"} {
		meta := c.objects[k]["metadata"].(object)
		if meta["annotations"].(object)[stamp] != runA || meta["labels"].(object)[stamp] != runA {
			t.Errorf("%s is not stamped: %v", k, meta)
		}
	}
	if posts := c.requests("POST"); len(posts) != 2 || !strings.Contains(posts[0], "configmaps") || !strings.Contains(posts[1], "fieldManager=runpin") {
		t.Errorf("%q", posts)
	}
	if again, ok, err := l.Find(t.Context(), spec(settings+jobSpec("generateName: train-"))); err != nil || !ok || again != job {
		t.Errorf("%+v %v %v", again, ok, err)
	}
	for range 2 {
		if err := l.Remove(t.Context(), job); err != nil {
			t.Error(err)
		}
	}
	if left := append(c.names("jobs"), c.names("configmaps")...); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, ok, err := l.Find(t.Context(), spec(jobSpec("name: train"))); err != nil || ok {
		t.Error(ok, err)
	}
	if len(c.requests("PROPAGATION Background")) != 2 {
		t.Errorf("%q", c.requests("PROPAGATION"))
	}
}

// What bears the name of what was removed, and belongs to somebody else, is left alone.
func TestForeignObjectsAreLeft(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	job := submit(t, l, settings+jobSpec("name: train"))
	for _, k := range []string{"jobs/train", "configmaps/settings"} {
		resource, name, _ := strings.Cut(k, "/")
		c.change(resource, name, func(o object) {
			o["metadata"].(object)["annotations"] = object{stamp: runB}
			delete(o["metadata"].(object), "labels")
		})
	}
	if err := l.Stop(t.Context(), job); err != nil {
		t.Error(err)
	}
	if err := l.Remove(t.Context(), job); err != nil {
		t.Error(err)
	}
	if len(c.requests("DELETE")) > 0 {
		t.Errorf("%q", c.requests("DELETE"))
	}
	_, err := l.Wait(t.Context(), job, nil)
	wantError(t, err, schema.Gone, "Job/train")
}

func TestSubmitRefused(t *testing.T) {
	answer := func(method, part string, code int, reason string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method || !strings.Contains(r.URL.Path, part) {
				return false
			}
			refuse(w, code, reason, "as the test asked, with "+r.Header.Get("Authorization"))
			return true
		}
	}
	for name, tc := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request) bool
		text  string
		kind  schema.Kind
		says  string
	}{
		"unauthorized":  {answer("POST", "/jobs", 401, "Unauthorized"), "", schema.Unavailable, "does not know this account"},
		"forbidden":     {answer("POST", "/jobs", 403, "Forbidden"), "", schema.Unavailable, "does not let this account create Job train in namespace ml"},
		"invalid":       {answer("POST", "/jobs", 422, "Invalid"), "", schema.Invalid, "as the test asked"},
		"too many":      {answer("POST", "/jobs", 429, "TooManyRequests"), "", schema.Unavailable, "does not create"},
		"broken":        {answer("POST", "/jobs", 500, "InternalError"), "", schema.Unavailable, "whether jobs of the run was created is not known"},
		"garbage":       {func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, "", schema.Unavailable, "not one of a Kubernetes API server"},
		"no discovery":  {answer("GET", "/apis/batch/v1", 503, "ServiceUnavailable"), "", schema.Unavailable, "does not say what batch/v1 has"},
		"typed":         {nil, strings.Replace(jobSpec("name: train"), "backoffLimit", "backofLimit", 1), schema.Invalid, "unknown field"},
		"no such kind":  {nil, "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\n", schema.Invalid, "it has no kind Workflow of argoproj.io/v1alpha1"},
		"no namespace":  {nil, jobSpec("name: train\n  namespace: missing"), schema.Invalid, `"missing" not found`},
		"whole cluster": {nil, "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\n---\n" + jobSpec("name: train"), schema.Invalid, "object of the whole cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			l := c.launcher(Options{})
			c.fault = tc.fault
			if tc.text == "" {
				tc.text = settings + jobSpec("name: train")
			}
			_, err := l.Submit(t.Context(), spec(tc.text))
			wantError(t, err, tc.kind, tc.says)
			if left := append(c.names("jobs"), c.names("configmaps")...); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// An answer that is lost after the job was created leaves no job behind, by name or by a name that the server made.
func TestSubmitAnswerLost(t *testing.T) {
	for _, name := range []string{"name: train", "generateName: train-"} {
		c := newCluster(t)
		l := c.launcher(Options{})
		c.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != "POST" || !strings.Contains(r.URL.Path, "/jobs") {
				return false
			}
			c.create(&lost{http.Header{}}, r, "batch/v1", "Job", "jobs", "ml")
			panic(http.ErrAbortHandler)
		}
		_, err := l.Submit(t.Context(), spec(settings+jobSpec(name)))
		wantError(t, err, schema.Unavailable, "does not create Job train")
		if len(c.requests("DELETE /apis/batch/v1/namespaces/ml/jobs/train")) != 1 || len(c.names("jobs"))+len(c.names("configmaps")) > 0 {
			t.Errorf("left: %v; %q", c.names("jobs"), c.requests("DELETE"))
		}
	}
}

// lost is an answer that nobody gets.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) Write(b []byte) (int, error) { return len(b), nil }
func (l *lost) WriteHeader(int)             {}

func TestSubmitConflicts(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	c.put("configmaps", object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "settings", "namespace": "ml"}, "data": object{"lr": "0.1"}})
	job := submit(t, l, settings+jobSpec("name: train"))
	if job.Job != "Job/train@"+runA {
		t.Errorf("what was there is the run's: %s", job.Job)
	}
	_, err := l.Submit(t.Context(), spec(jobSpec("name: train")))
	wantError(t, err, schema.Conflict, `"train" already exists`)
	if len(c.names("jobs")) != 1 {
		t.Error("the first one is gone")
	}
	c.change("configmaps", "settings", func(o object) { o["data"] = object{"lr": "0.1", "more": "x"} })
	_, err = l.Submit(t.Context(), spec(settings+jobSpec("name: train2")))
	wantError(t, err, schema.Conflict, "settings")
	if len(c.names("jobs")) != 1 {
		t.Errorf("%v", c.names("jobs"))
	}
	if err := l.Remove(t.Context(), job); err != nil || len(c.names("configmaps")) != 1 {
		t.Error("somebody's ConfigMap was removed", err)
	}
}

// What cannot be removed again is named.
func TestSubmitLeavesNamed(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	c.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "DELETE" || r.Method == "POST" && strings.Contains(r.URL.Path, "/jobs") {
			refuse(w, 403, "Forbidden", "no")
			return true
		}
		return false
	}
	_, err := l.Submit(t.Context(), spec(settings+jobSpec("name: train")))
	wantError(t, err, schema.Unavailable, "could not be removed again: ConfigMap/settings")
}

func TestSubmitInterrupted(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	c.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" && strings.Contains(r.URL.Path, "/jobs") {
			_, _ = io.ReadAll(r.Body) // a server sees that its client has gone only then
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	}
	_, err := l.Submit(ctx, spec(settings+jobSpec("name: train")))
	wantError(t, err, schema.Interrupted)
	if len(c.names("configmaps")) > 0 {
		t.Error("a ConfigMap is left")
	}
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
