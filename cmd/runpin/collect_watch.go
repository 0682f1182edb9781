package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/runpin/runpin/recorder/collect/kubernetes"
	"github.com/runpin/runpin/schema"
)

// watch goes on until it is stopped. Pods that change are gathered by run, and taken at most once a second, so that a burst of changes is one report; between them
// the runs that go on are vouched for. A run that the store could not take is tried again at the next beat.
func (k *collecting) watch(ctx context.Context) error {
	live := map[schema.RunID]map[string]kubernetes.Pod{} // pods of runs that have not ended, by namespace and name
	listed, changed := make(chan []kubernetes.Pod), make(chan change)
	done := make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	go func() {
		defer close(done)
		k.cluster.Watch(watching, kubernetes.Watching{
			Resync: 10 * time.Minute, First: time.Second, Longest: time.Minute,
			Failed:  func(err error) { k.w.env.warn("%v; trying again", err) },
			Listed:  func(pods []kubernetes.Pod) { send(watching, listed, pods) },
			Changed: func(p kubernetes.Pod, deleted bool) { send(watching, changed, change{p, deleted}) },
		})
	}()
	defer func() { stop(); <-done }()

	beat, soon := time.NewTicker(max(k.interval/2, time.Second)), time.NewTicker(time.Second)
	defer beat.Stop()
	defer soon.Stop()
	waiting := map[schema.RunID]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil // SIGTERM is how a deployment ends
		case pods := <-listed:
			k.relisted(ctx, live, waiting, pods)
		case p := <-changed:
			if live[p.Run()] == nil {
				if wanted, err := k.wanted(ctx, p.Run(), []kubernetes.Pod{p.Pod}); err != nil || !wanted {
					continue
				}
			}
			if p.deleted && !ended(p.Pod) { // nobody can vouch for it any more
				delete(live[p.Run()], key(p.Pod))
				if len(live[p.Run()]) == 0 {
					delete(k.running, p.Run())
				}
				continue
			}
			remember(live, p.Pod)
			waiting[p.Run()] = true
		case <-beat.C:
			for id := range k.running {
				if err := k.w.store.Beat(ctx, id, schema.At(k.w.env.Now())); err != nil {
					k.w.env.warn("%v", err)
				}
			}
		case <-soon.C:
			for id := range waiting {
				if k.report(ctx, id, live[id]) {
					delete(waiting, id)
				}
				if !k.isOpen(ctx, id) && !waiting[id] {
					delete(live, id)
					delete(k.running, id)
				}
			}
		}
	}
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// change is what a watch tells of a pod.
type change struct {
	kubernetes.Pod
	deleted bool
}

func ended(p kubernetes.Pod) bool { return p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" }

func key(p kubernetes.Pod) string { return p.Metadata.Namespace + "/" + p.Metadata.Name }

func remember(live map[schema.RunID]map[string]kubernetes.Pod, p kubernetes.Pod) {
	if live[p.Run()] == nil {
		live[p.Run()] = map[string]kubernetes.Pod{}
	}
	live[p.Run()][key(p)] = p
}

// relisted takes a whole list. A pod that is in it no more was deleted while nobody looked; what it told still counts while its run goes on, if it had ended.
func (k *collecting) relisted(ctx context.Context, live map[schema.RunID]map[string]kubernetes.Pod, waiting map[schema.RunID]bool, pods []kubernetes.Pod) {
	listed := map[schema.RunID][]kubernetes.Pod{}
	for _, p := range pods {
		listed[p.Run()] = append(listed[p.Run()], p)
	}
	isOpen := map[schema.RunID]bool{}
	for id, own := range listed {
		wanted, err := k.wanted(ctx, id, own)
		if err != nil {
			k.w.env.warn("%v; trying again", err)
			return
		}
		isOpen[id] = wanted
	}
	for id := range live {
		isOpen[id] = isOpen[id] || k.isOpen(ctx, id)
	}
	for id, own := range live {
		for name, p := range own {
			if !isOpen[id] || !ended(p) {
				delete(own, name)
			}
		}
		if len(own) == 0 {
			delete(live, id)
			delete(k.running, id)
		}
	}
	for _, p := range pods {
		if isOpen[p.Run()] {
			remember(live, p)
			waiting[p.Run()] = true
		}
	}
}

// isOpen reports whether a run of the store has not ended.
func (k *collecting) isOpen(ctx context.Context, id schema.RunID) bool {
	run, err := k.w.store.Run(ctx, id)
	return err == nil && !run.Status.Ended() && run.Job != nil
}

// report takes the pods of a run, and says what that changed. False asks for another try.
func (k *collecting) report(ctx context.Context, id schema.RunID, pods map[string]kubernetes.Pod) bool {
	if len(pods) == 0 {
		return true
	}
	r, _, err := k.take(ctx, id, slices.Collect(maps.Values(pods)))
	switch {
	case err != nil:
		k.w.env.warn("%v", err)
		return false
	case r.Documents == 0:
	case k.json:
		_ = k.w.env.printJSON(r)
	default:
		k.table([]collectedRun{r})
	}
	for _, d := range r.Drift {
		if r.Documents > 0 {
			k.w.env.warn("%s", d)
		}
	}
	return true
}
