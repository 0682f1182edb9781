package kubernetes

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/runpin/runpin/schema"
)

// pod is what is read of a pod.
type pod struct {
	Metadata struct {
		Name        string            `json:"name"`
		UID         string            `json:"uid"`
		Deleted     string            `json:"deletionTimestamp"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		Owners      []struct {
			UID string `json:"uid"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		Containers []container `json:"containers"`
		Inits      []container `json:"initContainers"`
		Grace      *int64      `json:"terminationGracePeriodSeconds"`
	} `json:"spec"`
	Status struct {
		Phase      string      `json:"phase"`
		Reason     string      `json:"reason"`
		Message    string      `json:"message"`
		Containers []runtimeOf `json:"containerStatuses"`
		Inits      []runtimeOf `json:"initContainerStatuses"`
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	Env   []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"env"`
}

// runtimeOf is what the runtime tells of a container.
type runtimeOf struct {
	Name     string `json:"name"`
	ImageID  string `json:"imageID"`
	Restarts int    `json:"restartCount"`
	State    struct {
		Waiting *struct {
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"waiting"`
		Running    *struct{}   `json:"running"`
		Terminated *terminated `json:"terminated"`
	} `json:"state"`
	Last struct {
		Terminated *terminated `json:"terminated"`
	} `json:"lastState"`
}

type terminated struct {
	ExitCode int    `json:"exitCode"`
	Signal   int    `json:"signal"`
	Reason   string `json:"reason"`
	Finished string `json:"finishedAt"`
}

// readPod reads a pod of the API. ok is false for what cannot be one: its name becomes part of a URL.
func readPod(u *unstructured.Unstructured) (p *pod, ok bool) {
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return nil, false
	}
	p = &pod{}
	if json.Unmarshal(raw, p) != nil || !objectName.MatchString(p.Metadata.Name) {
		return nil, false
	}
	return p, true
}

// podsOf says where the pods of a job are looked for. Where its controller gives them no label with its name, that is the whole namespace.
func (l *Launcher) podsOf(h handle, row *row) (dynamic.ResourceInterface, metav1.ListOptions) {
	at := l.dynamic.Resource(apischema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(h.namespace)
	switch {
	case row.name == "Pod":
		return at, metav1.ListOptions{FieldSelector: "metadata.name=" + h.objects[0].name}
	case row.pods != "" && len(h.objects[0].name) <= 63:
		return at, metav1.ListOptions{LabelSelector: row.pods + "=" + h.objects[0].name}
	}
	return at, metav1.ListOptions{}
}

// of reports whether the pod is one of the run's job. Another run's stamp speaks against it, and where no label says whose it is, only the run's own speaks for it.
func (p *pod) of(h handle, row *row) bool {
	run := p.run()
	switch {
	case run != "":
		return run == h.run
	case row.name == "Pod":
		return p.Metadata.Name == h.objects[0].name
	}
	return row.pods != "" && p.Metadata.Labels[row.pods] == h.objects[0].name
}

// run gives the run that the pod is stamped with, "" for none.
func (p *pod) run() schema.RunID {
	for _, s := range []string{p.Metadata.Annotations[stamp], p.Metadata.Labels[stamp]} {
		if id, err := schema.ParseRunID(s); err == nil {
			return id
		}
	}
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.Inits) {
		for _, e := range c.Env {
			if id, err := schema.ParseRunID(e.Value); e.Name == stampVariable && err == nil {
				return id
			}
		}
	}
	return ""
}

func (p *pod) ended() bool { return p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" }

// main names the container that a pod is there for, as kubectl does when none is named, but that Argo puts its own before the one that it calls main.
func (p *pod) main() string {
	name := p.Metadata.Annotations["kubectl.kubernetes.io/default-container"]
	if slices.ContainsFunc(p.Spec.Containers, func(c container) bool { return c.Name == name }) {
		return name
	}
	for _, c := range p.Spec.Containers {
		if c.Name == "main" {
			return c.Name
		}
	}
	if len(p.Spec.Containers) > 0 {
		return p.Spec.Containers[0].Name
	}
	return ""
}

// status is what the runtime tells of a regular container, or nil.
func (p *pod) status(name string) *runtimeOf {
	for i := range p.Status.Containers {
		if p.Status.Containers[i].Name == name {
			return &p.Status.Containers[i]
		}
	}
	return nil
}

// role tells which pods of a job are tries of the same work.
func (p *pod) role() string {
	var parts []string
	for _, o := range p.Metadata.Owners {
		parts = append(parts, o.UID)
	}
	if len(parts) == 0 {
		parts = append(parts, p.Metadata.Name)
	}
	for _, label := range []string{"batch.kubernetes.io/job-completion-index", "training.kubeflow.org/replica-type", "training.kubeflow.org/replica-index",
		"volcano.sh/task-spec", "volcano.sh/task-index"} {
		parts = append(parts, p.Metadata.Annotations[label]+p.Metadata.Labels[label])
	}
	return strings.Join(parts, "/")
}

// signals are Linux's names of the signals that end a process.
var signals = map[int]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV",
	12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ"}

func signalName(n int) string {
	if name, ok := signals[n]; ok {
		return name
	}
	return "SIG" + strconv.Itoa(n)
}
