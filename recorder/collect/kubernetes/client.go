package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	record "github.com/runpin/runpin/schema"
)

// Options say which cluster, and where in it.
type Options struct {
	Kubeconfig string // file; "" for $KUBECONFIG and ~/.kube/config, and inside a cluster for the pod's own account
	Context    string // of the kubeconfig
	Namespace  string // "" for that of the context
	All        bool   // every namespace
	Agent      string // for the User-Agent

	Page    int64         // how many pods one answer holds; 500
	Timeout time.Duration // for one request that is no watch; 60 seconds
}

// Client reads the pods of a cluster. It only ever gets, lists and watches.
type Client struct {
	pods      dynamic.ResourceInterface
	host      string
	namespace string
	page      int64
	timeout   time.Duration
}

// New finds the cluster. It asks nothing of it yet. Errors are of kind Invalid.
func New(o Options) (*Client, error) {
	config, namespace, err := Config(o)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst, config.WarningHandler = 20, 40, rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, &record.Error{Op: "collect.cluster", Kind: record.Invalid, Subject: "cluster", Err: err}
	}
	c := &Client{host: config.Host, namespace: namespace, page: o.Page, timeout: o.Timeout}
	if o.All {
		c.namespace = metav1.NamespaceAll
	}
	if c.page <= 0 {
		c.page = 500
	}
	if c.timeout <= 0 {
		c.timeout = time.Minute
	}
	c.pods = client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(c.namespace)
	return c, nil
}

// Config finds the cluster and the namespace that the options name, as kubectl would. It asks nothing of the cluster. Errors are of kind Invalid.
func Config(o Options) (*rest.Config, string, error) {
	fail := func(err error) (*rest.Config, string, error) {
		return nil, "", &record.Error{Op: "collect.cluster", Kind: record.Invalid, Subject: "cluster", Err: err, Hint: "name a kubeconfig with --kubeconfig, or run it in a pod with a service account"}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides) // it takes the pod's own account where there is no file
	config, err := loader.ClientConfig()
	if err != nil {
		return fail(err)
	}
	config.UserAgent = o.Agent
	namespace := o.Namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return fail(err)
		}
	}
	return config, namespace, nil
}

// List gives the pods that carry a run's stamp, page by page, to each, and the version of the list from which a watch goes on. What belongs to no run is dropped at once.
func (c *Client) List(ctx context.Context, each func(Pod)) (version string, err error) {
	next := ""
	for restarts := 0; ; {
		page, err := c.list(ctx, next)
		if apierrors.IsResourceExpired(err) && next != "" && restarts < 3 { // the rest of the list is too old: begin again
			next = ""
			restarts++
			continue
		}
		if err != nil {
			return "", c.failed(err)
		}
		for i := range page.Items {
			if p, ok := stamped(&page.Items[i]); ok {
				each(p)
			}
		}
		if next = page.GetContinue(); next == "" {
			return page.GetResourceVersion(), nil
		}
	}
}

func (c *Client) list(ctx context.Context, next string) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.pods.List(ctx, metav1.ListOptions{Limit: c.page, Continue: next})
}

// stamped reads a pod of the API, if it is one of a run.
func stamped(u *unstructured.Unstructured) (Pod, bool) {
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return Pod{}, false
	}
	var p Pod
	if json.Unmarshal(raw, &p) != nil || !p.named() || p.Run() == "" {
		return Pod{}, false
	}
	return p, true
}

// failed gives what a cluster's refusal or silence means: Unavailable when asking again may help.
func (c *Client) failed(err error) error {
	fail := func(kind record.Kind, err error, hint string) error {
		return &record.Error{Op: "collect.cluster", Kind: kind, Subject: "cluster " + hostOf(c.host), Err: err, Hint: hint}
	}
	var status apierrors.APIStatus
	var u *url.Error
	var n net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return fail(record.Interrupted, context.Canceled, "")
	case apierrors.IsUnauthorized(err), apierrors.IsForbidden(err):
		return fail(record.Unavailable, fmt.Errorf("it does not let us list pods: %s", record.Shorten(err.Error(), 300)), "the account needs get, list and watch on pods (examples/collector)")
	case apierrors.IsNotFound(err):
		return fail(record.Unavailable, errors.New("it has no pods"), "what answers there may not be a Kubernetes API server")
	case errors.As(err, &status):
		return fail(record.Unavailable, errors.New(record.Shorten(err.Error(), 300)), "try again later")
	case errors.As(err, &u):
		err = u.Err
	case errors.As(err, &n):
	}
	return fail(record.Unavailable, errors.New(record.Shorten(err.Error(), 300)), "check that the cluster can be reached from here")
}

// hostOf gives the host of a server's URL, and nothing that may be a credential.
func hostOf(server string) string {
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		return u.Host
	}
	return "server"
}
