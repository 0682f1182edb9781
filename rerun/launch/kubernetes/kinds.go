package kubernetes

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// row says how the end of one kind of job is told.
type row struct {
	group, name string
	refuse      string   // why a job of this kind cannot be followed to its end
	pods        string   // the label under which its pods carry its name; "" where no controller promises one
	word        string   // the field that says how it stands; "" when conditions do
	good, bad   []string // words, or the types of conditions that are True, with which it has ended
	no          string   // a condition that means failure when it is False
	and         string   // a second word, which can turn a good end into a bad one
	andGood     string   // what it says at a good end
	waits       []string // words or conditions with which it waits for somebody
	why         []string // fields that hold a sentence, for words
}

const (
	never = "never ends, so there is no end to follow it to"
	clock = "starts jobs by the clock, and is none itself"

	jobLabel      = "job-name" // every version of the Job controller writes it, with and without batch.kubernetes.io/ before it
	jobSetLabel   = "jobset.sigs.k8s.io/jobset-name"
	kubeflowLabel = "training.kubeflow.org/job-name"
)

// kinds are the kinds whose end is known. The words and conditions are those of each project's API types.
var kinds = []row{
	{group: "", name: "Pod", word: "phase", good: []string{"Succeeded"}, bad: []string{"Failed"}, why: []string{"message", "reason"}},
	{group: "batch", name: "Job", pods: jobLabel, good: []string{"Complete"}, bad: []string{"Failed"}, waits: []string{"Suspended"}},
	{group: "jobset.x-k8s.io", name: "JobSet", pods: jobSetLabel, good: []string{"Completed"}, bad: []string{"Failed"}, waits: []string{"Suspended"}},
	{group: "trainer.kubeflow.org", name: "TrainJob", pods: jobSetLabel, good: []string{"Complete"}, bad: []string{"Failed"}, waits: []string{"Suspended"}},
	kubeflow("PyTorchJob", kubeflowLabel), kubeflow("TFJob", kubeflowLabel), kubeflow("XGBoostJob", kubeflowLabel), kubeflow("PaddleJob", kubeflowLabel), kubeflow("MXJob", kubeflowLabel),
	kubeflow("JAXJob", kubeflowLabel), kubeflow("MPIJob", ""), // its own operator used another label
	{group: "ray.io", name: "RayJob", word: "jobDeploymentStatus", good: []string{"Complete"}, bad: []string{"Failed", "ValidationFailed"}, and: "jobStatus", andGood: "SUCCEEDED",
		waits: []string{"Suspended"}, why: []string{"message", "reason"}},
	{group: "argoproj.io", name: "Workflow", pods: "workflows.argoproj.io/workflow", word: "phase", good: []string{"Succeeded"}, bad: []string{"Failed", "Error"}, why: []string{"message"}},
	{group: "batch.volcano.sh", name: "Job", pods: "volcano.sh/job-name", word: "state.phase", good: []string{"Completed"}, bad: []string{"Failed", "Aborted", "Terminated"},
		why: []string{"state.message", "state.reason"}},
	{group: "tekton.dev", name: "TaskRun", pods: "tekton.dev/taskRun", good: []string{"Succeeded"}, no: "Succeeded"},
	{group: "tekton.dev", name: "PipelineRun", pods: "tekton.dev/pipelineRun", good: []string{"Succeeded"}, no: "Succeeded"},
	{group: "sparkoperator.k8s.io", name: "SparkApplication", pods: "sparkoperator.k8s.io/app-name", word: "applicationState.state", good: []string{"COMPLETED"}, bad: []string{"FAILED"},
		why: []string{"applicationState.errorMessage"}},

	{group: "batch", name: "CronJob", refuse: clock},
	{group: "argoproj.io", name: "CronWorkflow", refuse: clock},
	{group: "ray.io", name: "RayCronJob", refuse: clock},
	{group: "sparkoperator.k8s.io", name: "ScheduledSparkApplication", refuse: clock},
	{group: "apps", name: "Deployment", refuse: never},
	{group: "apps", name: "StatefulSet", refuse: never},
	{group: "apps", name: "DaemonSet", refuse: never},
	{group: "apps", name: "ReplicaSet", refuse: never},
	{group: "", name: "ReplicationController", refuse: never},
	{group: "leaderworkerset.x-k8s.io", name: "LeaderWorkerSet", refuse: never},
	{group: "ray.io", name: "RayCluster", refuse: never},
	{group: "ray.io", name: "RayService", refuse: never},
}

func kubeflow(name, label string) row {
	return row{group: "kubeflow.org", name: name, pods: label, good: []string{"Succeeded"}, bad: []string{"Failed"}, waits: []string{"Suspended"}}
}

// rowOf gives the row of a kind, or nil.
func rowOf(group, name string) *row {
	for i := range kinds {
		if kinds[i].group == group && kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// state is how a job stands.
type state struct {
	ended, failed bool
	waits         bool // it is suspended
	why           string
}

// read finds how the job stands. What says nothing has not ended.
func (r *row) read(object map[string]any) (s state) {
	if r.word == "" {
		return r.conditions(object)
	}
	word := text(object, "status."+r.word)
	s.waits = slices.Contains(r.waits, word)
	s.failed = slices.Contains(r.bad, word)
	s.ended = s.failed || slices.Contains(r.good, word)
	if s.ended && !s.failed && r.and != "" {
		if second := text(object, "status."+r.and); second != r.andGood {
			s.failed, s.why = true, clean(second, 80)
		}
	}
	if s.failed {
		for _, path := range r.why {
			if why := clean(text(object, "status."+path), 300); why != "" {
				s.why = why
				break
			}
		}
	}
	return s
}

func (r *row) conditions(object map[string]any) (s state) {
	list, _, _ := unstructured.NestedSlice(object, "status", "conditions")
	good := false
	for _, c := range list {
		c, ok := c.(map[string]any)
		if !ok {
			continue
		}
		kind, status := text(c, "type"), text(c, "status")
		switch {
		case status == "True" && slices.Contains(r.bad, kind), status == "False" && r.no == kind && kind != "":
			s.ended, s.failed = true, true
			s.why = strings.TrimPrefix(clean(text(c, "reason"), 80)+": "+clean(text(c, "message"), 300), ": ")
			s.why = strings.TrimSuffix(s.why, ": ")
		case status == "True" && slices.Contains(r.good, kind):
			good = true
		case status == "True" && slices.Contains(r.waits, kind):
			s.waits = true
		}
	}
	if good && !s.failed {
		s.ended = true
	}
	s.waits = s.waits && !s.ended
	return s
}

// text gives the text at a path of keys joined by dots, or "".
func text(object map[string]any, path string) string {
	s, _, _ := unstructured.NestedString(object, strings.Split(path, ".")...)
	return s
}

// clean makes what a cluster says fit for a message: one line, printable, at most n bytes.
func clean(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > n {
		s = shorten(s, n) + "…"
	}
	return s
}
