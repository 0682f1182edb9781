package kubernetes

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

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
		jobSpec("name: a") + "...\n" + simple("v1", "Thing"):     "other readers of YAML",
		jobSpec("labels: {a: b}"):                                "neither a name nor a generateName",
		jobSpec("name: A_b"):                                     "cannot follow",
		jobSpec("name: ../../x"):                                 "cannot follow",
		jobSpec("name: a\n  namespace: other") + "---\n" + strings.Replace(settings, "settings", "settings, namespace: third", 1): "several namespaces",
		jobSpec("name: a\n  namespace: ../kube-system"):                                    "is not the name of a namespace",
		strings.ReplaceAll(jobSpec("name: a"), runA, runB):                                 "stamp of another run",
		jobSpec("name: a\n  name: b"):                                                      "already defined",
		jobSpec("name: a\n  labels: {on: x}"):                                              "kubectl reads metadata.labels.",
		strings.Replace(jobSpec("name: a"), "env:", "<<: {image: old}\n          env:", 1): "kubectl reads spec.template.spec.containers[0].image",
		"- a\n- b\n":         "no object of Kubernetes",
		"a: [":               "cannot be read",
		"":                   "holds no object",
		"kind: x\nkind: y\n": "needs an apiVersion",
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
	if _, err := l.Plan(spec(strings.Replace(jobSpec("name: a"), "image: ", "<<: {image: old}\n          image: ", 1))); err != nil {
		t.Errorf("a merge before the key: %v", err)
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

// What is taken for a handle is written back as it was, and leads nowhere else than to objects of a namespace.
func FuzzParseHandle(f *testing.F) {
	f.Add("Job/train@"+runA, "ml@h")
	f.Add("PyTorchJob.v1.kubeflow.org/train+ConfigMap/settings@"+runA, "ml@[::1]:6443")
	f.Add("Job/../x@"+runA, "ml@h")
	f.Fuzz(func(t *testing.T, job, place string) {
		l := schema.Launched{On: Name, Job: job, Place: place}
		h, err := parseHandle(l)
		if err != nil {
			if schema.KindOf(err) != schema.Invalid || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q", err)
			}
			return
		}
		if again := h.launched(); again != l {
			t.Errorf("%+v comes back as %+v", l, again)
		}
		for _, o := range h.objects {
			if strings.ContainsAny(o.String(), "?#%\\ ") || strings.Contains(o.name+o.kind.Group+h.namespace, "..") || strings.Contains(o.name, "/") {
				t.Errorf("%q", o)
			}
		}
	})
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(settings + jobSpec("name: a")))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: {name: p}}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := documents(data)
		if err == nil && len(all) == 0 {
			t.Error("nothing, and no error")
		}
		for _, o := range all {
			_ = title(o)
		}
	})
}
