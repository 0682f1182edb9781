package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

const kubernetesJob = `apiVersion: batch/v1
kind: Job
metadata:
  name: train
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  backoffLimit: 4
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: IMAGE # the tag that people read
          command: ["sh", "-c", "train"]
`

// endedPod is a pod as `kubectl get pods -o json` shows it after its one container has ended.
func endedPod(name string, index int, node, image, imageID string, exitCode int, message string) map[string]any {
	reason := "Completed"
	phase := "Succeeded"
	if exitCode != 0 {
		reason, phase = "Error", "Failed"
	}
	minute := len(name) % 50 // any, but later tries have longer names
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": name, "namespace": "team", "uid": fmt.Sprintf("7c9e6679-7425-40de-944b-%012d", len(name)*10+index), "creationTimestamp": fmt.Sprintf("2026-11-20T10:%02d:00Z", minute),
			"annotations":     map[string]any{"batch.kubernetes.io/job-completion-index": fmt.Sprint(index)},
			"labels":          map[string]any{"batch.kubernetes.io/job-name": "train", "batch.kubernetes.io/job-completion-index": fmt.Sprint(index), "job-name": "train"},
			"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "1f0c6a8e-3f55-4c3c-8d0b-0d4e5a1c2b3a", "controller": true}},
		},
		"spec": map[string]any{
			"nodeName": node, "restartPolicy": "Never",
			"containers": []any{map[string]any{"name": "trainer", "image": image, "command": []any{"sh", "-c", "train"}}},
		},
		"status": map[string]any{
			"phase": phase, "startTime": fmt.Sprintf("2026-11-20T10:%02d:01Z", minute),
			"containerStatuses": []any{map[string]any{
				"name": "trainer", "image": image, "imageID": imageID, "containerID": "containerd://" + strings.Repeat("ab", 32), "restartCount": 0, "ready": false, "started": false, "lastState": map[string]any{},
				"state": map[string]any{"terminated": map[string]any{"exitCode": exitCode, "reason": reason, "message": message, "containerID": "containerd://" + strings.Repeat("ab", 32),
					"startedAt": fmt.Sprintf("2026-11-20T10:%02d:03Z", minute), "finishedAt": fmt.Sprintf("2026-11-20T10:%02d:30Z", minute)}},
			}},
		},
	}
}

func podList(t *testing.T, pods ...map[string]any) string {
	t.Helper()
	b, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": pods}, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPipelineKubernetes plans a job, moves its tag, and collects the pods that ran it afterwards from what kubectl prints of them: one run with the digests
// that ran, its tries and its metrics, and the same pinned spec again.
func TestPipelineKubernetes(t *testing.T) {
	p := newPipeline(t)
	registry, _ := startRegistry(t)
	image := registry + "/team/trainer:1.4"
	first := busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"})
	p.write("job.yaml", strings.ReplaceAll(kubernetesJob, "IMAGE", image))
	id := strings.TrimSpace(p.must(0, "record", "--job", "job.yaml", "--pinned", "pinned.yaml", "--dataset", "train=data"))
	pinned := p.read("pinned.yaml")
	if !strings.Contains(pinned, image+"@"+first+" # the tag that people read") || !strings.Contains(pinned, id) {
		t.Fatalf("the pinned spec:\n%s", pinned)
	}
	second := busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "second\n"})

	repository := registry + "/team/trainer"
	ran := image + "@" + first
	pods := podList(t,
		endedPod("train-0-a", 0, "gpu-a", ran, repository+"@"+first, 0, `{"loss": 0.125}`),
		endedPod("train-1-b", 1, "gpu-b", ran, repository+"@"+first, 137, ""), // evicted, and tried again elsewhere
		endedPod("train-1-cc", 1, "gpu-c", ran, "docker-pullable://"+repository+"@"+first, 0, ""))
	if code, stdout, stderr := p.run(nil, pods, "finish", id, "--pod", "-"); code != 0 {
		t.Fatalf("finish --pod: exit code %d\n%s%s", code, stdout, stderr)
	}
	run := p.show(id)
	if run.Status != schema.Succeeded || len(run.Drift) != 0 {
		t.Errorf("status %s, drift %+v", run.Status, run.Drift)
	}
	if len(run.Images) != 1 || string(run.Images[0].Pullable()) != first || run.Images[0].Use != schema.Observed {
		t.Errorf("images %+v, want %s, observed", run.Images, first)
	}
	codes, nodes := map[int]int{}, map[string]bool{}
	for _, a := range run.Attempts {
		if a.ExitCode != nil {
			codes[*a.ExitCode]++
		}
		nodes[a.Node] = true
	}
	if codes[0] != 2 || codes[137] != 1 || !nodes["gpu-a"] || !nodes["gpu-b"] || !nodes["gpu-c"] {
		t.Errorf("attempts %+v, want two that ended well and one with 137, on three nodes", run.Attempts)
	}
	if run.Metrics["loss"] != "0.125" {
		t.Errorf("metrics %+v, want loss=0.125", run.Metrics)
	}
	// Collected a second time, it is still the same run.
	before := p.must(0, "show", id, "--json")
	if code, _, stderr := p.run(nil, pods, "finish", id, "--pod", "-"); code != 0 {
		t.Errorf("finish --pod again: exit code %d\n%s", code, stderr)
	}
	if after := p.must(0, "show", id, "--json"); after != before {
		t.Errorf("collected twice, the run is another one:\n%s\n%s", before, after)
	}
	if again := p.must(0, "rerun", id); again != pinned {
		t.Errorf("rerun prints another spec:\n%s", again)
	}

	// A pod that ran what the tag has become is drift.
	p.write("job.yaml", strings.ReplaceAll(kubernetesJob, "IMAGE", image+"@"+first))
	drifted := strings.TrimSpace(p.must(0, "record", "--job", "job.yaml", "--pinned", "pinned2.yaml", "--dataset", "train=data"))
	pods = podList(t,
		endedPod("train-0-a", 0, "gpu-a", ran, repository+"@"+first, 0, ""),
		endedPod("train-1-b", 1, "gpu-b", image, repository+"@"+second, 0, ""))
	code, stdout, stderr := p.run(nil, pods, "finish", drifted, "--pod", "-")
	if code != exitGone || !strings.Contains(stderr, "image:trainer") {
		t.Errorf("drift: exit code %d, want %d, naming the pin\n%s%s", code, exitGone, stdout, stderr)
	}
	if run := p.show(drifted); len(run.Drift) == 0 {
		t.Errorf("the drift is not in the record: %+v", run.Images)
	}
	if text := p.must(0, "show", drifted, "--json"); !strings.Contains(text, second) || !strings.Contains(text, "train-1-b") {
		t.Errorf("the record does not say which pod ran %s:\n%s", second, text)
	}
}
