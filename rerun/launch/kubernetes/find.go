package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Place gives the namespace and the cluster in which Submit creates the objects of a spec.
func (l *Launcher) Place(_ context.Context, spec launch.Spec) (string, error) {
	p, err := l.read(spec)
	if err != nil {
		return "", err
	}
	return p.namespace + "@" + l.host, nil
}

// Find gives what an earlier Submit of the spec created for its run, by the stamp. ok is false when there is no job of it in the namespace that place names, or where
// place is "" in that of the spec.
func (l *Launcher) Find(ctx context.Context, spec launch.Spec, place string) (job schema.Launched, ok bool, err error) {
	fail := func(kind schema.Kind, hint string, err error) (schema.Launched, bool, error) {
		return schema.Launched{}, false, &schema.Error{Op: op, Kind: kind, Subject: "job of run " + spec.Run.Short(), Err: err, Hint: hint}
	}
	if len(spec.Data) == 0 {
		return fail(schema.Unavailable, fmt.Sprintf("look for what carries the label %s=%s, and end the run with `runpin finish`", stamp, spec.Run),
			errors.New("its spec was withheld from the record, so that it is not known what to look for"))
	}
	p, err := l.read(spec)
	if err != nil {
		return schema.Launched{}, false, err
	}
	if place != "" {
		namespace, host, _ := strings.Cut(place, "@")
		if !spaceName.MatchString(namespace) {
			return fail(schema.Invalid, "", errors.New("the place in its record is not a namespace of a cluster"))
		}
		if host != l.host {
			return fail(schema.Invalid, otherCluster, fmt.Errorf("was to be handed to cluster %s, and this is %s", clean(host, maxHost), l.host))
		}
		p.namespace = namespace
	}
	h := handle{run: p.run, namespace: p.namespace, host: l.host}
	asked := map[string]bool{}
	order := p.order()
	for k := len(order) - 1; k >= 0; k-- { // the job first
		kind := p.objects[order[k]].GroupVersionKind()
		r, err := l.find(ctx, kind)
		if err != nil {
			return schema.Launched{}, false, err
		}
		if !r.namespaced || asked[kind.String()] {
			continue
		}
		asked[kind.String()] = true
		list, err := l.list(ctx, l.dynamic.Resource(r.GroupVersionResource).Namespace(p.namespace), metav1.ListOptions{LabelSelector: stamp + "=" + string(p.run)})
		if err != nil {
			return schema.Launched{}, false, l.failed(ctx, "list "+r.Resource, err)
		}
		for _, o := range list.objects {
			if o.GetAnnotations()[stamp] == string(p.run) && objectName.MatchString(o.GetName()) {
				h.objects = append(h.objects, named{kind, o.GetName()})
			}
		}
		if len(h.objects) == 0 {
			return schema.Launched{}, false, nil
		}
	}
	return h.launched(), true, nil
}
