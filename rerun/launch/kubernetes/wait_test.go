package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/schema"
)

// waiting is a Wait in another goroutine.
type waiting struct {
	outcome launch.Outcome
	err     error
	output  *launchtest.Output
	done    chan struct{}
}

func wait(ctx context.Context, l *Launcher, job schema.Launched) *waiting {
	w := &waiting{output: &launchtest.Output{}, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.outcome, w.err = l.Wait(ctx, job, w.output)
	}()
	return w
}

func (w *waiting) end(t *testing.T) *waiting {
	t.Helper()
	select {
	case <-w.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("the wait does not end; output %q", w.output)
	}
	return w
}

// condition ends a job as its controller does.
func condition(kind, status, reason string) func(object) {
	return func(o object) {
		o["status"] = object{"conditions": []any{object{"type": kind, "status": status, "reason": reason, "message": "says the controller"}}}
	}
}

func line(second int, text string) string {
	return fmt.Sprintf("2026-11-23T18:00:%02d.%09dZ %s", second, second, text)
}

// started is a cluster with a job that was handed over, and a wait for it.
func started(t *testing.T, o Options) (*cluster, *Launcher, schema.Launched, *waiting, *notes) {
	t.Helper()
	c, n := newCluster(t), &notes{}
	o.Warn = n.add
	l := c.launcher(o)
	job := submit(t, l, jobSpec("name: train"))
	return c, l, job, wait(t.Context(), l, job), n
}

func (c *cluster) succeed(pods ...string) {
	for _, p := range pods {
		c.endLog(p)
		c.change("pods", p, func(o object) {
			o["status"] = c.pod(podState{name: p, phase: "Succeeded", imageID: trainer})["status"]
		})
	}
	c.change("jobs", "train", condition("Complete", "True", ""))
}

func TestWaitSucceeds(t *testing.T) {
	c, l, job, w, n := started(t, Options{})
	c.put("pods", c.pod(podState{name: "train-a", phase: "Pending", image: trainer}))
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: "docker-pullable://" + trainer}))
	c.print("train-a", line(1, "epoch 1\n"))
	until(t, "output", func() bool { return w.output.String() == "epoch 1\n" })
	c.print("train-a", line(2, "epoch 2\n"), line(3, "done"))
	c.put("pods", object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "stranger", "namespace": "ml", "labels": object{}}})
	c.succeed("train-a")
	w.end(t)
	if w.err != nil || w.outcome.Exit != (launch.Exit{}) || w.output.String() != "epoch 1\nepoch 2\ndone" {
		t.Errorf("%v %+v %q", w.err, w.outcome.Exit, w.output)
	}
	var list struct {
		APIVersion, Kind string
		Items            []struct {
			Kind     string
			Metadata struct{ Name string }
			Status   struct{ Phase string }
		}
	}
	if err := json.Unmarshal(w.outcome.Pods, &list); err != nil || list.Kind != "List" || list.APIVersion != "v1" || len(list.Items) != 1 || list.Items[0].Kind != "Pod" || list.Items[0].Status.Phase != "Succeeded" {
		t.Errorf("%v %s", err, w.outcome.Pods)
	}
	if len(n.all) > 0 {
		t.Errorf("%q", n.all)
	}
	// A process that comes later sees the same.
	again := wait(t.Context(), l, job).end(t)
	if again.err != nil || again.output.String() != "epoch 1\nepoch 2\ndone" {
		t.Errorf("%v %q", again.err, again.output)
	}
	if err := l.Stop(t.Context(), job); err != nil || len(c.names("jobs")) != 1 {
		t.Error("a job that has ended is not stopped", err)
	}
}

func TestWaitFails(t *testing.T) {
	for name, tc := range map[string]struct {
		pods []object
		exit launch.Exit
		why  string
	}{
		"exit code":  {[]object{c0.pod(podState{name: "a", phase: "Failed", image: trainer, code: 3})}, launch.Exit{Code: 3}, "exit code 3 in container trainer of pod a (BackoffLimitExceeded: says the controller)"},
		"signal":     {[]object{c0.pod(podState{name: "a", phase: "Failed", image: trainer, code: 137})}, launch.Exit{Code: 137, Signal: "SIGKILL"}, "exit code 137 in container trainer"},
		"last try":   {[]object{later(c0.pod(podState{name: "a", phase: "Failed", code: 3}), 1), later(c0.pod(podState{name: "b", phase: "Failed", code: 4}), 2)}, launch.Exit{Code: 4}, "pod b"},
		"first rank": {[]object{ranked(c0.pod(podState{name: "a", phase: "Failed", code: 143}), 0, 9), ranked(c0.pod(podState{name: "b", phase: "Failed", code: 5}), 1, 4)}, launch.Exit{Code: 5}, "pod b"},
		"evicted":    {[]object{evicted(c0.pod(podState{name: "a", phase: "Failed"}))}, launch.Exit{Code: 1}, "pod a: Evicted The node was low on memory"},
		"no pod":     {nil, launch.Exit{Code: 1}, "BackoffLimitExceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, _, w, _ := started(t, Options{})
			for _, p := range tc.pods {
				c.put("pods", p)
				c.endLog(p["metadata"].(object)["name"].(string))
			}
			c.change("jobs", "train", condition("Failed", "True", "BackoffLimitExceeded"))
			w.end(t)
			if w.err != nil || w.outcome.Exit != tc.exit || !strings.Contains(w.outcome.Why, tc.why) {
				t.Errorf("%v %+v %q", w.err, w.outcome.Exit, w.outcome.Why)
			}
		})
	}
}

var c0 = &cluster{}

func owned(p object) object {
	p["metadata"].(object)["ownerReferences"] = []any{object{"uid": "job"}}
	return p
}

func later(p object, second int) object {
	owned(p)["status"].(object)["containerStatuses"].([]any)[0].(object)["state"].(object)["terminated"].(object)["finishedAt"] = fmt.Sprintf("2026-11-23T18:00:%02dZ", second)
	return p
}

func ranked(p object, rank, second int) object {
	later(p, second)["metadata"].(object)["annotations"].(object)["batch.kubernetes.io/job-completion-index"] = fmt.Sprint(rank)
	return p
}

func evicted(p object) object {
	p["status"] = object{"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}
	return p
}

// A watch that breaks off, and one whose place is lost, are taken up again.
func TestWaitWatchBreaks(t *testing.T) {
	c, _, _, w, n := started(t, Options{})
	until(t, "a watch", func() bool { return len(c.requests("watch=true")) >= 2 })
	c.mu.Lock()
	c.drops = 4
	c.mu.Unlock()
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	c.mu.Lock()
	c.oldest = c.version + 1 // whoever comes again with what it knows is too late
	c.mu.Unlock()
	c.print("train-a", line(1, "x\n"))
	c.succeed("train-a")
	w.end(t)
	if w.err != nil || w.output.String() != "x\n" {
		t.Errorf("%v %q %q", w.err, w.output, n.all)
	}
}

// A cluster that is away for a while is waited for; one that refuses is not.
func TestWaitClusterAway(t *testing.T) {
	c, l, job, w, n := started(t, Options{Patience: time.Minute})
	fail := func(code int, reason string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fault = nil; code > 0 {
			c.fault = func(w http.ResponseWriter, _ *http.Request) bool {
				refuse(w, code, reason, "as the test asked")
				return true
			}
		}
	}
	until(t, "a watch", func() bool { return len(c.requests("watch=true")) >= 2 })
	fail(503, "ServiceUnavailable")
	c.mu.Lock()
	c.drops = 2
	c.mu.Unlock()
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	until(t, "a warning", func() bool { return n.has("asking again") })
	fail(0, "")
	c.succeed("train-a")
	if w.end(t); w.err != nil {
		t.Error(w.err)
	}
	for _, code := range []int{401, 403} {
		fail(code, map[int]string{401: "Unauthorized", 403: "Forbidden"}[code])
		wantError(t, wait(t.Context(), l, job).end(t).err, schema.Unavailable, "account")
	}
	fail(500, "InternalError")
	impatient := c.launcher(Options{Patience: time.Nanosecond})
	job.Place = "ml@" + impatient.host
	wantError(t, wait(t.Context(), impatient, job).end(t).err, schema.Unavailable, "as the test asked")
}

// Where an account may list and not watch, it lists.
func TestWaitWithoutWatching(t *testing.T) {
	c, n := newCluster(t), &notes{}
	l := c.launcher(Options{Warn: n.add, Poll: 20 * time.Millisecond})
	job := submit(t, l, jobSpec("name: train"))
	c.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("watch") == "" {
			return false
		}
		refuse(w, 403, "Forbidden", "no watching")
		return true
	}
	w := wait(t.Context(), l, job)
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	c.print("train-a", line(1, "x\n"))
	c.succeed("train-a")
	if w.end(t); w.err != nil || w.output.String() != "x\n" {
		t.Errorf("%v %q", w.err, w.output)
	}
}

func TestWaitInterrupted(t *testing.T) {
	c := newCluster(t)
	l := c.launcher(Options{})
	job := submit(t, l, jobSpec("name: train"))
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	c.print("train-a", line(1, "x\n"))
	ctx, cancel := context.WithCancel(t.Context())
	w := wait(ctx, l, job)
	until(t, "output", func() bool { return w.output.String() != "" })
	cancel()
	wantError(t, w.end(t).err, schema.Interrupted)
	if len(c.requests("DELETE")) > 0 || len(w.outcome.Pods) == 0 {
		t.Error("the job does not go on")
	}
	c.succeed("train-a")
	if w := wait(t.Context(), l, job).end(t); w.err != nil || w.output.String() != "x\n" {
		t.Errorf("%v %q", w.err, w.output)
	}
}

func TestWaitDeleted(t *testing.T) {
	c, _, _, w, _ := started(t, Options{})
	until(t, "a watch", func() bool { return len(c.requests("watch=true")) >= 2 })
	c.drop("jobs", "train")
	wantError(t, w.end(t).err, schema.Gone, "Job/train", "nobody saw it end")

	// One that ended just before is known from what the watch says at last.
	c, _, _, w, _ = started(t, Options{})
	until(t, "a watch", func() bool { return len(c.requests("watch=true")) >= 2 })
	c.mu.Lock()
	o := copyOf(c.objects[key("jobs", "ml", "train")])
	condition("Complete", "True", "")(o)
	c.objects[key("jobs", "ml", "train")] = o
	c.forget(key("jobs", "ml", "train"))
	c.mu.Unlock()
	if w.end(t); w.err != nil {
		t.Error(w.err)
	}
}
