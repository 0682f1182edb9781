package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// recordedJob records a job of one pod that succeeded, with a loss of 0.125.
func (p *pipeline) recordedJob(registry, digest string) (id string) {
	p.t.Helper()
	image := registry + "/team/trainer:1.4"
	p.write("job.yaml", strings.ReplaceAll(strings.ReplaceAll(kubernetesJob, "IMAGE", image), "completions: 2\n  parallelism: 2\n  completionMode: Indexed", "completions: 1"))
	id = strings.TrimSpace(p.must(0, "record", "--job", "job.yaml", "--pinned", "pinned.yaml"))
	pod := endedPod("train-0-a", 0, "gpu-a", image+"@"+digest, registry+"/team/trainer@"+digest, 0, `{"loss": 0.125}`)
	if code, out, said := p.run(nil, podList(p.t, pod), "finish", id, "--pod", "-"); code != 0 {
		p.t.Fatalf("finish: %d\n%s%s", code, out, said)
	}
	return id
}

// TestRerunOnKubernetesFoundAgain: a job whose submitter was killed before it could name it, or did not get an answer, is named by show, and found, judged and taken
// away by verify.
func TestRerunOnKubernetesFoundAgain(t *testing.T) {
	cluster, kubeconfig := startJobServer(t)
	cluster.set(func() { cluster.message = `{"loss": 0.125}` })
	p := newPipeline(t)
	p.env = append(p.env, "KUBECONFIG="+kubeconfig)
	registry, _ := startRegistry(t)
	id := p.recordedJob(registry, busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"}))
	set := cluster.set
	killed := func(idle bool) (run, job string) {
		t.Helper()
		reached := make(chan string, 1)
		set(func() { cluster.stalls, cluster.idle = reached, idle })
		defer set(func() { cluster.stalls = nil })
		cmd := exec.CommandContext(t.Context(), "runpin", "rerun", id, "--execute")
		cmd.Dir, cmd.Env = p.project, p.env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		job = <-reached
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return lastID(p.must(0, "list", "-q", "--limit", "1")), job
	}

	run, job := killed(false)
	if got := p.show(run); got.Status != schema.Planned || got.Launched != nil || !strings.HasPrefix(got.LaunchPlace, "ml@127.0.0.1:") || string(got.RerunOf) != id {
		t.Fatalf("%s, %+v, %q, of %s", got.Status, got.Launched, got.LaunchPlace, got.RerunOf)
	}
	if s := p.must(0, "show", run); !strings.Contains(s, "it is not known whether it was: runpin verify") {
		t.Errorf("what may be left is not named:\n%s", s)
	}
	if left, _ := cluster.state(); len(left) != 1 || left[0] != job {
		t.Errorf("left %q, want %s", left, job)
	}
	p.must(0, "verify", run)
	again := p.show(run)
	if again.Status != schema.Succeeded || again.Verdict == nil || again.Verdict.Result != schema.Identical || again.Launched == nil || !strings.HasPrefix(again.Launched.Job, "Job/"+job+"@") {
		t.Errorf("%s, %+v, %+v", again.Status, again.Verdict, again.Launched)
	}
	if left, removed := cluster.state(); len(left) != 0 || len(removed) != 1 || removed[0] != job {
		t.Errorf("left %q, removed %q", left, removed)
	}

	// One that was killed before there is a job: nobody says that it failed while somebody may be about to submit it.
	run, _ = killed(true)
	if code, _, said := p.run(nil, "", "verify", run); code != 15 || !strings.Contains(said, "may be about to be submitted") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	later := func(minutes time.Duration) []string {
		return []string{"RUNPIN_TEST_CLOCK=" + time.Now().Add(minutes*time.Minute).UTC().Format(time.RFC3339)}
	}
	if code, _, said := p.run(later(10), "", "verify", run); code != 13 || !strings.Contains(said, "is recorded as failed: it was never submitted") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	if got := p.show(run); got.Status != schema.Failed || !strings.Contains(got.Why, "never submitted") {
		t.Errorf("%s %q", got.Status, got.Why)
	}
	if code, _, said := p.run(later(20), "", "finish", run, "--status", "succeeded", "--exit-code", "0"); code != 0 || p.show(run).Status != schema.Succeeded {
		t.Errorf("who knows better is not believed: %d\n%s", code, said)
	}

	// One that the cluster made and denies: it has not failed, and is found when the cluster answers again.
	set(func() { cluster.silent = true })
	code, _, said := p.run(nil, "", "rerun", id, "--execute")
	if code != 15 || !strings.Contains(said, "there may be a job all the same") || !strings.Contains(said, "runpin verify") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	run = lastID(p.must(0, "list", "-q", "--limit", "1"))
	if got := p.show(run); got.Status != schema.Planned || len(got.Reasons) == 0 || got.Reasons[len(got.Reasons)-1].Code != "submission-unsure" {
		t.Errorf("%s, %+v", got.Status, got.Reasons)
	}
	p.must(15, "verify", run)
	set(func() { cluster.silent = false })
	p.must(0, "verify", run)
	if left, _ := cluster.state(); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

// TestVerifyOnAnotherCluster: verify is told which cluster a job runs on, says so when it is not, and leaves a job where it is that is to be kept.
func TestVerifyOnAnotherCluster(t *testing.T) {
	cluster, near := startJobServer(t)
	cluster.set(func() { cluster.message = `{"loss": 0.125}` })
	_, far := startJobServer(t)
	p := newPipeline(t)
	p.env = append(p.env, "KUBECONFIG="+far+string(filepath.ListSeparator)+p.renamed(near, "lab"))
	registry, _ := startRegistry(t)
	id := p.recordedJob(registry, busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"}))
	code, out, said := p.run(nil, "", "rerun", id, "--execute", "--detach", "--keep-job", "--context", "lab")
	run := lastID(out)
	if code != 0 || !strings.Contains(said, " --context lab looks at it") {
		t.Fatalf("exit code %d\n%s%s", code, out, said)
	}
	if code, _, said := p.run(nil, "", "verify", run); code != 2 || !strings.Contains(said, "name the cluster with --context") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	p.must(0, "verify", run, "--context", "lab")
	if got := p.show(run); got.Status != schema.Succeeded || !got.Launched.Keep {
		t.Errorf("%s, %+v", got.Status, got.Launched)
	}
	if left, removed := cluster.state(); len(left) != 1 || len(removed) != 0 {
		t.Errorf("left %q, removed %q", left, removed)
	}
	p.must(0, "verify", run, "--kubeconfig", near)
}

// renamed writes a kubeconfig of startJobServer with another name for all that it names.
func (p *pipeline) renamed(kubeconfig, name string) string {
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.t.TempDir(), name)
	if err := os.WriteFile(file, []byte(strings.NewReplacer(`"c"`, fmt.Sprintf("%q", name), `"x"`, fmt.Sprintf("%q", name)).Replace(string(text))), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}
