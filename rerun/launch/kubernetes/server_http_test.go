package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

// serve answers for objects: path is the resource, and a name and subresource where there are.
func (c *cluster) serve(w http.ResponseWriter, r *http.Request, gv, namespace string, path []string) {
	i := slices.IndexFunc(apis[gv], func(a object) bool { return a["name"] == path[0] })
	if i < 0 || namespace == "missing" {
		refuse(w, 404, "NotFound", `namespaces "missing" not found`)
		return
	}
	resource, kind := path[0], apis[gv][i]["kind"].(string)
	switch {
	case len(path) == 3 && path[2] == "log":
		c.serveLog(w, r, path[1])
	case len(path) == 1 && r.Method == http.MethodPost:
		c.create(w, r, gv, kind, resource, namespace)
	case len(path) == 1 && r.URL.Query().Get("watch") != "":
		c.serveWatch(w, r, resource, namespace)
	case len(path) == 1:
		c.serveList(w, r, gv, kind, resource, namespace)
	case r.Method == http.MethodDelete:
		c.remove(w, r, resource, namespace, path[1])
	default:
		c.mu.Lock()
		o, ok := c.objects[key(resource, namespace, path[1])]
		c.mu.Unlock()
		if !ok {
			refuse(w, 404, "NotFound", fmt.Sprintf("%s %q not found", resource, path[1]))
			return
		}
		reply(w, o)
	}
}

// typed decodes what the API has types for, and refuses what they do not have.
func typed(gv, kind string, data []byte) error {
	var into any
	switch gv + " " + kind {
	case "v1 Pod":
		into = &corev1.Pod{}
	case "v1 ConfigMap":
		into = &corev1.ConfigMap{}
	case "v1 Secret":
		into = &corev1.Secret{}
	case "v1 Service":
		into = &corev1.Service{}
	case "batch/v1 Job":
		into = &batchv1.Job{}
	case "rbac.authorization.k8s.io/v1 Role":
		into = &rbacv1.Role{}
	default:
		return nil
	}
	return yaml.UnmarshalStrict(data, into)
}

func (c *cluster) create(w http.ResponseWriter, r *http.Request, gv, kind, resource, namespace string) {
	data, _ := io.ReadAll(r.Body)
	var o object
	if err := json.Unmarshal(data, &o); err != nil || o["kind"] != kind || o["apiVersion"] != gv {
		refuse(w, 400, "BadRequest", "it is not of that kind")
		return
	}
	if err := typed(gv, kind, data); err != nil {
		refuse(w, 422, "Invalid", "strict decoding error: "+err.Error())
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	meta := o["metadata"].(object)
	if meta["name"] == nil || meta["name"] == "" {
		meta["name"] = fmt.Sprintf("%vx%d", meta["generateName"], c.version)
	}
	meta["namespace"], meta["creationTimestamp"] = namespace, "2026-11-23T18:00:00Z"
	if _, ok := c.objects[key(resource, namespace, meta["name"].(string))]; ok {
		refuse(w, 409, "AlreadyExists", fmt.Sprintf("%s %q already exists", resource, meta["name"]))
		return
	}
	o = c.store(resource, o)
	if c.created != nil {
		c.created(resource, o)
	}
	reply(w, o)
}

func (c *cluster) remove(w http.ResponseWriter, r *http.Request, resource, namespace, name string) {
	var options struct {
		Preconditions struct{ UID string }
		Propagation   string `json:"propagationPolicy"`
	}
	_ = json.NewDecoder(r.Body).Decode(&options)
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key(resource, namespace, name)
	o, ok := c.objects[k]
	if !ok {
		refuse(w, 404, "NotFound", "not found")
		return
	}
	if uid := options.Preconditions.UID; uid != o["metadata"].(object)["uid"] {
		refuse(w, 409, "Conflict", "the UID in the precondition does not match")
		return
	}
	c.asked = append(c.asked, "PROPAGATION "+options.Propagation+" "+k)
	if c.deleted != nil {
		c.deleted(resource, name, o)
	} else {
		c.forget(k)
	}
	reply(w, object{"kind": "Status", "apiVersion": "v1", "status": "Success"})
}

func matches(r *http.Request, namespace string, o object) bool {
	meta := o["metadata"].(object)
	if namespace != "" && meta["namespace"] != namespace {
		return false
	}
	if f := r.URL.Query().Get("fieldSelector"); f != "" && f != fmt.Sprintf("metadata.name=%v", meta["name"]) {
		return false
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return false
	}
	set := labels.Set{}
	have, _ := meta["labels"].(object)
	for k, v := range have {
		set[k] = fmt.Sprint(v)
	}
	return selector.Matches(set)
}

func (c *cluster) serveList(w http.ResponseWriter, r *http.Request, gv, kind, resource, namespace string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	items := []object{}
	for _, k := range c.order {
		if o := c.objects[k]; strings.HasPrefix(k, resource+"/") && matches(r, namespace, o) {
			o = copyOf(o)
			if !strings.Contains(gv, ".") { // as a server writes lists of its own kinds
				delete(o, "kind")
				delete(o, "apiVersion")
			}
			items = append(items, o)
		}
	}
	reply(w, object{"kind": kind + "List", "apiVersion": gv, "metadata": object{"resourceVersion": fmt.Sprint(c.version)}, "items": items})
}

func (c *cluster) serveWatch(w http.ResponseWriter, r *http.Request, resource, namespace string) {
	from := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("resourceVersion"), &from)
	go func() { // wakes the wait below when the client goes away
		<-r.Context().Done()
		c.mu.Lock()
		c.changed.Broadcast()
		c.mu.Unlock()
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if from < c.oldest {
		refuse(w, 410, "Expired", "too old resource version")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.(http.Flusher).Flush()
	for next := 0; !c.closed && r.Context().Err() == nil; {
		if next == len(c.history) {
			c.changed.Wait()
			continue
		}
		e := c.history[next]
		next++
		if e.version <= from || e.resource != resource || !matches(r, namespace, e.object) {
			continue
		}
		_ = json.NewEncoder(w).Encode(object{"type": e.kind, "object": e.object})
		w.(http.Flusher).Flush()
		if c.drops > 0 {
			c.drops--
			return
		}
	}
}

func (c *cluster) serveLog(w http.ResponseWriter, r *http.Request, pod string) {
	q := r.URL.Query()
	go func() {
		<-r.Context().Done()
		c.mu.Lock()
		c.changed.Broadcast()
		c.mu.Unlock()
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.log(pod)
	since := q.Get("sinceTime")
	l.since = append(l.since, since)
	if q.Get("timestamps") != "true" || q.Get("container") == "" {
		refuse(w, 400, "BadRequest", "the test wants timestamps of a container")
		return
	}
	w.(http.Flusher).Flush()
	for next := 0; !c.closed && r.Context().Err() == nil; {
		if next == len(l.lines) {
			if l.ended || q.Get("follow") != "true" {
				return
			}
			c.changed.Wait()
			continue
		}
		line := l.lines[next]
		next++
		if since != "" && line[:19] < since[:19] {
			continue
		}
		_, _ = io.WriteString(w, line)
		w.(http.Flusher).Flush()
		if l.cuts[next] {
			delete(l.cuts, next)
			return
		}
	}
}
