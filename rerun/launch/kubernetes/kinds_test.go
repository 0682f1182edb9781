package kubernetes

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func unstructuredOf(o object) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: o}
}

// How each kind says how it stands: nothing yet, running, waiting, and each way to end.
func TestKinds(t *testing.T) {
	type stands struct {
		status string
		want   state
	}
	conditions := func(good, bad string) []stands {
		return []stands{
			{"conditions: [{type: Created, status: \"True\"}, {type: Running, status: \"True\"}]", state{}},
			{"conditions: [{type: Suspended, status: \"True\"}]", state{waits: true}},
			{"conditions: [{type: Suspended, status: \"False\"}, {type: " + good + ", status: \"False\"}]", state{}},
			{"conditions: [{type: " + good + ", status: \"True\", reason: R, message: M}]", state{ended: true}},
			{"conditions: [{type: " + bad + ", status: \"True\", reason: R, message: \"M\\nN\"}, {type: Suspended, status: \"True\"}]", state{ended: true, failed: true, why: "R: M N"}},
			{"conditions: [{type: " + bad + ", status: \"True\"}]", state{ended: true, failed: true}},
			{"conditions: [7, {type: [x]}]", state{}},
			{"conditions: nonsense", state{}},
		}
	}
	job := append(conditions("Complete", "Failed"),
		stands{"conditions: [{type: SuccessCriteriaMet, status: \"True\"}, {type: Complete, status: \"True\"}]\nsucceeded: 1", state{ended: true}},
		stands{"conditions: [{type: FailureTarget, status: \"True\", reason: PodFailurePolicy}]\nfailed: 1", state{}},
		stands{"conditions: [{type: FailureTarget, status: \"True\"}, {type: Failed, status: \"True\", reason: DeadlineExceeded, message: Job was active longer than specified deadline}]",
			state{ended: true, failed: true, why: "DeadlineExceeded: Job was active longer than specified deadline"}})
	tekton := []stands{
		{"conditions: [{type: Succeeded, status: Unknown, reason: Running}]", state{}},
		{"conditions: [{type: Succeeded, status: \"True\", reason: Completed}]", state{ended: true}},
		{"conditions: [{type: Succeeded, status: \"False\", reason: TaskRunTimeout, message: too long}]", state{ended: true, failed: true, why: "TaskRunTimeout: too long"}},
	}
	told := map[string][]stands{
		"/Pod": {{"phase: Pending", state{}}, {"phase: Running", state{}}, {"phase: Succeeded", state{ended: true}}, {"phase: Failed\nreason: Evicted\nmessage: low on memory", state{ended: true, failed: true, why: "low on memory"}},
			{"phase: Failed\nreason: Evicted", state{ended: true, failed: true, why: "Evicted"}}, {"phase: Unknown", state{}}, {"phase: [Succeeded]", state{}}},
		"batch/Job": job, "jobset.x-k8s.io/JobSet": conditions("Completed", "Failed"), "trainer.kubeflow.org/TrainJob": conditions("Complete", "Failed"),
		"ray.io/RayJob": {
			{"jobDeploymentStatus: Initializing", state{}}, {"jobDeploymentStatus: Running\njobStatus: RUNNING", state{}}, {"jobDeploymentStatus: Retrying\njobStatus: FAILED", state{}},
			{"jobDeploymentStatus: Suspended", state{waits: true}}, {"jobDeploymentStatus: Complete\njobStatus: SUCCEEDED", state{ended: true}},
			{"jobDeploymentStatus: Complete\njobStatus: STOPPED", state{ended: true, failed: true, why: "STOPPED"}},
			{"jobDeploymentStatus: Complete\njobStatus: FAILED\nmessage: exit status 3", state{ended: true, failed: true, why: "exit status 3"}},
			{"jobDeploymentStatus: Failed\nreason: DeadlineExceeded", state{ended: true, failed: true, why: "DeadlineExceeded"}},
			{"jobDeploymentStatus: ValidationFailed\nmessage: bad name", state{ended: true, failed: true, why: "bad name"}},
		},
		"argoproj.io/Workflow": {{"phase: Running", state{}}, {"phase: Succeeded", state{ended: true}}, {"phase: Failed\nmessage: child 'x' failed", state{ended: true, failed: true, why: "child 'x' failed"}},
			{"phase: Error\nmessage: pod deleted", state{ended: true, failed: true, why: "pod deleted"}}},
		"batch.volcano.sh/Job": {{"state: {phase: Pending}", state{}}, {"state: {phase: Restarting}", state{}}, {"state: {phase: Completing}", state{}}, {"state: {phase: Completed}", state{ended: true}},
			{"state: {phase: Failed, message: too many retries}", state{ended: true, failed: true, why: "too many retries"}}, {"state: {phase: Aborted, reason: ByUser}", state{ended: true, failed: true, why: "ByUser"}},
			{"state: {phase: Terminated}", state{ended: true, failed: true}}, {"state: Completed", state{}}},
		"tekton.dev/TaskRun": tekton, "tekton.dev/PipelineRun": tekton,
		"sparkoperator.k8s.io/SparkApplication": {{"applicationState: {state: RUNNING}", state{}}, {"applicationState: {state: SUBMISSION_FAILED}", state{}}, {"applicationState: {state: FAILING}", state{}},
			{"applicationState: {state: COMPLETED}", state{ended: true}}, {"applicationState: {state: FAILED, errorMessage: driver failed}", state{ended: true, failed: true, why: "driver failed"}}},
	}
	for _, name := range []string{"PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob", "MXJob", "JAXJob", "MPIJob"} {
		told["kubeflow.org/"+name] = conditions("Succeeded", "Failed")
	}
	for _, r := range kinds {
		if r.refuse != "" {
			continue
		}
		list := told[r.group+"/"+r.name]
		if len(list) == 0 {
			t.Errorf("no test says how a %s/%s ends", r.group, r.name)
		}
		for _, s := range append(list, stands{"{}", state{}}) {
			var status any
			if err := yaml.Unmarshal([]byte(s.status), &status); err != nil {
				t.Fatal(err)
			}
			if got := r.read(object{"status": status}); got != s.want {
				t.Errorf("%s/%s with %s: %+v, want %+v", r.group, r.name, s.status, got, s.want)
			}
		}
		if got := r.read(object{}); got != (state{}) {
			t.Errorf("%s without a status: %+v", r.name, got)
		}
	}
}

// The container that a pod is there for, and the one that brought it down.
func TestMainContainer(t *testing.T) {
	for text, want := range map[string]string{
		"spec: {containers: [{name: a}, {name: b}]}":                                                                           "a",
		"spec: {containers: [{name: wait}, {name: main}]}":                                                                     "main",
		"metadata: {annotations: {kubectl.kubernetes.io/default-container: b}}\nspec: {containers: [{name: a}, {name: b}]}":    "b",
		"metadata: {annotations: {kubectl.kubernetes.io/default-container: none}}\nspec: {containers: [{name: a}, {name: b}]}": "a",
		"spec: {}": "",
	} {
		var o object
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		if o["metadata"] == nil {
			o["metadata"] = object{}
		}
		o["metadata"].(object)["name"] = "p"
		p, ok := readPod(unstructuredOf(o))
		if !ok || p.main() != want {
			t.Errorf("%s: %v", text, ok)
		}
	}
	var o object
	if err := yaml.Unmarshal([]byte(`
metadata: {name: p}
spec: {containers: [{name: proxy}, {name: main}], initContainers: [{name: fetch}]}
status:
  phase: Failed
  initContainerStatuses: [{name: fetch, state: {terminated: {exitCode: 9}}}]
  containerStatuses:
    - {name: proxy, state: {terminated: {exitCode: 1}}}
    - {name: main, state: {terminated: {exitCode: 7, reason: OOMKilled}}, lastState: {terminated: {exitCode: 5}}}
`), &o); err != nil {
		t.Fatal(err)
	}
	p, _ := readPod(unstructuredOf(o))
	if f := p.fall(); f == nil || f.ExitCode != 7 || f.container != "main" {
		t.Errorf("%+v", f)
	}
	p.Status.Containers[1].State.Terminated.ExitCode = 0
	if f := p.fall(); f == nil || f.ExitCode != 1 || f.container != "proxy" {
		t.Errorf("%+v", f)
	}
	p.Status.Containers[0].State.Terminated.ExitCode = 0
	if f := p.fall(); f == nil || f.ExitCode != 9 {
		t.Errorf("%+v", f)
	}
	for _, name := range []string{"", "../x", "A", "a/b", "a?b"} {
		if _, ok := readPod(unstructuredOf(object{"metadata": object{"name": name}})); ok {
			t.Errorf("%q is taken for the name of a pod", name)
		}
	}
}
