package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// made is an object that this process created.
type made struct {
	at   dynamic.ResourceInterface
	what named
	uid  types.UID
}

// Submit creates the objects of a spec in their order, and the job last, so that what it needs is there and a refusal of anything leaves no job behind. An object that
// is there already with the same content stays as it is and is not the run's; a job of the same run that is there already is not started twice. An error has kind
// Conflict when something else bears a name, Invalid when the cluster refuses an object.
func (l *Launcher) Submit(ctx context.Context, spec launch.Spec) (schema.Launched, error) {
	p, err := l.read(spec)
	if err != nil {
		return schema.Launched{}, err
	}
	found := make([]resource, len(p.objects))
	for i, o := range p.objects { // before anything is created
		if found[i], err = l.find(ctx, o.GroupVersionKind()); err != nil {
			return schema.Launched{}, err
		}
		if !found[i].namespaced {
			if err := l.clusterObject(ctx, p, found[i], o); err != nil {
				return schema.Launched{}, err
			}
		}
	}
	var all []made
	job := made{}
	for _, i := range p.order() {
		if !found[i].namespaced {
			continue
		}
		at := l.dynamic.Resource(found[i].GroupVersionResource).Namespace(p.namespace)
		m, err := l.create(ctx, p, at, found[i], p.objects[i], i == p.job)
		if err != nil {
			return schema.Launched{}, l.undo(ctx, err, all)
		}
		switch {
		case i == p.job:
			job = m
		case m.uid != "":
			all = append(all, m)
		}
	}
	l.sent.Store(p.run, expect(p.objects[p.job].Object, l.options.Images))
	h := handle{run: p.run, namespace: p.namespace, host: l.host, objects: []named{job.what}}
	for _, m := range all {
		h.objects = append(h.objects, m.what)
	}
	return h.launched(), nil
}

// order gives the objects' places, the job's last.
func (p *plan) order() (order []int) {
	for i := range p.objects {
		if i != p.job {
			order = append(order, i)
		}
	}
	return append(order, p.job)
}

// clusterObject passes an object of the whole cluster only when it is there already: what belongs to everybody is not created, or removed, with a run.
func (l *Launcher) clusterObject(ctx context.Context, p *plan, r resource, o *unstructured.Unstructured) error {
	have, err := l.one(ctx, l.dynamic.Resource(r.GroupVersionResource), o.GetName())
	if err != nil && !isNotFound(err) {
		return l.failed(ctx, "show "+title(o), err)
	}
	if err != nil || !same(have.Object, o.Object) {
		return p.invalid(title(o), errors.New("is an object of the whole cluster, which runpin does not create"), "have it created once, or take it out of the file")
	}
	return nil
}

func (l *Launcher) one(ctx context.Context, at dynamic.ResourceInterface, name string) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, l.options.Timeout)
	defer cancel()
	return at.Get(ctx, name, metav1.GetOptions{})
}

// create gives a made without uid when the object is there already, is the same and is somebody else's.
func (l *Launcher) create(outer context.Context, p *plan, at dynamic.ResourceInterface, r resource, o *unstructured.Unstructured, job bool) (made, error) {
	if outer.Err() != nil {
		return made{}, l.failed(outer, "", outer.Err())
	}
	o = o.DeepCopy()
	o.SetNamespace(p.namespace)
	o.SetAnnotations(with(o.GetAnnotations(), string(p.run)))
	o.SetLabels(with(o.GetLabels(), string(p.run)))
	ctx, cancel := context.WithTimeout(outer, l.options.Timeout)
	got, err := at.Create(ctx, o, metav1.CreateOptions{FieldManager: "runpin", FieldValidation: metav1.FieldValidationWarn})
	cancel()
	m := made{at: at, what: named{kind: o.GroupVersionKind(), name: o.GetName()}}
	switch {
	case err == nil && got.GetUID() != "" && objectName.MatchString(got.GetName()) && (m.what.name == "" || m.what.name == got.GetName()):
		m.what.name, m.uid = got.GetName(), got.GetUID()
		return m, l.unchanged(outer, p, m, o, got)
	case err == nil:
		err = errNoAPI
	}
	what := "create " + title(o) + " in namespace " + p.namespace
	if isExists(err) && m.what.name != "" {
		have, again := l.one(outer, at, m.what.name)
		switch {
		case again != nil:
			err = l.failed(outer, what, again)
			if job { // it may be the run's own, of a request whose answer was lost
				err = l.maybe(p, r, err)
			}
			return made{}, err
		case !same(have.Object, o.Object):
		case have.GetAnnotations()[stamp] == string(p.run): // an earlier request of this run made it, whose answer was lost
			m.uid = have.GetUID()
			return m, nil
		case !job:
			return made{}, nil
		}
	}
	unsure := unclear(err)
	if isNotFound(err) {
		err = p.invalid(title(o), errors.New(l.why(err)), "check the namespace")
	}
	err = l.failed(outer, what, err)
	if !unsure {
		return made{}, err
	}
	return made{}, l.unsure(outer, p, at, r, err, job)
}

func with(have map[string]string, run string) map[string]string {
	all := map[string]string{stamp: run}
	for k, v := range have {
		if k != stamp {
			all[k] = v
		}
	}
	return all
}

// unsure removes what a request may have created although its answer was lost, and says how to look for it where that cannot be known.
func (l *Launcher) unsure(ctx context.Context, p *plan, at dynamic.ResourceInterface, r resource, cause error, job bool) error {
	ctx, cancel := l.afterwards(ctx)
	defer cancel()
	unknown := func() error {
		if job {
			return l.maybe(p, r, cause)
		}
		return annotate(cause, fmt.Sprintf("whether %s of the run was created is not known; %s", r.Resource, p.look(r)))
	}
	list, err := at.List(ctx, metav1.ListOptions{LabelSelector: stamp + "=" + string(p.run)})
	if err != nil {
		return unknown()
	}
	known := false
	for i := range list.Items {
		o := &list.Items[i]
		if o.GetAnnotations()[stamp] != string(p.run) {
			continue
		}
		known = true
		if err := l.remove(ctx, at, o.GetName(), o.GetUID(), metav1.DeletePropagationBackground); err != nil {
			return unknown()
		}
	}
	if known {
		return cause
	}
	return unknown()
}

// look says how what was created of a kind is found by hand.
func (p *plan) look(r resource) string {
	return fmt.Sprintf("look with `kubectl -n %s get %s -l %s=%s`", p.namespace, r.GroupResource(), stamp, p.run)
}

// maybe says of a failure that there may be a job all the same.
func (l *Launcher) maybe(p *plan, r resource, cause error) error {
	var e *schema.Error
	if !errors.As(cause, &e) {
		return cause
	}
	c := *e
	c.Err = fmt.Errorf("%w; %w: %s", e.Err, launch.ErrUnsure, p.look(r))
	return &c
}

// afterwards gives a context for cleaning up after something was interrupted.
func (l *Launcher) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*l.options.Timeout)
}

// undo removes what was created before something failed. What cannot be removed is named.
func (l *Launcher) undo(ctx context.Context, cause error, all []made) error {
	ctx, cancel := l.afterwards(ctx)
	defer cancel()
	var left []string
	for i := len(all) - 1; i >= 0; i-- {
		if err := l.remove(ctx, all[i].at, all[i].what.name, all[i].uid, metav1.DeletePropagationBackground); err != nil {
			left = append(left, all[i].what.String())
		}
	}
	if len(left) == 0 {
		return cause
	}
	return annotate(cause, "and could not be removed again: "+strings.Join(left, ", "))
}

// annotate adds to what an error says, and keeps its kind.
func annotate(err error, more string) error {
	var e *schema.Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.Err = fmt.Errorf("%w; %s", e.Err, more)
	return &c
}

// same reports whether an object that is there says everything that is wanted, beside its metadata. The cluster may have added defaults, but not data.
func same(have, want map[string]any) bool {
	for _, k := range []string{"data", "binaryData"} {
		if (have[k] != nil || want[k] != nil) && !reflect.DeepEqual(have[k], want[k]) {
			return false
		}
	}
	for k, v := range want {
		if k != "metadata" && k != "status" && !holds(have[k], v) {
			return false
		}
	}
	return true
}

func holds(have, want any) bool {
	switch want := want.(type) {
	case nil:
		return have == nil
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return len(want) == 0 && have == nil
		}
		for k, v := range want {
			if !holds(h[k], v) {
				return false
			}
		}
		return true
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(want) {
			return len(want) == 0 && have == nil
		}
		for i := range want {
			if !holds(h[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want) || fmt.Sprint(have) == fmt.Sprint(want)
}
