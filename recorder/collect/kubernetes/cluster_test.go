package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	record "github.com/runpin/runpin/schema"
)

const runA = "01JDABCDEFGHJKMNPQRSTVWXYZ"

// apiServer speaks as much of the API as a client of pods needs.
type apiServer struct {
	mu       sync.Mutex
	pods     []string // names, each stamped; in pages
	refuse   int      // status of every answer
	expire   int      // how many continue tokens are too old
	streams  [][]string
	lists    int
	watches  []string // the resource versions asked for
	anything []string // methods other than GET
}

func podJSON(name, phase, version string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":"ml","resourceVersion":%q,"annotations":{"runpin.dev/run":%q}},"status":{"phase":%q}}`, name, version, runA, phase)
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	status := func(code int, reason string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"as the test asked","reason":%q,"code":%d}`, reason, code)
	}
	if r.Method != http.MethodGet {
		a.anything = append(a.anything, r.Method)
	}
	q := r.URL.Query()
	switch {
	case a.refuse == http.StatusUnauthorized:
		status(a.refuse, "Unauthorized")
	case a.refuse != 0:
		status(a.refuse, "InternalError")
	case q.Get("watch") == "true" || q.Get("watch") == "1":
		a.watches = append(a.watches, q.Get("resourceVersion"))
		if len(a.streams) == 0 {
			w.(http.Flusher).Flush()
			a.mu.Unlock()
			<-r.Context().Done()
			a.mu.Lock()
			return
		}
		events := a.streams[0]
		a.streams = a.streams[1:]
		for _, e := range events {
			fmt.Fprintln(w, e)
		}
		w.(http.Flusher).Flush()
	default:
		a.lists++
		from := 0
		if token := q.Get("continue"); token != "" {
			if a.expire > 0 {
				a.expire--
				status(http.StatusGone, "Expired")
				return
			}
			fmt.Sscanf(token, "at-%d", &from)
		}
		limit := len(a.pods)
		fmt.Sscanf(q.Get("limit"), "%d", &limit)
		to := min(from+limit, len(a.pods))
		var items []json.RawMessage
		for _, p := range a.pods[from:to] {
			items = append(items, json.RawMessage(podJSON(p, "Running", "5")))
		}
		items = append(items, json.RawMessage(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"stranger"}}`))
		next := ""
		if to < len(a.pods) {
			next = fmt.Sprintf("at-%d", to)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "PodList", "apiVersion": "v1", "metadata": map[string]string{"resourceVersion": "100", "continue": next}, "items": items})
	}
}

func newCluster(t *testing.T, a *apiServer) *Client {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{"token":"t"}}],
"contexts":[{"name":"x","context":{"cluster":"c","user":"u","namespace":"ml"}}],"current-context":"x"}`, server.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Kubeconfig: file, Page: 2, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if c.namespace != "ml" {
		t.Fatalf("namespace %q, want the context's", c.namespace)
	}
	return c
}

func TestListPages(t *testing.T) {
	a := &apiServer{pods: []string{"a", "b", "c", "d", "e"}, expire: 1}
	c := newCluster(t, a)
	seen := map[string]int{}
	version, err := c.List(t.Context(), func(p Pod) { seen[p.Metadata.Name]++ })
	if err != nil || version != "100" {
		t.Fatalf("version %q, %v", version, err)
	}
	for _, name := range a.pods {
		if seen[name] == 0 {
			t.Errorf("pod %s was not seen", name)
		}
	}
	if seen["stranger"] != 0 {
		t.Error("a pod of no run was given")
	}
	if a.lists != 5 || len(a.anything) > 0 {
		t.Errorf("%d lists, want 5 (one page, one too old, then all three); other methods %v", a.lists, a.anything)
	}
}

func TestListRefused(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		c := newCluster(t, &apiServer{refuse: code})
		if _, err := c.List(t.Context(), func(Pod) {}); !record.IsKind(err, record.Unavailable) {
			t.Errorf("%d: %v", code, err)
		}
	}
	if _, err := New(Options{Kubeconfig: filepath.Join(t.TempDir(), "none")}); !record.IsKind(err, record.Invalid) {
		t.Errorf("no kubeconfig: %v", err)
	}
}

// TestWatch: events are told, a connection that ends goes on from the last version, and one that lost its place lists again.
func TestWatch(t *testing.T) {
	event := func(kind, object string) string { return fmt.Sprintf(`{"type":%q,"object":%s}`, kind, object) }
	a := &apiServer{pods: []string{"a"}, streams: [][]string{
		{event("ADDED", podJSON("b", "Running", "101")), event("BOOKMARK", `{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"150"}}`),
			event("ERROR", `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`)},
		{event("DELETED", podJSON("b", "Succeeded", "160")), event("ADDED", `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"stranger","resourceVersion":"161"}}`)},
	}}
	c := newCluster(t, a)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var told []string
	done := make(chan struct{})
	events := make(chan string, 100)
	go func() {
		defer close(done)
		c.Watch(ctx, Watching{Resync: time.Hour, First: time.Millisecond, Longest: 2 * time.Millisecond,
			Failed: func(error) { events <- "failed" }, Listed: func(p []Pod) { events <- fmt.Sprintf("listed %d", len(p)) },
			Changed: func(p Pod, deleted bool) { events <- fmt.Sprintf("%s %v", p.Metadata.Name, deleted) }})
	}()
	// The second stream hangs up at once, which is a failure: everything is listed a third time.
	want := []string{"listed 1", "b false", "listed 1", "b true", "failed", "listed 1"}
	for len(told) < len(want) {
		select {
		case e := <-events:
			told = append(told, e)
		case <-done:
			t.Fatalf("the watch ended after %v", told)
		}
	}
	stop()
	<-done
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := strings.Join(a.watches[:2], " "); got != "100 100" {
		t.Errorf("watches began at %s", got)
	}
}

// TestRealCluster lists the pods of a real API server, when RUNPIN_TEST_KUBECONFIG names one.
func TestRealCluster(t *testing.T) {
	file := os.Getenv("RUNPIN_TEST_KUBECONFIG")
	if file == "" {
		t.Skip("RUNPIN_TEST_KUBECONFIG names no cluster")
	}
	c, err := New(Options{Kubeconfig: file, All: true, Page: 2})
	if err != nil {
		t.Fatal(err)
	}
	version, err := c.List(t.Context(), func(Pod) {})
	if err != nil || version == "" {
		t.Fatalf("version %q, %v", version, err)
	}
}
