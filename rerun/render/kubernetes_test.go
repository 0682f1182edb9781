package render

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestJobIsStrict: the API server's own types have a place for every field, and read what was meant.
func TestJobIsStrict(t *testing.T) {
	for _, launcher := range []string{"local", "podman"} {
		run, b := training(launcher)
		var job batchv1.Job
		if err := yaml.UnmarshalStrict([]byte(rendered(t, "job", run, b, optionsFor("job"))), &job); err != nil {
			t.Fatal(err)
		}
		pod := job.Spec.Template.Spec
		if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 || pod.RestartPolicy != corev1.RestartPolicyNever || *job.Spec.BackoffLimit != 0 {
			t.Fatalf("%+v", pod)
		}
		names := map[string]bool{}
		for _, v := range pod.Volumes {
			names[v.Name] = true
		}
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			seen := map[string]bool{}
			for _, m := range c.VolumeMounts {
				if !names[m.Name] || seen[m.MountPath] {
					t.Errorf("container %s: mount %+v has no volume, or covers another", c.Name, m)
				}
				seen[m.MountPath] = true
			}
		}
		if words := append(pod.Containers[0].Command, pod.Containers[0].Args...); len(words) != 12 || words[1] != "/workspace/train.py" {
			t.Errorf("command %q", words)
		}
		if n := *pod.Volumes[len(pod.Volumes)-1].Secret.DefaultMode; n != 0o400 {
			t.Errorf("the git secret has mode %o", n)
		}
	}
}
