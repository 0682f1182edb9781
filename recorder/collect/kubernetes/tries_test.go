package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// sidecars makes a pod from the states of its containers, each as a YAML flow mapping.
func sidecars(phase, annotations string, states ...string) string {
	spec, status := "", ""
	for _, s := range states {
		name, state, _ := strings.Cut(s, " ")
		spec += fmt.Sprintf("\n  - {name: %s, image: x}", name)
		status += fmt.Sprintf("\n  - {name: %s, %s}", name, state)
	}
	return "kind: Pod\nmetadata: {name: p, creationTimestamp: \"2026-11-23T18:00:00Z\", annotations: {" + annotations + "}}\nspec:\n  containers:" + spec +
		"\nstatus:\n  phase: " + phase + "\n  startTime: \"2026-11-23T18:00:01Z\"\n  containerStatuses:" + status + "\n"
}

// TestMainContainer: what stands beside the training gives neither its exit code nor its number of tries nor its times.
func TestMainContainer(t *testing.T) {
	const ended = `state: {terminated: {exitCode: %d, reason: %s, startedAt: "2026-11-23T18:%02d:00Z", finishedAt: "2026-11-23T18:%02d:00Z"}}`
	for _, c := range []struct {
		name     string
		pod      string
		why      string
		exit     int // -1: none
		attempts string
		status   schema.Status
	}{
		{"Argo's wait stands first", sidecars("Failed", "", "wait "+fmt.Sprintf(ended, 64, "Error", 1, 10), "main "+fmt.Sprintf(ended, 137, "OOMKilled", 2, 9)), "OOMKilled in container main of pod p", 137, "1:18:02", schema.Failed},
		{"what kubectl takes", sidecars("Failed", `kubectl.kubernetes.io/default-container: train`, "main "+fmt.Sprintf(ended, 2, "Error", 1, 10), "train "+fmt.Sprintf(ended, 3, "Error", 2, 9)), "exit code 3 in container train of pod p", 3, "1:18:02", schema.Failed},
		{"the main one went well", sidecars("Failed", "", "wait "+fmt.Sprintf(ended, 64, "Error", 1, 10), "main "+fmt.Sprintf(ended, 0, "Completed", 2, 9)), "exit code 64 in container wait of pod p", 64, "1:18:02", schema.Failed},
		{"a proxy that restarts", sidecars("Running", "", `trainer state: {running: {startedAt: "2026-11-23T18:05:00Z"}}`,
			`proxy restartCount: 4, state: {running: {startedAt: "2026-11-23T18:08:00Z"}}, lastState: {terminated: {exitCode: 1, startedAt: "2026-11-23T18:01:00Z", finishedAt: "2026-11-23T18:07:00Z"}}`), "", -1, "1:18:05", schema.Running},
		{"the main one restarted beside a proxy", sidecars("Running", "", `proxy state: {running: {startedAt: "2026-11-23T18:00:02Z"}}`,
			`main restartCount: 1, state: {running: {startedAt: "2026-11-23T18:08:00Z"}}, lastState: {terminated: {exitCode: 1, startedAt: "2026-11-23T18:01:00Z", finishedAt: "2026-11-23T18:07:00Z"}}`), "", -1, "1:18:01 2:18:08", schema.Running},
		{"between two restarts", sidecars("Running", "",
			`main restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, startedAt: "2026-11-23T18:05:00Z", finishedAt: "2026-11-23T18:07:00Z"}}`), "", -1, "2:18:05", schema.Running},
	} {
		pods, err := ReadPods(strings.NewReader(c.pod), "pod")
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, c.pod)
		}
		run, _, _ := fold(t, base(), pods, nil)
		exit, attempts := -1, ""
		if run.ExitCode != nil {
			exit = *run.ExitCode
		}
		for _, a := range run.Attempts {
			attempts += fmt.Sprintf(" %d:%s", a.Number, a.Started.String()[11:16])
		}
		if run.Why != c.why || exit != c.exit || strings.TrimSpace(attempts) != c.attempts || run.Status != c.status {
			t.Errorf("%s: %s %q, exit code %d, attempts%s", c.name, run.Status, run.Why, exit, attempts)
		}
	}
}
