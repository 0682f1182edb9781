package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// controllers removes a job and its pods as a cluster's controllers do.
func (c *cluster) controllers() {
	c.deleted = func(resource, name string, _ object) {
		c.forget(key(resource, "ml", name))
		for k := range c.objects {
			if strings.HasPrefix(k, "pods/") {
				c.forget(k)
			}
		}
	}
}

// A pod that runs something else stops the job at once, whatever of its containers it is and however the runtime spells it.
func TestDriftStops(t *testing.T) {
	for name, imageID := range map[string]string{"containerd": "registry.example.com/team/trainer@" + digest("other"), "docker": "docker-pullable://team/trainer@" + digest("other")} {
		t.Run(name, func(t *testing.T) {
			c, _, _, w, _ := started(t, Options{})
			c.mu.Lock()
			c.controllers()
			c.mu.Unlock()
			c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: "mirror.example.com/team/trainer:latest", imageID: imageID}))
			wantError(t, w.end(t).err, schema.Drift, "Job/train", "container trainer of pod train-a", digest("other"), digest("trainer"))
			if len(c.names("jobs"))+len(c.names("pods")) > 0 || len(c.requests("PROPAGATION Foreground jobs/ml/train")) != 1 {
				t.Errorf("it goes on: %q", c.asked)
			}
			if !strings.Contains(string(w.outcome.Pods), digest("other")) {
				t.Error("what ran is not in the outcome")
			}
		})
	}
}

// An image that only a job that has ended shows is an error, too.
func TestDriftAfterTheEnd(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	job := submit(t, l, jobSpec("name: train"))
	c.put("pods", c.pod(podState{name: "train-a", phase: "Succeeded", image: trainer, imageID: "x@" + digest("other")}))
	c.endLog("train-a")
	c.change("jobs", "train", condition("Complete", "True", ""))
	wantError(t, wait(t.Context(), l, job).end(t).err, schema.Drift)
	if len(c.names("jobs")) != 1 {
		t.Error("a job that has ended was deleted")
	}
}

func TestDriftThatCannotBeStopped(t *testing.T) {
	c, _, _, w, _ := started(t, Options{})
	c.mu.Lock()
	c.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "DELETE" {
			refuse(w, 403, "Forbidden", "no")
		}
		return r.Method == "DELETE"
	}
	c.mu.Unlock()
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: "x@" + digest("other")}))
	wantError(t, w.end(t).err, schema.Drift, "it could not be stopped", "delete Job/train")
}

func TestAllows(t *testing.T) {
	d := func(s string) schema.Digest { return schema.Digest(digest(s)) }
	index := schema.ImagePin{IndexDigest: d("index"), PlatformDigest: d("amd64"), ConfigDigest: d("config")}
	for name, tc := range map[string]struct {
		pinned    string
		pins      []schema.ImagePin
		imageID   string
		ok, known bool
	}{
		"the pinned one":               {"index", nil, "repo@" + digest("index"), true, true},
		"with a tag and a port":        {"index", nil, "h:5000/repo:1@" + digest("index"), true, true},
		"another":                      {"index", nil, "repo@" + digest("amd64"), false, true},
		"its platform":                 {"index", []schema.ImagePin{index}, "repo@" + digest("amd64"), true, true},
		"its index":                    {"amd64", []schema.ImagePin{index}, "repo@" + digest("index"), true, true},
		"another platform":             {"index", []schema.ImagePin{index}, "repo@" + digest("arm64"), false, true},
		"a platform that is not known": {"index", []schema.ImagePin{{IndexDigest: d("index")}}, "repo@" + digest("amd64"), false, false},
		"another pin's":                {"index", []schema.ImagePin{index, {PlatformDigest: d("sidecar")}}, "repo@" + digest("sidecar"), false, true},
		"its configuration":            {"index", []schema.ImagePin{index}, "docker://" + digest("config"), true, true},
		"podman":                       {"index", []schema.ImagePin{index}, strings.TrimPrefix(digest("config"), "sha256:"), true, true},
		"another configuration":        {"index", []schema.ImagePin{index}, digest("unpacked"), false, false},
		"a configuration":              {"index", nil, digest("config"), false, false},
		"bare, of the index":           {"index", nil, digest("index"), true, true},
	} {
		x := &expected{pins: tc.pins}
		runs, byManifest := imageID(tc.imageID)
		if ok, known := x.allows([]schema.Digest{d(tc.pinned)}, runs, byManifest); ok != tc.ok || known != tc.known {
			t.Errorf("%s: %v %v", name, ok, known)
		}
	}
	for _, s := range []string{"", "repo:1", "sha256:12", "repo@sha512:xx", strings.Repeat("a", 2000) + "@" + digest("x"), "docker://"} {
		if runs, _ := imageID(s); runs != "" {
			t.Errorf("%q gives %s", s, runs)
		}
	}
}

// registry describes images by their digests.
type registry map[string]schema.ImagePin

func (r registry) DescribeImage(_ context.Context, ref, platform string) (schema.ImagePin, []schema.Digest, error) {
	pin, ok := r[ref+" "+platform]
	if !ok {
		return pin, nil, &schema.Error{Kind: schema.Unpinnable}
	}
	return pin, nil, nil
}

// Another manifest of the same configuration is the same image; the pin's own registry is asked, whatever the node tells.
func TestSameImage(t *testing.T) {
	pin := schema.ImagePin{Repository: "registry.example.com/team/trainer", PlatformDigest: schema.Digest(digest("trainer")), ConfigDigest: schema.Digest(digest("config")), Platform: "linux/amd64"}
	ref := func(s string) string { return "registry.example.com/team/trainer@" + digest(s) + " linux/amd64" }
	known := registry{ref("rebuilt"): {ConfigDigest: pin.ConfigDigest}, ref("other"): {ConfigDigest: schema.Digest(digest("other config"))}, ref("no config"): {}}
	for runs, same := range map[string]bool{"rebuilt": true, "other": false, "no config": false, "unknown": false} {
		c, _, _, w, _ := started(t, Options{Images: []schema.ImagePin{pin}, Describe: known})
		c.mu.Lock()
		c.controllers()
		c.mu.Unlock()
		c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: "evil.example.com/x@" + digest(runs)}))
		if same {
			until(t, "a log", func() bool { return len(c.requests("/log")) > 0 })
			c.succeed("train-a")
		}
		if w.end(t); (w.err == nil) != same || !same && schema.KindOf(w.err) != schema.Drift {
			t.Errorf("%s: %v", runs, w.err)
		}
	}
}

// What the cluster puts into a pod is held to its own reference; what has no digest there is not the run's.
func TestInjectedContainers(t *testing.T) {
	c := newCluster(t)
	x := expect(object{"spec": object{"template": object{"spec": object{"containers": []any{object{"name": "trainer", "image": trainer}}}}}}, nil)
	p := func(name, image, imageID string) *pod {
		u, ok := readPod(unstructuredOf(c.pod(podState{name: "a", phase: "Running", main: name, image: image, imageID: imageID})))
		if !ok {
			t.Fatal("no pod")
		}
		return u
	}
	for name, tc := range map[string]struct {
		pod   *pod
		wrong bool
		doubt string
	}{
		"proxy by tag":          {p("istio-proxy", "istio:1", "istio@"+digest("i")), false, ""},
		"proxy by digest":       {p("istio-proxy", "istio@"+digest("i"), "istio@"+digest("i")), false, ""},
		"proxy, another":        {p("istio-proxy", "istio@"+digest("i"), "istio@"+digest("j")), true, ""},
		"the trainer, replaced": {p("trainer", "x@"+digest("x"), "x@"+digest("x")), true, ""},
		"loaded on the node":    {p("trainer", trainer, digest("config")), false, "trainer"},
		"not started":           {p("trainer", trainer, ""), false, ""},
	} {
		if wrong, doubt := x.check(tc.pod); (wrong != nil) != tc.wrong || doubt != tc.doubt {
			t.Errorf("%s: %v %q", name, wrong, doubt)
		}
	}
}

const backoff = `Back-off pulling image "registry.example.com/team/trainer:1.4": ErrImagePull: rpc error: code = %s desc = failed to pull and unpack image: %s`

func TestImageGone(t *testing.T) {
	c, _, _, w, n := started(t, Options{Pull: 30 * time.Millisecond})
	c.mu.Lock()
	c.controllers()
	c.mu.Unlock()
	c.put("pods", c.pod(podState{name: "train-a", phase: "Pending", image: trainer, waiting: "ErrImagePull", message: fmt.Sprintf(backoff, "NotFound", "registry.example.com/team/trainer: not found")}))
	wantError(t, w.end(t).err, schema.Gone, trainer, "cannot be pulled for pod train-a", "not found")
	if !n.has("pod train-a: container trainer does not start: ErrImagePull") || len(c.names("jobs")) > 0 {
		t.Errorf("%q %v", n.all, c.names("jobs"))
	}
	for message, gone := range map[string]bool{
		fmt.Sprintf(backoff, "NotFound", "x: not found"):      true,
		"manifest for x@sha256:1 not found: manifest unknown": true,
		"reading manifest sha256:1 in x: manifest unknown":    true,
		"": false,
		fmt.Sprintf(backoff, "Unknown", "dial tcp: lookup x: no such host"):     false,
		fmt.Sprintf(backoff, "Unknown", "401 Unauthorized"):                     false,
		fmt.Sprintf(backoff, "Unavailable", "connection refused"):               false,
		fmt.Sprintf(backoff, "Unknown", "429 Too Many Requests, quota not met"): false,
	} {
		if imageGone("ImagePullBackOff", message) != gone || imageGone("CreateContainerConfigError", message) {
			t.Errorf("%q", message)
		}
	}
}

// A pull that fails for another cause is told, and waited for.
func TestPodsThatDoNotStart(t *testing.T) {
	c, _, _, w, n := started(t, Options{Pull: time.Nanosecond, Stuck: time.Nanosecond})
	for _, reason := range stuck {
		c.put("pods", c.pod(podState{name: "train-a", phase: "Pending", image: trainer, waiting: reason, message: "because\x1b[31m\nof " + reason}))
		until(t, "a warning", func() bool { return n.has(reason + ": because [31m of " + reason) })
	}
	waits := c.pod(podState{name: "train-b", phase: "Pending"})
	waits["status"] = object{"phase": "Pending", "conditions": []any{object{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}}}
	c.put("pods", waits)
	until(t, "a warning", func() bool { return n.has("pod train-b waits: no node takes it: 0/3 nodes") })
	before := len(n.all)
	c.put("pods", waits)
	c.succeed("train-a", "train-b")
	if w.end(t); w.err != nil || len(n.all) != before {
		t.Errorf("%v %q", w.err, n.all[before:])
	}
}

func TestSuspended(t *testing.T) {
	c, _, _, w, n := started(t, Options{})
	c.change("jobs", "train", func(o object) {
		o["metadata"].(object)["labels"].(object)["kueue.x-k8s.io/queue-name"] = "gpu"
		o["spec"].(object)["suspend"] = true
	})
	until(t, "a warning", func() bool { return n.has("Job/train is suspended: it waits in queue gpu") })
	c.change("jobs", "train", func(o object) { o["spec"].(object)["suspend"] = false })
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	c.succeed("train-a")
	if w.end(t); w.err != nil {
		t.Error(w.err)
	}
}

// A job whose controller puts no label on its pods is found by the stamp; its cluster goes on after it.
func TestPodsByStamp(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{Settle: 30 * time.Millisecond})
	job := submit(t, l, "apiVersion: ray.io/v1\nkind: RayJob\nmetadata: {name: ray}\nspec: {rayClusterSpec: {headGroupSpec: {template: {spec: {containers: [{name: head, image: "+trainer+"}]}}}}}\n")
	if job.Job != "RayJob.v1.ray.io/ray@"+runA {
		t.Error(job.Job)
	}
	w := wait(t.Context(), l, job)
	head := c.pod(podState{name: "ray-head", phase: "Running", main: "head", image: trainer, imageID: trainer})
	other := c.pod(podState{name: "other", phase: "Running", main: "head", image: "x", imageID: "x@" + digest("x")})
	other["metadata"].(object)["annotations"] = object{stamp: runB}
	c.put("pods", head)
	c.put("pods", other)
	c.print("ray-head", line(1, "ready\n"))
	until(t, "output", func() bool { return w.output.String() == "ready\n" })
	c.change("rayjobs", "ray", func(o object) {
		o["status"] = object{"jobDeploymentStatus": "Complete", "jobStatus": "FAILED", "message": "it fell"}
	})
	if w.end(t); w.err != nil || w.outcome.Exit.Code != 1 || w.outcome.Why != "it fell" {
		t.Errorf("%v %+v", w.err, w.outcome)
	}
}

func TestStop(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{Grace: 100 * time.Millisecond})
	job := submit(t, l, jobSpec("name: train"))
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	// The job stays with a finalizer, and a node that is away keeps the pod.
	c.deleted = func(_, name string, o object) {
		o = copyOf(o)
		o["metadata"].(object)["deletionTimestamp"] = "2026-11-23T18:00:00Z"
		c.store("jobs", o)
	}
	wantError(t, l.Stop(t.Context(), job), schema.Unavailable, "still there are: Pod/train-a")
	c.drop("pods", "train-a")
	for range 2 {
		if err := l.Stop(t.Context(), job); err != nil {
			t.Error(err)
		}
	}
	c.drop("jobs", "train")
	if err := l.Stop(t.Context(), job); err != nil {
		t.Error(err)
	}
}

// A name that was given to another job after ours was looked at is not deleted.
func TestStopOfAnotherUID(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	job := submit(t, l, jobSpec("name: train"))
	c.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == "DELETE" {
			c.mu.Lock()
			defer c.mu.Unlock()
			o := copyOf(c.objects[key("jobs", "ml", "train")])
			o["metadata"].(object)["annotations"] = object{stamp: runB}
			delete(o["metadata"].(object), "labels")
			c.forget(key("jobs", "ml", "train"))
			delete(o["metadata"].(object), "uid")
			c.store("jobs", o)
		}
		return false
	}
	if err := l.Remove(t.Context(), job); err != nil || len(c.names("jobs")) != 1 {
		t.Error(err, c.names("jobs"))
	}
}
