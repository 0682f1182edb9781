package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// reach asks the cluster for its version, and whether the account may follow pods.
func (l *Launcher) reach(ctx context.Context) error {
	data, err := l.get(ctx, "/version")
	if err != nil {
		return l.failed(ctx, "tell its version", err)
	}
	var version struct {
		Git string `json:"gitVersion"`
	}
	if json.Unmarshal(data, &version) != nil || version.Git == "" {
		return l.failed(ctx, "tell its version", errNoAPI)
	}
	for _, verb := range []string{"list", "watch"} {
		if err := l.may(ctx, verb, apischema.GroupVersionResource{Version: "v1", Resource: "pods"}, l.namespace); err != nil {
			return err
		}
	}
	return nil
}

// Probe asks the cluster for its version, whether the account may follow pods, and, of a spec with data, whether the cluster has its kinds and lets the account
// create and delete them.
func (l *Launcher) Probe(ctx context.Context, spec launch.Spec) error {
	if len(spec.Data) == 0 {
		return l.reach(ctx)
	}
	p, err := l.read(spec)
	if err != nil {
		return err
	}
	if err := l.reach(ctx); err != nil {
		return err
	}
	for _, o := range p.objects {
		r, err := l.find(ctx, o.GroupVersionKind())
		if err != nil {
			return err
		}
		if !r.namespaced {
			continue
		}
		for _, verb := range []string{"create", "delete"} {
			if err := l.may(ctx, verb, r.GroupVersionResource, p.namespace); err != nil {
				return err
			}
		}
	}
	return nil
}

// may asks whether the account has a right. A cluster that does not answer that question is taken to say yes: it will say no when it comes to it.
func (l *Launcher) may(outer context.Context, verb string, r apischema.GroupVersionResource, namespace string) error {
	ctx, cancel := context.WithTimeout(outer, min(l.options.Timeout, quick))
	defer cancel()
	review := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": map[string]any{
		"resourceAttributes": map[string]any{"verb": verb, "group": r.Group, "version": r.Version, "resource": r.Resource, "namespace": namespace}}}}
	reviews := apischema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}
	answer, err := l.dynamic.Resource(reviews).Create(ctx, review, metav1.CreateOptions{})
	if err != nil && (isUnauthorized(err) || ctx.Err() != nil) {
		return l.failed(outer, "say what the account may do", err)
	}
	if err != nil {
		return nil
	}
	allowed, told, _ := unstructured.NestedBool(answer.Object, "status", "allowed")
	if told && !allowed {
		return &schema.Error{Op: op, Kind: schema.Unavailable, Subject: "cluster " + l.host,
			Err:  fmt.Errorf("it does not let this account %s %s in namespace %s", verb, r.GroupResource(), namespace),
			Hint: "ask for the role in examples/rerun-kubernetes"}
	}
	return nil
}
