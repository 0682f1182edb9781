package kubernetes

import (
	"regexp"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/schema"
)

// Pod is what is read of a pod: of the API's object the fields that say what ran.
type Pod struct {
	Kind     string   `json:"kind"`
	Metadata Metadata `json:"metadata"`
	Spec     Spec     `json:"spec"`
	Status   Status   `json:"status"`
}

// Metadata of a pod.
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	UID         string            `json:"uid"`
	Created     string            `json:"creationTimestamp"`
	Deleted     string            `json:"deletionTimestamp"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Owners      []struct {
		UID  string `json:"uid"`
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"ownerReferences"`
}

// Spec of a pod.
type Spec struct {
	NodeName   string            `json:"nodeName"`
	Selector   map[string]string `json:"nodeSelector"`
	Containers []SpecContainer   `json:"containers"`
	Inits      []SpecContainer   `json:"initContainers"`
	Ephemeral  []SpecContainer   `json:"ephemeralContainers"`
}

// SpecContainer is a container as the pod's spec asks for it.
type SpecContainer struct {
	Name          string `json:"name"`
	Image         string `json:"image"`
	RestartPolicy string `json:"restartPolicy"`
	Env           []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"env"`
}

// Status of a pod.
type Status struct {
	Phase      string            `json:"phase"`
	Reason     string            `json:"reason"`
	Started    string            `json:"startTime"`
	Containers []ContainerStatus `json:"containerStatuses"`
	Inits      []ContainerStatus `json:"initContainerStatuses"`
	Ephemeral  []ContainerStatus `json:"ephemeralContainerStatuses"`
	Conditions []struct {
		Type    string `json:"type"`
		Status  string `json:"status"`
		Reason  string `json:"reason"`
		Changed string `json:"lastTransitionTime"`
	} `json:"conditions"`
}

// ContainerStatus is what the runtime tells of a container.
type ContainerStatus struct {
	Name     string `json:"name"`
	Image    string `json:"image"`
	ImageID  string `json:"imageID"`
	Restarts int    `json:"restartCount"`
	State    State  `json:"state"`
	Last     State  `json:"lastState"`
}

// State of a container: at most one is set.
type State struct {
	Running *struct {
		Started string `json:"startedAt"`
	} `json:"running"`
	Terminated *Terminated `json:"terminated"`
}

// Terminated says how a container ended.
type Terminated struct {
	ExitCode int    `json:"exitCode"`
	Signal   int    `json:"signal"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	Started  string `json:"startedAt"`
	Finished string `json:"finishedAt"`
}

// RunAnnotation names the run that a pod belongs to: the stamp of a pinned spec.
const RunAnnotation = "runpin.dev/run"

// RunVariable is the variable that the same stamp sets.
const RunVariable = "RUNPIN_RUN_ID"

// Run gives the run that the pod is stamped with: by annotation or label, else by the variable of a container.
func (p *Pod) Run() schema.RunID {
	for _, s := range []string{p.Metadata.Annotations[RunAnnotation], p.Metadata.Labels[RunAnnotation]} {
		if id, err := schema.ParseRunID(s); err == nil {
			return id
		}
	}
	for _, c := range append(append([]SpecContainer{}, p.Spec.Containers...), p.Spec.Inits...) {
		for _, e := range c.Env {
			if id, err := schema.ParseRunID(e.Value); e.Name == RunVariable && err == nil {
				return id
			}
		}
	}
	return ""
}

var podName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// named reports whether the pod can be one: an API server takes no other names.
func (p *Pod) named() bool {
	return podName.MatchString(p.Metadata.Name) && (p.Spec.NodeName == "" || podName.MatchString(p.Spec.NodeName))
}

func moment(s string) schema.Time {
	if s == "" {
		return schema.Time{}
	}
	t, err := schema.ParseTime(s)
	if err != nil {
		return schema.Time{}
	}
	return t
}

// role tells which pods of a run can stand in for each other.
func (p *Pod) role() string {
	role := p.Metadata.Namespace
	for _, o := range p.Metadata.Owners {
		role += "/" + o.UID
	}
	if node, ok := p.Metadata.Annotations["workflows.argoproj.io/node-name"]; ok { // "train.step(1)" is another try of "train.step(0)"
		role += "/" + argoTry.ReplaceAllString(node, "")
	} else if len(p.Metadata.Owners) == 0 {
		role += "/" + p.Metadata.Name
	}
	if t := p.replicaType(); t != "" {
		role += "/" + t
	}
	return role
}

var argoTry = regexp.MustCompile(`\([0-9]+(:[^)]*)?\)$`)

// replicaType is the part that a pod plays in a job of Kubeflow, as its spec calls it: Master, Worker, Launcher.
func (p *Pod) replicaType() string {
	for _, k := range []string{"training.kubeflow.org/replica-type", "replica-type"} {
		if t := collect.PlainWord(p.Metadata.Labels[k]); t != "" {
			return t
		}
	}
	return ""
}
