package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestPartsCheckLayers: a real registry whose collector took an image, and whose disk lost one layer of another. Its HEAD of the manifest says that this one is fine.
func TestPartsCheckLayers(t *testing.T) {
	requirePart(t, "docker-registry")
	dir := t.TempDir()
	r := &realRegistry{dir: dir, config: filepath.Join(dir, "config.yml"), addr: freePort(t)}
	t.Cleanup(r.stop)
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "HOME="+dir, "RUNPIN_STORE="+filepath.Join(dir, "s.db"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "RUNPIN_USER=tester")
	runpin := func(want int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "runpin", args...)
		cmd.Dir, cmd.Env = dir, env
		var errs strings.Builder
		cmd.Stderr = &errs
		out, _ := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Fatalf("runpin %q: exit code %d, want %d\n%s%s", args, code, want, out, errs.String())
		}
		return string(out)
	}
	const job = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"train"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"main","image":"IMAGE"}]}}}}`
	for _, tag := range []string{"whole", "collected", "damaged"} {
		busyboxImage(t, r.addr, "team/trainer", tag, map[string]string{"etc/content": tag})
		if err := os.WriteFile(filepath.Join(dir, "job.json"), []byte(strings.ReplaceAll(job, "IMAGE", r.addr+"/team/trainer:"+tag)), 0o644); err != nil {
			t.Fatal(err)
		}
		runpin(0, "record", "--name", tag, "--job", "job.json")
	}
	if out := runpin(0, "check", "--all"); strings.Count(out, "\tyes\t") != 3 {
		t.Errorf("%s", out)
	}

	ref, err := name.ParseReference(r.addr+"/team/trainer:damaged", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	lost, err := layers[len(layers)-1].Digest()
	if err != nil {
		t.Fatal(err)
	}
	busyboxImage(t, r.addr, "team/trainer", "collected", map[string]string{"etc/content": "the tag moves"})
	r.collect(t)
	if err := os.RemoveAll(filepath.Join(dir, "data", "docker", "registry", "v2", "blobs", "sha256", lost.Hex[:2], lost.Hex)); err != nil {
		t.Fatal(err)
	}
	var s summaryJSON
	if err := json.Unmarshal([]byte(runpin(exitGone, "check", "--all", "--summary", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	if s.Rerunnable != 1 || s.Lost != 2 || len(s.Causes) != 2 {
		t.Errorf("%+v", s)
	}
	if out := runpin(exitGone, "check", "damaged"); !strings.Contains(out, "image:main\tgone\thead-layers") || !strings.Contains(out, "its part "+lost.String()+" is not") {
		t.Errorf("%s", out)
	}
	if out := runpin(exitGone, "check", "collected"); !strings.Contains(out, "image:main\tgone") || !strings.Contains(out, "the tag collected names another image now") {
		t.Errorf("%s", out)
	}
	runpin(0, "check", "whole")
	r.stop()
	if out := runpin(exitUnavailable, "check", "--all"); strings.Count(out, "\tunknown\t") != 3 {
		t.Errorf("%s", out)
	}
}
