package kubernetes

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// The role in examples is enough for everything that is asked while a job with a ConfigMap is started, followed, stopped and removed, and leaves out what is not.
func TestExampleRole(t *testing.T) {
	data, err := os.ReadFile("../../../examples/rerun-kubernetes/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.Role
	for _, part := range strings.Split(string(data), "\n---\n") {
		if strings.Contains(part, "\nkind: Role\n") {
			if err := yaml.UnmarshalStrict([]byte(part), &role); err != nil {
				t.Fatal(err)
			}
		}
	}
	used := map[string]bool{}
	allowed := func(verb, group, resource string) bool {
		for _, r := range role.Rules {
			if slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, verb) {
				used[verb+" "+resource] = true
				return true
			}
		}
		return false
	}
	c, l, job, w, _ := started(t, Options{})
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	c.print("train-a", line(1, "x\n"))
	until(t, "output", func() bool { return w.output.String() != "" })
	c.succeed("train-a")
	w.end(t)
	if err := l.Remove(t.Context(), job); err != nil {
		t.Error(err)
	}
	c.drop("pods", "train-a")
	text := spec(settings + jobSpec("name: train"))
	if job, err = l.Submit(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Find(t.Context(), text, ""); err != nil {
		t.Error(err)
	}
	if err := l.Stop(t.Context(), job); err != nil {
		t.Error(err)
	}
	if err := l.Remove(t.Context(), job); err != nil {
		t.Error(err)
	}
	for _, asked := range c.requests("/namespaces/") {
		method, uri, _ := strings.Cut(asked, " ")
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		path := strings.Split(u.Path, "/")
		group, rest := "", path[5:] // /api/v1/namespaces/ml/pods
		if path[1] == "apis" {
			group, rest = path[2], path[6:]
		}
		verb := map[string]string{"POST": "create", "DELETE": "delete", "GET": "get"}[method]
		if len(rest) == 1 && method == "GET" {
			if verb = "list"; u.Query().Get("watch") != "" {
				verb = "watch"
			}
		}
		resource := rest[0]
		if len(rest) == 3 {
			resource += "/" + rest[2]
		}
		if !allowed(verb, group, resource) {
			t.Errorf("the role does not allow to %s %s of %q, which %s asks for", verb, resource, group, asked)
		}
	}
	for _, want := range []string{"create jobs", "get jobs", "list jobs", "watch jobs", "delete jobs", "list pods", "watch pods", "get pods/log", "create configmaps", "get configmaps", "list configmaps", "delete configmaps"} {
		if !used[want] {
			t.Errorf("nothing asked to %s", want)
		}
	}
}
