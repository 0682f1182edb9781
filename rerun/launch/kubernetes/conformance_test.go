package kubernetes

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/schema"
)

// played is a cluster whose controllers and kubelets do what the suite asks of a job.
type played struct {
	*cluster
	t        *testing.T
	work     map[string]launchtest.Work // by run
	released map[string]chan struct{}
	busy     sync.WaitGroup
	runs     int
}

func newPlayed(t *testing.T) *played {
	p := &played{cluster: newCluster(t), t: t, work: map[string]launchtest.Work{}, released: map[string]chan struct{}{}}
	p.created = func(resource string, o object) {
		if resource == "jobs" {
			p.busy.Go(func() { p.run(o) })
		}
	}
	p.deleted = func(resource, name string, _ object) {
		p.forget(key(resource, "ml", name))
		if resource == "jobs" {
			p.forget(key("pods", "ml", name+"-0"))
		}
	}
	t.Cleanup(func() {
		p.mu.Lock()
		for _, ch := range p.released {
			select {
			case <-ch:
			default:
				close(ch)
			}
		}
		p.mu.Unlock()
		p.busy.Wait()
	})
	return p
}

// alive edits an object that nobody has deleted yet.
func (p *played) alive(resource, name string, edit func(object)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o, ok := p.objects[key(resource, "ml", name)]; ok {
		o = copyOf(o)
		edit(o)
		p.store(resource, o)
	}
}

func (p *played) run(job object) {
	meta := job["metadata"].(object)
	name, run := meta["name"].(string), meta["labels"].(object)[stamp].(string)
	p.mu.Lock()
	work, release := p.work[run], p.released[run]
	pod := func(phase string, code int) object {
		o := p.pod(podState{name: name + "-0", phase: phase, image: trainer, imageID: trainer, code: code, labels: object{"job-name": name}})
		o["metadata"].(object)["annotations"] = object{stamp: run}
		return o
	}
	if _, ok := p.objects[key("jobs", "ml", name)]; ok {
		p.store("pods", pod("Running", 0))
	}
	p.mu.Unlock()
	var lines []string
	begun := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	for i, text := range strings.SplitAfter(work.Output, "\n") {
		if text != "" {
			lines = append(lines, begun.Add(time.Duration(i)*time.Microsecond).Format("2006-01-02T15:04:05.000000000Z07:00")+" "+text)
		}
	}
	p.print(name+"-0", lines...)
	if work.Hold {
		<-release
	}
	p.endLog(name + "-0")
	phase, end := "Succeeded", condition("Complete", "True", "")
	if work.Code != 0 {
		phase, end = "Failed", condition("Failed", "True", "BackoffLimitExceeded")
	}
	p.alive("pods", name+"-0", func(o object) { o["status"] = pod(phase, work.Code)["status"] })
	p.alive("jobs", name, end)
}

// spec gives a spec of a run of its own.
func (p *played) spec(text string, work launchtest.Work) launch.Spec {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs++
	run := schema.DeriveRunID(schema.Time{}, fmt.Sprint("run ", p.runs))
	p.work[string(run)], p.released[string(run)] = work, make(chan struct{})
	return launch.Spec{Name: "train.yaml", Data: []byte(strings.ReplaceAll(text, runA, string(run))), Run: run}
}

// of names the objects of a run, but for its pods.
func (p *played) of(run schema.RunID, running bool) (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.order {
		o := p.objects[k]
		labels, _ := o["metadata"].(object)["labels"].(object)
		if labels[stamp] != string(run) || running && (o["kind"] != "Job" || o["status"] != nil) {
			continue
		}
		names = append(names, k)
	}
	return names
}

func TestConformance(t *testing.T) {
	p := newPlayed(t)
	first := p.launcher(Options{})
	launchtest.Batch(t, launchtest.BatchHarness{
		New: func(t *testing.T) launch.Batch {
			l, err := New(p.config, "ml", Options{Settle: 2 * time.Second, Grace: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Spec: func(_ *testing.T, work launchtest.Work) launch.Spec {
			return p.spec(settings+jobSpec("generateName: train-"), work)
		},
		Release: func(_ *testing.T, spec launch.Spec) {
			p.mu.Lock()
			defer p.mu.Unlock()
			close(p.released[string(spec.Run)])
		},
		Left:    func(_ *testing.T, spec launch.Spec) []string { return p.of(spec.Run, false) },
		Running: func(_ *testing.T, spec launch.Spec) bool { return len(p.of(spec.Run, true)) > 0 },
		Refused: func(*testing.T) launch.Spec {
			return p.spec(settings+strings.Replace(jobSpec("name: refused"), "backoffLimit", "backofLimit", 1), launchtest.Work{})
		},
		Unfollowable: func(*testing.T) (all []launch.Spec) {
			for _, text := range []string{settings, strings.Replace(jobSpec("name: a"), "kind: Job", "kind: CronJob", 1), "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", "x: ["} {
				all = append(all, p.spec(text, launchtest.Work{}))
			}
			return all
		},
		Gone: schema.Launched{On: "kubernetes", Job: "Job/none@" + runA, Place: "ml@" + first.host},
	})
}
