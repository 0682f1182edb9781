package kubernetes

import (
	"context"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

const (
	maxPods  = 20_000 // that are followed
	maxTails = 200    // whose output is copied
)

// following is a job that is waited for. One goroutine, that of Wait, owns it.
type following struct {
	l        *Launcher
	h        handle
	row      *row
	out      *merged
	state    state
	seen     bool // the job was seen
	halt     bool // it must not go on
	expected *expected
	pods     map[string]*tracked // by uid
	order    []string            // of their uids, as they came
	tailed   int
	warned   map[string]bool
	tailing  context.Context
}

// tracked is a pod of the job, as it was last.
type tracked struct {
	*pod
	object *unstructured.Unstructured
	gone   bool
	fresh  bool // it was not compared yet
	tail   *tail
	ended  bool                 // the tail knows that the container has ended
	since  map[string]time.Time // troubles, and when they began
}

// Wait follows the job to its end. It ends earlier, and stops the job, with an error of kind Drift when a pod runs another image than the pinned one, and of kind Gone
// when the image of a pod no longer exists; kind Gone, too, when the job was deleted. The outcome then holds the pods that were seen, their variables included. Lines of
// output have the pod's name before them once there are several pods.
func (l *Launcher) Wait(ctx context.Context, job schema.Launched, output io.Writer) (launch.Outcome, error) {
	h, err := l.handle(job)
	if err != nil {
		return launch.Outcome{}, err
	}
	if output == nil {
		output = io.Discard
	}
	f := &following{l: l, h: h, row: rowOf(h.objects[0].kind.Group, h.objects[0].kind.Kind), out: &merged{to: output}, pods: map[string]*tracked{}, warned: map[string]bool{}}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var cut context.CancelFunc
	f.tailing, cut = context.WithCancel(ctx)
	defer func() {
		f.out.closed.Store(true)
		cut()
		f.rest()
	}()
	err = f.follow(watching)
	stop()
	switch {
	case err == nil:
		f.drain(ctx)
	case f.halt:
		err = f.stop(ctx, job, err)
	}
	outcome := launch.Outcome{Pods: f.list()}
	if err == nil {
		outcome.Exit, outcome.Why = f.exit()
	}
	return outcome, err
}

// rest waits until nothing of this wait goes on, unless the reader of the output holds it up.
func (f *following) rest() {
	patience := time.After(time.Second)
	for _, t := range f.pods {
		if t.tail == nil {
			continue
		}
		select {
		case <-t.tail.done:
		case <-patience:
			return
		}
	}
}

// stop ends a job that must not go on, and says so.
func (f *following) stop(ctx context.Context, job schema.Launched, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.l.options.Grace+f.l.options.Timeout+maxGrace)
	defer cancel()
	if err := f.l.Stop(ctx, job); err != nil {
		return annotate(cause, "and it could not be stopped: "+err.Error())
	}
	return cause
}

// follow gives nil once the job has ended and its pods have said how.
func (f *following) follow(ctx context.Context) error {
	main := f.h.objects[0]
	var r resource
	if err := f.l.patiently(ctx, func() (err error) { r, err = f.l.find(ctx, main.kind); return err }); err != nil {
		return err
	}
	jobs, pods := make(chan news), make(chan news)
	send := func(to chan news) func(news) {
		return func(n news) {
			select {
			case to <- n:
			case <-ctx.Done():
			}
		}
	}
	at, selector := f.l.podsOf(f.h, f.row)
	one := metav1.ListOptions{FieldSelector: "metadata.name=" + main.name}
	go f.l.watch(ctx, "show "+r.Resource, f.l.dynamic.Resource(r.GroupVersionResource).Namespace(f.h.namespace), one, send(jobs))
	go f.l.watch(ctx, "show pods", at, selector, send(pods))
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var settled time.Time
	podsKnown := false
	for {
		select {
		case <-ctx.Done():
			return f.l.failed(ctx, "", ctx.Err())
		case n := <-jobs:
			if n.failed != nil {
				return n.failed
			}
			if err := f.job(n); err != nil {
				return err
			}
		case n := <-pods:
			if n.failed != nil {
				return n.failed
			}
			podsKnown = podsKnown || n.listed
			f.podNews(n)
		case <-tick.C:
		}
		if f.seen && podsKnown {
			if err := f.judge(ctx); err != nil {
				return err
			}
		}
		if !f.state.ended {
			continue
		}
		if settled.IsZero() {
			settled = time.Now().Add(f.l.options.Settle)
		}
		if podsKnown && (f.allEnded() || time.Now().After(settled)) {
			return f.last(ctx)
		}
	}
}

// job takes what is told of the job.
func (f *following) job(n news) error {
	var o *unstructured.Unstructured
	for _, x := range append(n.all, n.one) {
		if x != nil && x.GetName() == f.h.objects[0].name && f.h.owns(x) {
			o = x
		}
	}
	if o != nil {
		f.seen = true
		if f.expected == nil {
			f.expected = f.l.expects(f.h.run, o.Object)
		}
		if s := f.row.read(o.Object); s.ended || !f.state.ended {
			f.state = s
		}
		f.suspended(o)
	}
	if f.state.ended || o != nil && !n.deleted || o == nil && !n.listed {
		return nil
	}
	if f.h.vague && !f.seen {
		return f.h.elsewhere(fmt.Errorf("was handed to a cluster behind %s that its record does not tell from others there, and %s has no such job", clean(f.h.host, maxHost), f.l.host))
	}
	return &schema.Error{Op: op, Kind: schema.Gone, Subject: f.h.objects[0].String(), Err: fmt.Errorf("is no longer in namespace %s, and nobody saw it end", f.h.namespace),
		Hint: "somebody deleted it, or its ttlSecondsAfterFinished did; `runpin finish` can end the run"}
}

// suspended tells of a job that waits for a queue.
func (f *following) suspended(o *unstructured.Unstructured) {
	queue := clean(o.GetLabels()["kueue.x-k8s.io/queue-name"], 80)
	asleep, _, _ := unstructured.NestedBool(o.Object, "spec", "suspend")
	switch {
	case !f.state.waits && !(asleep && !f.state.ended):
		delete(f.warned, "suspended")
	case queue != "":
		f.tell("suspended", "%s is suspended: it waits in queue %s", f.h.objects[0], queue)
	default:
		f.tell("suspended", "%s is suspended: it waits until somebody resumes it", f.h.objects[0])
	}
}

// tell warns once of each thing.
func (f *following) tell(key, format string, args ...any) {
	if !f.warned[key] {
		f.warned[key] = true
		f.l.warn(format, args...)
	}
}

// podNews takes what is told of pods.
func (f *following) podNews(n news) {
	there := map[string]bool{}
	for _, u := range append(n.all, n.one) {
		if u == nil {
			continue
		}
		p, ok := readPod(u)
		if !ok || p.Metadata.UID == "" || !p.of(f.h, f.row) {
			continue
		}
		uid := p.Metadata.UID
		there[uid] = true
		t := f.pods[uid]
		if t == nil {
			if len(f.pods) >= maxPods {
				f.tell("pods", "%s has more than %d pods; the others are not followed", f.h.objects[0], maxPods)
				continue
			}
			t = &tracked{since: map[string]time.Time{}}
			f.pods[uid], f.order = t, append(f.order, uid)
			f.out.pods.Add(1)
		}
		unstructured.RemoveNestedField(u.Object, "metadata", "managedFields") // as kubectl leaves them away
		t.pod, t.object, t.gone, t.fresh = p, u, u == n.one && n.deleted, true
		f.attend(t)
	}
	if n.listed {
		for uid, t := range f.pods {
			if !there[uid] && !t.gone {
				t.gone = true
				f.attend(t)
			}
		}
	}
}

// attend copies the log of a pod whose main container has begun, and tells the copying when there will be no more of it.
func (f *following) attend(t *tracked) {
	name := t.main()
	s := t.status(name)
	begun := s != nil && (s.State.Running != nil || s.State.Terminated != nil || s.Last.Terminated != nil)
	if t.tail == nil && begun && name != "" && !t.gone {
		if f.tailed++; f.tailed > maxTails {
			f.tell("tails", "only the output of the first %d pods is copied", maxTails)
			return
		}
		t.tail = &tail{l: f.l, namespace: f.h.namespace, pod: t.Metadata.Name, container: name, out: f.out, ended: make(chan struct{}), done: make(chan struct{})}
		go t.tail.run(f.tailing)
	}
	if t.tail != nil && !t.ended && (t.gone || t.pod.ended()) {
		t.ended = true
		close(t.tail.ended)
	}
}

func (f *following) allEnded() bool {
	for _, t := range f.pods {
		if !t.gone && !t.pod.ended() {
			return false
		}
	}
	return true
}

// last looks at all pods once more when the job has ended: a watch may be behind, and an image that nobody compared is not one that is known to be right.
func (f *following) last(ctx context.Context) error {
	at, selector := f.l.podsOf(f.h, f.row)
	for range 2 {
		var all listed
		if err := f.l.patiently(ctx, func() (err error) {
			if all, err = f.l.list(ctx, at, selector); err != nil {
				err = f.l.failed(ctx, "list pods", err)
			}
			return err
		}); err != nil {
			return err
		}
		f.podNews(news{all: all.objects, listed: true})
		if len(f.pods) > 0 {
			break
		}
		selector = metav1.ListOptions{} // its controller may not give its pods the label; the stamp tells them
	}
	if len(f.pods) == 0 {
		f.tell("none", "no pod of %s was seen, so it is not known which image ran", f.h.objects[0])
	}
	return f.judge(ctx)
}

// drain waits until the logs were copied, for as long as there is more of them to copy.
func (f *following) drain(ctx context.Context) {
	var open []*tracked
	for _, uid := range f.order {
		if t := f.pods[uid]; t.tail != nil && (t.ended || t.gone) { // a pod that goes on, such as the head of a Ray cluster, has no end to wait for
			open = append(open, t)
		}
	}
	copied, progress := f.out.bytes.Load(), time.Now()
	for _, t := range open {
		for {
			select {
			case <-t.tail.done:
			case <-ctx.Done():
				return
			case <-time.After(min(f.l.options.Settle, 250*time.Millisecond)):
				if n := f.out.bytes.Load(); n != copied {
					copied, progress = n, time.Now()
				}
				if time.Since(progress) < f.l.options.Settle {
					continue
				}
				f.tell("log "+t.Metadata.UID, "the log of pod %s does not come to its end; what was printed last may be missing here", t.Metadata.Name)
			}
			break
		}
	}
}
