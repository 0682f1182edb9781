package kubernetes

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// TestRealCluster hands a job to a real API server, when RUNPIN_TEST_KUBECONFIG names one. There may be no node, and no controller: it sees the job, stops it and removes it.
func TestRealCluster(t *testing.T) {
	file := os.Getenv("RUNPIN_TEST_KUBECONFIG")
	if file == "" {
		t.Skip("RUNPIN_TEST_KUBECONFIG names no cluster")
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	n := &notes{}
	l, err := New(config, "default", Options{Warn: n.add, Grace: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	text := spec(strings.ReplaceAll(settings+jobSpec("generateName: runpin-test-"), "settings", fmt.Sprintf("runpin-test-%d", os.Getpid())))
	if err := l.Probe(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	job, err := l.Submit(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Remove(t.Context(), job); err != nil {
			t.Error(err)
		}
	})
	_, err = l.Submit(t.Context(), text) // its ConfigMap is there already and is the same, and its job gets another name
	if err != nil {
		t.Error(err)
	}
	again, ok, err := l.Find(t.Context(), text, "")
	if err != nil || !ok || !strings.HasPrefix(again.Job, "Job/runpin-test-") {
		t.Errorf("%+v %v %v", again, ok, err)
	}
	t.Cleanup(func() {
		if err := l.Remove(t.Context(), again); err != nil {
			t.Error(err)
		}
	})
	w := wait(t.Context(), l, job)
	select {
	case <-w.done:
		t.Fatalf("the wait ends: %+v %v", w.outcome, w.err)
	case <-time.After(2 * time.Second):
	}
	if err := l.Stop(t.Context(), job); err != nil {
		t.Error(err)
	}
	if err := l.Stop(t.Context(), job); err != nil {
		t.Error(err)
	}
	if len(n.all) > 0 {
		t.Logf("%q", n.all)
	}
}
