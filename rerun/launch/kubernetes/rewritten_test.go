package kubernetes

import (
	"net/http"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// podSpecOf is that of the pods of a job.
func podSpecOf(job object) object { return job["spec"].(object)["template"].(object)["spec"].(object) }

func setImage(image string) func(object) {
	return func(o object) { podSpecOf(o)["containers"].([]any)[0].(object)["image"] = image }
}

func sidecarFirst(image string) func(object) {
	return func(o object) {
		podSpecOf(o)["containers"] = append([]any{object{"name": "proxy", "image": image}}, podSpecOf(o)["containers"].([]any)...)
	}
}

// The pin of the trainer, of which the spec names the index.
func trainerPin() []schema.ImagePin {
	return []schema.ImagePin{{Repository: "registry.example.com/team/trainer", IndexDigest: schema.Digest(digest("trainer")), PlatformDigest: schema.Digest(digest("amd64")), Platform: "linux/amd64"}}
}

// A job that the cluster rewrites while it takes it is taken away at once, with what was created for it.
func TestSubmitOfWhatIsRewritten(t *testing.T) {
	for name, tc := range map[string]struct {
		webhook func(object)
		have    string // "" for a job that stays
	}{
		"another digest": {setImage("mirror.example.com/trainer@" + digest("other")), digest("other")},
		"no digest":      {setImage("registry.example.com/team/trainer:1.4"), "made registry.example.com/team/trainer:1.4 of"},
		"no image":       {func(o object) { delete(podSpecOf(o)["containers"].([]any)[0].(object), "image") }, "made nothing of"},
		"no container":   {func(o object) { podSpecOf(o)["containers"] = []any{object{"name": "x", "image": trainer}} }, "made nothing of"},
		"no spec":        {func(o object) { o["spec"] = "hostile" }, "made nothing of"},
		"a mirror":       {setImage("mirror.example.com/trainer@" + digest("trainer")), ""},
		"its platform":   {setImage("registry.example.com/team/trainer@" + digest("amd64")), ""},
		"a sidecar":      {sidecarFirst("proxy@" + digest("proxy")), ""},
	} {
		for _, job := range []string{"name: train", "generateName: train-"} {
			c := newCluster(t)
			l := c.launcher(Options{Images: trainerPin()})
			c.created = func(resource string, o object) {
				if resource == "jobs" {
					tc.webhook(o)
				}
			}
			_, err := l.Submit(t.Context(), spec(settings+jobSpec(job)))
			left := append(c.names("jobs"), c.names("configmaps")...)
			if tc.have == "" {
				if err != nil || len(left) != 2 {
					t.Errorf("%s: %v, %v", name, err, left)
				}
				continue
			}
			wantError(t, err, schema.Drift, "Job/train", tc.have, trainer, "spec.template.spec.containers[trainer].image")
			if len(left) > 0 {
				t.Errorf("%s: left %v", name, left)
			}
		}
	}
}

func TestSubmitOfWhatIsRewrittenAndStays(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	c.created = func(_ string, o object) { setImage("x:1")(o) }
	c.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "DELETE" {
			return false
		}
		refuse(w, 403, "Forbidden", "no")
		return true
	}
	_, err := l.Submit(t.Context(), spec(jobSpec("name: train")))
	wantError(t, err, schema.Drift, "made x:1 of "+trainer, "could not be removed again", "Job/train")
}

// A job that is rewritten after it was submitted does not move what its pods are held to, neither where it was submitted from nor elsewhere.
func TestDriftOfWhatIsRewrittenLater(t *testing.T) {
	for name, tc := range map[string]struct {
		rewrite func(object)
		runs    string
		wrong   bool
	}{
		"another digest":       {setImage("x@" + digest("other")), "other", true},
		"no digest":            {setImage("x:1"), "other", true},
		"no digest, the image": {setImage("x:1"), "amd64", false},
		"a mirror":             {setImage("x@" + digest("trainer")), "trainer", false},
	} {
		for _, elsewhere := range []bool{false, true} {
			c := newCluster(t)
			l := c.launcher(Options{Images: trainerPin()})
			job := submit(t, l, jobSpec("name: train"))
			c.change("jobs", "train", tc.rewrite)
			if elsewhere {
				other := c.launcher(Options{Images: trainerPin()})
				other.host, l = l.host, other
			}
			c.mu.Lock()
			c.controllers()
			c.mu.Unlock()
			w := wait(t.Context(), l, job)
			c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: "x@" + digest(tc.runs), imageID: "x@" + digest(tc.runs)}))
			if !tc.wrong {
				until(t, "a log", func() bool { return len(c.requests("/log")) > 0 })
				c.succeed("train-a")
			}
			if w.end(t); (schema.KindOf(w.err) == schema.Drift) != tc.wrong || (w.err != nil) != tc.wrong {
				t.Errorf("%s, elsewhere %v: %v", name, elsewhere, w.err)
			}
			if tc.wrong && (!strings.Contains(w.err.Error(), digest("other")) || !strings.Contains(w.err.Error(), digest("trainer"))) {
				t.Errorf("%s: does not name both: %v", name, w.err)
			}
		}
	}
}

// What another process sees of a job: a container that stands beside the pinned one is none of the run's.
func TestExpects(t *testing.T) {
	job := func(edit func(object)) object {
		o := object{"spec": object{"template": object{"spec": object{"containers": []any{object{"name": "trainer", "image": trainer}}}}}}
		edit(o)
		return o
	}
	for name, tc := range map[string]struct {
		edit          func(object)
		trainer, side string // what is pinned; "" for nothing
	}{
		"as it was":    {func(object) {}, "trainer", ""},
		"a sidecar":    {sidecarFirst("proxy@" + digest("proxy")), "trainer", "proxy"},
		"one by tag":   {sidecarFirst("proxy:1"), "trainer", ""},
		"replaced":     {setImage("x@" + digest("x")), "trainer", ""},
		"without one":  {setImage("x:1"), "trainer", ""},
		"its platform": {setImage("x@" + digest("amd64")), "amd64", ""},
	} {
		l := newCluster(t).launcher(Options{Images: trainerPin()})
		x := l.expects(runA, job(tc.edit))
		for container, want := range map[string]string{"trainer": tc.trainer, "proxy": tc.side} {
			got := join(x.named[container])
			if want != "" && got != digest(want) || want == "" && got != "" {
				t.Errorf("%s: %s is held to %q", name, container, got)
			}
		}
	}
}

func TestDoubts(t *testing.T) {
	c := newCluster(t)
	for name, tc := range map[string]struct {
		state podState
		doubt string
	}{
		"it ran, and nobody says what": {podState{phase: "Succeeded", image: trainer}, "trainer"},
		"it never ran":                 {podState{phase: "Pending", image: trainer, waiting: "ImagePullBackOff"}, ""},
		"no digest, no pin":            {podState{phase: "Running", main: "main", image: "x:1", imageID: "x@" + digest("x")}, "main"},
		"no digest, a pin":             {podState{phase: "Running", main: "main", image: "x:1", imageID: "x@" + digest("amd64")}, ""},
		"its own digest, no pin":       {podState{phase: "Running", main: "main", image: "x@" + digest("x"), imageID: "x@" + digest("x")}, "main"},
	} {
		tc.state.name = "a"
		p, ok := readPod(unstructuredOf(c.pod(tc.state)))
		if !ok {
			t.Fatal("no pod")
		}
		x := expect(object{"spec": object{"containers": []any{object{"name": "trainer", "image": trainer}}}}, trainerPin())
		if wrong, doubt := x.check(p); wrong != nil || doubt != tc.doubt {
			t.Errorf("%s: %v %q", name, wrong, doubt)
		}
	}
}
