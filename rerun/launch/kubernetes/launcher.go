package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Name is what a record calls the place.
const Name = "kubernetes"

const op = "launch.kubernetes"

func shorten(s string, n int) string { return schema.Shorten(s, n) }

// Describer tells what a digest (REPOSITORY@DIGEST) names on a platform. Implemented by recorder/image.
type Describer interface {
	DescribeImage(ctx context.Context, ref, platform string) (pin schema.ImagePin, children []schema.Digest, err error)
}

// Options are what a caller can set; zero values are the defaults.
type Options struct {
	Images []schema.ImagePin // the pins of the run: an index and the manifest of a platform in it are one image, which a digest alone does not tell
	// Describe looks up a digest that a node tells and that no pin has; may be nil. A node that had an image before can tell another manifest of the same configuration.
	Describe Describer
	Warn     func(string) // told of what keeps a job from running, and of what is not known; may be nil. One call at a time

	Grace    time.Duration // how long Stop waits for pods to be gone, beyond the time that they ask for; 1 minute
	Settle   time.Duration // how long after the end pods may take to say how they ended, and a log may be silent before it is left; 15 seconds
	Pull     time.Duration // how long a pull of a digest that is gone is watched before the wait ends; 30 seconds
	Stuck    time.Duration // after which it is told that no node takes a pod; 1 minute
	Poll     time.Duration // how often everything is listed again, whatever the watch told; 5 minutes
	Patience time.Duration // how long the cluster may be away while a job is followed; 15 minutes
	Timeout  time.Duration // for one request that is no watch; 30 seconds
}

// Launcher hands jobs to one cluster. It may be used by several goroutines.
type Launcher struct {
	dynamic   dynamic.Interface
	rest      rest.Interface
	host      string
	namespace string
	options   Options
	secrets   *secrets

	mu        sync.Mutex // of warn
	resources sync.Map   // GroupVersion → []metav1.APIResource
	warned    sync.Map   // what the server warned of
	sent      sync.Map   // RunID → *expected: what was submitted here
}

var _ launch.Batch = (*Launcher)(nil)

// New gives a launcher for the cluster that config leads to. namespace is where objects go that name none. It asks nothing of the cluster yet. An error has kind Invalid.
func New(config *rest.Config, namespace string, options Options) (*Launcher, error) {
	fail := func(err error) (*Launcher, error) {
		return nil, &schema.Error{Op: op, Kind: schema.Invalid, Subject: "cluster", Err: err, Hint: "check the kubeconfig"}
	}
	if !spaceName.MatchString(namespace) {
		return fail(fmt.Errorf("%q is not the name of a namespace", shorten(namespace, 80)))
	}
	l := &Launcher{namespace: namespace, options: options, host: hostOf(config.Host), secrets: &secrets{}}
	l.defaults()
	config = dynamic.ConfigFor(config)
	config.GroupVersion, config.APIPath = nil, "/"
	if config.QPS == 0 {
		config.QPS, config.Burst = 20, 40
	}
	config.WarningHandlerWithContext = warnings{l}
	l.secrets.keep(config.BearerToken, config.Password)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &transport{next, l.secrets} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fail(errors.New(l.why(err)))
	}
	r, err := rest.UnversionedRESTClientForConfigAndClient(config, client)
	if err != nil {
		return fail(errors.New(l.why(err)))
	}
	l.rest, l.dynamic = r, dynamic.New(r)
	return l, nil
}

func (l *Launcher) defaults() {
	for _, d := range []struct {
		at    *time.Duration
		usual time.Duration
	}{{&l.options.Grace, time.Minute}, {&l.options.Settle, 15 * time.Second}, {&l.options.Pull, 30 * time.Second}, {&l.options.Stuck, time.Minute}, {&l.options.Poll, 5 * time.Minute},
		{&l.options.Patience, 15 * time.Minute}, {&l.options.Timeout, 30 * time.Second}} {
		if *d.at <= 0 {
			*d.at = d.usual
		}
	}
}

// Name is "kubernetes".
func (l *Launcher) Name() string { return Name }

func (l *Launcher) warn(format string, args ...any) {
	if l.options.Warn == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.options.Warn(l.secrets.hide(fmt.Sprintf(format, args...)))
}

// warnings passes on what the server says of a request: a field that it does not know, a version that it will drop.
type warnings struct{ l *Launcher }

// HandleWarningHeaderWithContext is called for each Warning header.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if code != 299 || text == "" {
		return
	}
	if _, known := w.l.warned.LoadOrStore(text, true); !known {
		w.l.warn("the cluster says: %s", clean(text, 300))
	}
}

// resource is how the server calls a kind.
type resource struct {
	apischema.GroupVersionResource
	namespaced bool
}

// quick bounds a request that no webhook stands behind.
const quick = 10 * time.Second

// get reads one small answer.
func (l *Launcher) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, min(l.options.Timeout, quick))
	defer cancel()
	body, err := l.rest.Get().AbsPath(path).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	const most = 8 << 20
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && len(data) > most {
		err = errors.New("its answer is too long")
	}
	return data, err
}

// find looks up the resource of a kind. An error about a kind that the cluster does not have is of kind Invalid.
func (l *Launcher) find(ctx context.Context, kind apischema.GroupVersionKind) (resource, error) {
	gv := kind.GroupVersion()
	if have, ok := l.resources.Load(gv); ok {
		return l.pick(kind, have.([]metav1.APIResource))
	}
	path := "/apis/" + kind.Group + "/" + kind.Version
	if kind.Group == "" {
		path = "/api/" + kind.Version
	}
	data, err := l.get(ctx, path)
	if isNotFound(err) {
		return resource{}, l.unknownKind(kind)
	}
	if err != nil {
		return resource{}, l.failed(ctx, "say what "+gv.String()+" has", err)
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(data, &list); err != nil || list.Kind != "APIResourceList" {
		return resource{}, l.failed(ctx, "say what "+gv.String()+" has", errNoAPI)
	}
	l.resources.Store(gv, list.APIResources)
	return l.pick(kind, list.APIResources)
}

func (l *Launcher) pick(kind apischema.GroupVersionKind, all []metav1.APIResource) (resource, error) {
	for _, r := range all {
		if r.Kind == kind.Kind && !strings.Contains(r.Name, "/") && groupName.MatchString(r.Name) {
			return resource{kind.GroupVersion().WithResource(r.Name), r.Namespaced}, nil
		}
	}
	return resource{}, l.unknownKind(kind)
}

func (l *Launcher) unknownKind(kind apischema.GroupVersionKind) error {
	return &schema.Error{Op: op, Kind: schema.Invalid, Subject: "cluster " + l.host, Err: unknownKind(kind),
		Hint: "install the operator that defines it, or name another cluster with --context"}
}

var errNoAPI = errors.New("its answer is not one of a Kubernetes API server")

// maxHost bounds what stands for a cluster in a message or a record.
const maxHost = 400

// hostOf gives the host and the path of a server's URL, and no user, query or fragment: those may hold a credential.
func hostOf(server string) string {
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		return clean(strings.TrimRight(u.Host+u.EscapedPath(), "/"), maxHost)
	}
	return "unknown"
}
