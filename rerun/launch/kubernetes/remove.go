package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/runpin/runpin/schema"
)

const otherCluster = "name the cluster with --context, or its kubeconfig with --kubeconfig"

// handle reads a handle of this cluster. One of an earlier version has no path; nothing follows then from an object that is not here.
func (l *Launcher) handle(job schema.Launched) (handle, error) {
	h, err := parseHandle(job)
	if err != nil || h.host == l.host {
		return h, err
	}
	if host, _, hasPath := strings.Cut(l.host, "/"); hasPath && h.host == host {
		h.vague = true
		return h, nil
	}
	return h, h.elsewhere(fmt.Errorf("was handed to cluster %s, and this is %s", clean(h.host, maxHost), l.host))
}

func (h handle) elsewhere(err error) error {
	return &schema.Error{Op: op, Kind: schema.Invalid, Subject: h.objects[0].String(), Err: err, Hint: otherCluster}
}

// look gives an object of a run, or nil when it is gone: also when its name belongs to something else by now, or the cluster no longer has its kind.
func (l *Launcher) look(ctx context.Context, h handle, n named) (dynamic.ResourceInterface, *unstructured.Unstructured, error) {
	r, err := l.find(ctx, n.kind)
	var none unknownKind
	if errors.As(err, &none) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if !r.namespaced {
		return nil, nil, nil
	}
	at := l.dynamic.Resource(r.GroupVersionResource).Namespace(h.namespace)
	o, err := l.one(ctx, at, n.name)
	if isNotFound(err) {
		return at, nil, nil
	}
	if err != nil {
		return at, nil, l.failed(ctx, "show "+n.String(), err)
	}
	if !h.owns(o) {
		return at, nil, nil
	}
	return at, o, nil
}

func (h handle) owns(o *unstructured.Unstructured) bool {
	return o.GetAnnotations()[stamp] == string(h.run) || o.GetLabels()[stamp] == string(h.run)
}

// remove deletes the object that has this uid. One that is gone, or another one of the same name, is no error.
func (l *Launcher) remove(ctx context.Context, at dynamic.ResourceInterface, name string, uid types.UID, how metav1.DeletionPropagation) error {
	ctx, cancel := context.WithTimeout(ctx, l.options.Timeout)
	defer cancel()
	err := at.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &how})
	if isNotFound(err) || isConflict(err) {
		return nil
	}
	return err
}

// Remove deletes what Submit created and still carries the stamp of the run; the cluster then deletes what belongs to that.
func (l *Launcher) Remove(ctx context.Context, job schema.Launched) error {
	h, err := l.handle(job)
	if err != nil {
		return err
	}
	var failures []error
	for _, n := range h.objects {
		at, o, err := l.look(ctx, h, n)
		if err == nil && o != nil {
			if err = l.remove(ctx, at, n.name, o.GetUID(), metav1.DeletePropagationBackground); err != nil {
				err = l.failed(ctx, "delete "+n.String(), err)
			}
		}
		if err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) == 1 {
		return failures[0]
	}
	return errors.Join(failures...)
}

// Stop deletes the job, so that its pods are asked to end (SIGTERM, then what their grace period allows), and waits until none of them runs. A job that has ended by itself is left as it is.
func (l *Launcher) Stop(ctx context.Context, job schema.Launched) error {
	h, err := l.handle(job)
	if err != nil {
		return err
	}
	row := rowOf(h.objects[0].kind.Group, h.objects[0].kind.Kind)
	at, o, err := l.look(ctx, h, h.objects[0])
	if err != nil {
		return err
	}
	if o != nil {
		if row.read(o.Object).ended {
			return nil
		}
		if err := l.remove(ctx, at, o.GetName(), o.GetUID(), metav1.DeletePropagationForeground); err != nil {
			return l.failed(ctx, "delete "+h.objects[0].String(), err)
		}
	}
	return l.gone(ctx, h, row)
}

// gone waits until nothing of a job runs. That its object stays for a while (finalizers) does not matter once it is being deleted and has no pods: its controller makes no more.
func (l *Launcher) gone(ctx context.Context, h handle, row *row) error {
	var deadline time.Time
	var failure error
	var left []string
	for pause, quiet := 50*time.Millisecond, 0; ; pause = min(2*pause, 2*time.Second) {
		var grace time.Duration
		left, grace, failure = l.running(ctx, h, row)
		if deadline.IsZero() {
			deadline = time.Now().Add(l.options.Grace + grace)
		}
		switch {
		case failure != nil || len(left) > 0:
			quiet = 0
		case quiet == 1: // a pod that was being made when the job was deleted is seen at the second look
			return nil
		default:
			quiet++
		}
		if time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return l.failed(ctx, "", ctx.Err())
		case <-time.After(pause):
		}
	}
	if failure != nil {
		return failure
	}
	if len(left) > 8 {
		left = append(left[:8], fmt.Sprintf("%d more", len(left)-8))
	}
	return &schema.Error{Op: op, Kind: schema.Unavailable, Subject: h.objects[0].String(), Err: fmt.Errorf("was told to end, and still there are: %s", strings.Join(left, ", ")),
		Hint: fmt.Sprintf("look with `kubectl -n %s get pods`; a node that is away keeps its pods", h.namespace)}
}

// running names what of a job still runs, and gives the longest grace period that its pods ask for.
func (l *Launcher) running(ctx context.Context, h handle, row *row) (left []string, grace time.Duration, err error) {
	_, o, err := l.look(ctx, h, h.objects[0])
	if err != nil {
		return nil, 0, err
	}
	if o != nil && o.GetDeletionTimestamp() == nil && !row.read(o.Object).ended {
		left = append(left, h.objects[0].String())
	}
	at, selector := l.podsOf(h, row)
	pods, err := l.list(ctx, at, selector)
	if err != nil {
		return nil, 0, l.failed(ctx, "list pods", err)
	}
	for _, u := range pods.objects {
		p, ok := readPod(u)
		if !ok || !p.of(h, row) || p.ended() {
			continue
		}
		left = append(left, "Pod/"+p.Metadata.Name)
		if p.Spec.Grace != nil {
			grace = max(grace, min(time.Duration(*p.Spec.Grace)*time.Second, maxGrace))
		}
	}
	return left, grace, nil
}

// maxGrace bounds what a pod can ask for.
const maxGrace = 15 * time.Minute
