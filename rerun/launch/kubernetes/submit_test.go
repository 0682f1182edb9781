package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

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
	if again, ok, err := l.Find(t.Context(), spec(settings+jobSpec("generateName: train-")), job.Place); err != nil || !ok || again != job {
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
	if _, ok, err := l.Find(t.Context(), spec(jobSpec("name: train")), ""); err != nil || ok {
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
		"broken":        {answer("POST", "/jobs", 500, "InternalError"), "", schema.Unavailable, "there may be a job all the same: look with `kubectl -n ml get jobs.batch -l runpin.dev/run="},
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
			if errors.Is(err, launch.ErrUnsure) != (name == "broken") {
				t.Errorf("whether a job may run: %v", err)
			}
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
		if errors.Is(err, launch.ErrUnsure) {
			t.Errorf("the job was found and removed: %v", err)
		}
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
	if again := submit(t, l, settings+jobSpec("name: train")); again != job {
		t.Errorf("%+v is started twice: %+v", job, again)
	}
	theirs := launch.Spec{Name: "train.yaml", Data: []byte(strings.ReplaceAll(jobSpec("name: train"), runA, runB)), Run: runB}
	_, err := l.Submit(t.Context(), theirs)
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
	if !errors.Is(err, launch.ErrUnsure) {
		t.Errorf("the request may still be carried out: %v", err)
	}
	if len(c.names("configmaps")) > 0 {
		t.Error("a ConfigMap is left")
	}
}
