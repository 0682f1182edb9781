package jobspec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// builtIn gives what an API server decodes a built-in kind into.
func builtIn(apiVersion, kind string) any {
	switch apiVersion + " " + kind {
	case "v1 Pod":
		return &corev1.Pod{}
	case "v1 PodTemplate":
		return &corev1.PodTemplate{}
	case "v1 ReplicationController":
		return &corev1.ReplicationController{}
	case "batch/v1 Job":
		return &batchv1.Job{}
	case "batch/v1 CronJob":
		return &batchv1.CronJob{}
	case "apps/v1 Deployment":
		return &appsv1.Deployment{}
	case "apps/v1 StatefulSet":
		return &appsv1.StatefulSet{}
	case "apps/v1 DaemonSet":
		return &appsv1.DaemonSet{}
	case "apps/v1 ReplicaSet":
		return &appsv1.ReplicaSet{}
	}
	return nil
}

// What is pinned and stamped decodes strictly as the types of the API: every field that pinning or the stamp writes is one that the kind has.
func TestGoldensAreOfTheirTypes(t *testing.T) {
	seen := map[string]bool{}
	for _, pattern := range []string{"pinned", "stamped"} {
		files, _ := filepath.Glob("testdata/*/" + pattern + ".*")
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if isScript(path, data) {
				continue
			}
			roots, err := nodes(data)
			if err != nil {
				t.Fatal(path, err)
			}
			for _, root := range roots {
				var object map[string]any
				if root.Decode(&object) != nil {
					continue
				}
				strictly(t, path, object, seen)
			}
		}
	}
	for _, kind := range []string{"Pod", "PodTemplate", "ReplicationController", "Job", "CronJob", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"} {
		if !seen[kind] {
			t.Errorf("no golden of kind %s was decoded", kind)
		}
	}
}

func strictly(t *testing.T, path string, object map[string]any, seen map[string]bool) {
	t.Helper()
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if items, ok := object["items"].([]any); ok && kind == "List" {
		for _, item := range items {
			if object, ok := item.(map[string]any); ok {
				strictly(t, path, object, seen)
			}
		}
		return
	}
	into := builtIn(apiVersion, kind)
	if into == nil {
		return
	}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(path, err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Errorf("%s: %s: %v", path, kind, err)
		return
	}
	seen[kind] = true
	out, _ := json.Marshal(into)
	if strings.Contains(path, "stamped") && kind != "PodTemplate" && !bytes.Contains(out, []byte(StampVariable)) { // a PodTemplate stands beside the Job that it is of
		t.Errorf("%s: the run's id is not in the %s that the API reads", path, kind)
	}
}
