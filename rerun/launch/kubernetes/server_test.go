package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

type object = map[string]any

// cluster speaks as much of the API as a launcher needs, over HTTP: discovery, objects with uids and versions, selectors, pages, watches with history, logs, rights. What the API has types for is
// decoded strictly, as a server would.
type cluster struct {
	t       *testing.T
	config  *rest.Config // of the launcher made last
	mu      sync.Mutex
	changed *sync.Cond
	closed  bool

	objects map[string]object // "jobs/ml/train"
	order   []string
	history []event
	version int
	oldest  int // versions before this one are too old to watch from
	drops   int // connections of watches that break off after each event, that many

	logs map[string]*podLog // by pod

	// fault answers instead of the server; nil lets the request through.
	fault   func(w http.ResponseWriter, r *http.Request) bool
	created func(resource string, o object)       // what controllers do then; called with mu held
	deleted func(resource, name string, o object) // what controllers do then; called with mu held
	denied  map[string]bool                       // verb resource
	asked   []string                              // METHOD path?query, in order
}

type event struct {
	resource, kind string
	version        int
	object         object
}

type podLog struct {
	lines []string // with their moments
	ended bool
	cuts  map[int]bool // the lines after which a stream breaks off, once
	since []string
}

var apis = map[string][]object{
	"v1": {{"name": "pods", "kind": "Pod", "namespaced": true}, {"name": "pods/log", "kind": "Pod", "namespaced": true}, {"name": "configmaps", "kind": "ConfigMap", "namespaced": true},
		{"name": "secrets", "kind": "Secret", "namespaced": true}, {"name": "services", "kind": "Service", "namespaced": true}, {"name": "namespaces", "kind": "Namespace"}},
	"batch/v1":                     {{"name": "jobs", "kind": "Job", "namespaced": true}, {"name": "jobs/status", "kind": "Job", "namespaced": true}},
	"kubeflow.org/v1":              {{"name": "pytorchjobs", "kind": "PyTorchJob", "namespaced": true}},
	"ray.io/v1":                    {{"name": "rayjobs", "kind": "RayJob", "namespaced": true}},
	"rbac.authorization.k8s.io/v1": {{"name": "clusterroles", "kind": "ClusterRole"}, {"name": "roles", "kind": "Role", "namespaced": true}},
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, objects: map[string]object{}, logs: map[string]*podLog{}, denied: map[string]bool{}, version: 100}
	c.changed = sync.NewCond(&c.mu)
	t.Cleanup(func() {
		c.mu.Lock()
		c.closed = true
		c.changed.Broadcast()
		c.mu.Unlock()
	})
	return c
}

// launcher gives a launcher for the cluster, with waits that suit a test.
func (c *cluster) launcher(o Options) *Launcher {
	c.t.Helper()
	server := httptest.NewServer(c)
	c.t.Cleanup(server.Close)
	c.t.Cleanup(server.CloseClientConnections)
	for _, d := range []*time.Duration{&o.Grace, &o.Settle, &o.Patience} {
		if *d == 0 {
			*d = 2 * time.Second
		}
	}
	c.config = &rest.Config{Host: server.URL, BearerToken: "sesame-open-wide", QPS: 1000, Burst: 1000}
	l, err := New(c.config, "ml", o)
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

func key(resource, namespace, name string) string { return resource + "/" + namespace + "/" + name }

// put stores an object as a controller would, and tells the watches.
func (c *cluster) put(resource string, o object) object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store(resource, o)
}

func (c *cluster) store(resource string, o object) object {
	o = copyOf(o)
	meta := o["metadata"].(object)
	namespace, _ := meta["namespace"].(string)
	k := key(resource, namespace, meta["name"].(string))
	c.version++
	meta["resourceVersion"] = fmt.Sprint(c.version)
	kind := "MODIFIED"
	if have, ok := c.objects[k]; !ok {
		kind = "ADDED"
		c.order = append(c.order, k)
		if meta["uid"] == nil {
			meta["uid"] = fmt.Sprintf("uid-%d", c.version)
		}
	} else {
		meta["uid"] = have["metadata"].(object)["uid"]
	}
	c.objects[k] = o
	c.history = append(c.history, event{resource, kind, c.version, o})
	c.changed.Broadcast()
	return o
}

// change edits an object that is there.
func (c *cluster) change(resource, name string, edit func(o object)) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.objects[key(resource, "ml", name)]
	if !ok {
		c.t.Errorf("%s %s is not there to change", resource, name)
		return
	}
	o = copyOf(o)
	edit(o)
	c.store(resource, o)
}

func (c *cluster) drop(resource, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(key(resource, "ml", name))
}

func (c *cluster) forget(k string) {
	o, ok := c.objects[k]
	if !ok {
		return
	}
	delete(c.objects, k)
	c.order = slices.DeleteFunc(c.order, func(s string) bool { return s == k })
	c.version++
	o = copyOf(o)
	o["metadata"].(object)["resourceVersion"] = fmt.Sprint(c.version)
	resource, _, _ := strings.Cut(k, "/")
	c.history = append(c.history, event{resource, "DELETED", c.version, o})
	c.changed.Broadcast()
}

func (c *cluster) names(resource string) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.order {
		if parts := strings.Split(k, "/"); parts[0] == resource {
			names = append(names, parts[2])
		}
	}
	return names
}

// requests gives the requests that contain a text.
func (c *cluster) requests(with string) (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.asked {
		if strings.Contains(a, with) {
			all = append(all, a)
		}
	}
	return all
}

func (c *cluster) print(pod string, lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.log(pod)
	l.lines = append(l.lines, lines...)
	c.changed.Broadcast()
}

func (c *cluster) log(pod string) *podLog {
	if c.logs[pod] == nil {
		c.logs[pod] = &podLog{}
	}
	return c.logs[pod]
}

func (c *cluster) endLog(pod string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log(pod).ended = true
	c.changed.Broadcast()
}

func copyOf(o object) (out object) {
	data, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return out
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, r.Method+" "+r.URL.RequestURI())
	fault := c.fault
	c.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer sesame-open-wide" {
		refuse(w, 401, "Unauthorized", "Unauthorized")
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/version":
		reply(w, object{"gitVersion": "v1.37.2"})
		return
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		var review object
		_ = json.NewDecoder(r.Body).Decode(&review)
		asked := review["spec"].(object)["resourceAttributes"].(object)
		review["status"] = object{"allowed": !c.denied[fmt.Sprint(asked["verb"], " ", asked["resource"])]}
		reply(w, review)
		return
	case parts[0] == "api":
		parts = parts[1:]
	case parts[0] == "apis" && len(parts) >= 3:
		parts = append([]string{parts[1] + "/" + parts[2]}, parts[3:]...)
	default:
		refuse(w, 404, "NotFound", "the server could not find the requested resource")
		return
	}
	gv := parts[0]
	resources, ok := apis[gv]
	switch {
	case !ok:
		refuse(w, 404, "NotFound", "the server could not find the requested resource")
	case len(parts) == 1:
		reply(w, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": resources})
	case len(parts) > 2 && parts[1] == "namespaces":
		c.serve(w, r, gv, parts[2], parts[3:])
	default:
		c.serve(w, r, gv, "", parts[1:])
	}
}

// A pod as a kubelet reports it.
type podState struct {
	name, phase, image, imageID string
	waiting, message            string
	code                        int
	labels                      object
	main                        string
}

func (c *cluster) pod(s podState) object {
	if s.main == "" {
		s.main = "trainer"
	}
	state := object{}
	switch {
	case s.waiting != "":
		state = object{"waiting": object{"reason": s.waiting, "message": s.message}}
	case s.phase == "Running":
		state = object{"running": object{"startedAt": "2026-11-23T18:00:01Z"}}
	case s.phase == "Succeeded" || s.phase == "Failed":
		state = object{"terminated": object{"exitCode": s.code, "reason": map[bool]string{true: "Completed", false: "Error"}[s.code == 0], "finishedAt": "2026-11-23T18:00:09Z"}}
	}
	l := object{"job-name": "train"}
	maps.Copy(l, s.labels)
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": s.name, "namespace": "ml", "labels": l, "annotations": object{stamp: runA}},
		"spec":   object{"containers": []any{object{"name": s.main, "image": s.image}}, "terminationGracePeriodSeconds": 1},
		"status": object{"phase": s.phase, "containerStatuses": []any{object{"name": s.main, "imageID": s.imageID, "state": state}}}}
}
