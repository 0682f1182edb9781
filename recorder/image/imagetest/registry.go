package imagetest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is a registry in this process. Its methods may be called while it is being asked.
type Registry struct {
	Host string // 127.0.0.1:port

	server *httptest.Server
	inner  http.Handler // without faults
	stop   chan struct{}

	mu       sync.Mutex
	requests []string
	faults   []*fault
	auth     *auth
}

// Start starts a registry. Close it.
func Start() *Registry {
	r := &Registry{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0))), stop: make(chan struct{})}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that tries https first is no news
	r.server.Start()
	r.Host = strings.TrimPrefix(r.server.URL, "http://")
	return r
}

// Close stops the registry and lets go of requests that hang.
func (r *Registry) Close() {
	r.mu.Lock()
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
	r.mu.Unlock()
	r.server.CloseClientConnections()
	r.server.Close()
}

// Ref gives the reference HOST/repo:tag, or HOST/repo@digest for a digest, or HOST/repo for "".
func (r *Registry) Ref(repo, tagOrDigest string) string {
	switch {
	case tagOrDigest == "":
		return r.Host + "/" + repo
	case strings.Contains(tagOrDigest, ":"):
		return r.Host + "/" + repo + "@" + tagOrDigest
	}
	return r.Host + "/" + repo + ":" + tagOrDigest
}

func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	var do Do
	for _, f := range r.faults {
		if f.matches(req) {
			do = f.Do
			break
		}
	}
	a := r.auth
	r.mu.Unlock()
	next := r.inner
	if a != nil {
		next = a.guard(next)
	}
	if do != nil {
		do(w, req, next)
		return
	}
	next.ServeHTTP(w, req)
}

// Requests lists what was asked since the last Forget, as "HEAD /v2/team/trainer/manifests/1.4".
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.requests...)
}

// Count counts the requests since the last Forget by method ("" for any) and by a part of their path.
func (r *Registry) Count(method, path string) int {
	n := 0
	for _, line := range r.Requests() {
		m, p, _ := strings.Cut(line, " ")
		if (method == "" || m == method) && strings.Contains(p, path) {
			n++
		}
	}
	return n
}

// Forget sets the counts to zero.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = nil
}
