package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"
)

// TestRenderedPodman starts a run again with nothing but the line that was rendered, git and podman, and gets the same output; changed data stops it.
func TestRenderedPodman(t *testing.T) {
	w := newWorld(t)
	w.write("project/extra.txt", "untracked\n")
	id := w.record("--in", "podman", "--image", w.image, "--insecure-registry", w.registry, "--dataset", "train=data", "--output", "sum=out/sum.txt", "--", "sh", "-c", "mkdir -p out && sh train.sh data out/sum.txt")
	want := w.read("project/out/sum.txt")
	code, script, stderr := w.runpin("rerun", id, "--as", "podman")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	start := func(dir string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-s")
		cmd.Stdin, cmd.Dir = strings.NewReader(script), w.dir
		cmd.Env = append(w.env, "RUNPIN_DIR="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if said, err := start("again"); err != nil {
		t.Fatalf("%v: %s\n%s", err, said, script)
	}
	if got := w.read("again/code/out/sum.txt"); got != want {
		t.Errorf("the output is %q, was %q", got, want)
	}
	w.write("project/data/more.csv", "7\n")
	if said, err := start("changed"); err == nil || !strings.Contains(said, "dataset:train") {
		t.Errorf("changed data: %v %s", err, said)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "changed")); err == nil {
		t.Error("a directory is left behind")
	}
}

// TestRenderedSbatch has a real Slurm take both batch scripts, and runs one of them with a program in Apptainer's place that executes on the node.
func TestRenderedSbatch(t *testing.T) {
	s := startSlurm(t, 1)
	w := newWorld(t)
	id := w.record("--image", w.image, "--insecure-registry", w.registry, "--dataset", "train=data", "--output", "sum=out.txt", "--", "sh", "train.sh", "data", "out.txt")
	want := w.read("project/out.txt")
	for _, format := range []string{"sbatch-pyxis", "sbatch-apptainer"} {
		file := filepath.Join(w.dir, format)
		if code, _, stderr := w.runpin("rerun", id, "--as", format, "-o", file); code != 0 {
			t.Fatalf("%s: exit code %d: %s", format, code, stderr)
		}
		if out, err := s.Command(t.Context(), "sbatch", "--test-only", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", format, err, out)
		}
	}
	bin := filepath.Join(w.dir, "bin")
	w.write("bin/apptainer", `#!/bin/sh
# exec --bind FROM:TO,FROM:TO:ro --pwd DIR IMAGE COMMAND…
echo "$@" >"`+w.dir+`/asked"
bind=$3 dir=$5
shift 6
root=${bind%%:*}
cd "$root${dir#/workspace}" && cp -r "$(echo "$bind" | sed 's/.*,\(.*\):\/workspace\/data:ro/\1/')" data && exec "$@"
`)
	if err := os.Chmod(filepath.Join(bin, "apptainer"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(w.env, "PATH="+bin+":"+os.Getenv("PATH"), "RUNPIN_DIR="+filepath.Join(w.dir, "again"))
	for _, kv := range s.Env {
		if strings.HasPrefix(kv, "SLURM_CONF=") {
			env = append(env, kv)
		}
	}
	job, code := s.Sbatch(t, w.dir, env, filepath.Join(w.dir, "sbatch-apptainer"))
	if code != 0 {
		log, _ := os.ReadFile(filepath.Join(w.dir, "slurm-"+job+".out"))
		t.Fatalf("job %s: exit code %d\n%s", job, code, log)
	}
	if got := w.read("again/code/out.txt"); got != want {
		t.Errorf("the output is %q, was %q", got, want)
	}
	if asked := w.read("asked"); !strings.Contains(asked, "docker://"+w.registry+"/team/trainer@"+w.first) {
		t.Errorf("apptainer was asked for %s", asked)
	}
}

// TestRenderedInitStep runs the init step of a rendered Job here, with a changed file that makes its script longer than one argument may be.
func TestRenderedInitStep(t *testing.T) {
	w := newWorld(t)
	noise := strings.Repeat("0123456789abcdef $(x) $$ 'y'\n", 5000)
	w.write("project/big.txt", noise)
	const url = "https://git.example.com/team/trainer.git"
	runGit(t, w.project, "remote", "set-url", "origin", url)
	id := w.record("--image", w.image, "--insecure-registry", w.registry, "--dataset", "train=data", "--", "true")
	code, script, stderr := w.runpin("rerun", id, "--as", "job", "--init-image", w.registry+"/team/git:2@"+w.first, "--volume", "train=pvc:data")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var job batchv1.Job
	if err := yaml.UnmarshalStrict([]byte(script), &job); err != nil {
		t.Fatal(err)
	}
	step := job.Spec.Template.Spec.InitContainers[0]
	work := filepath.Join(w.dir, "workspace")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(w.project, "data"), filepath.Join(w.dir, "train")); err != nil {
		t.Fatal(err)
	}
	argv := step.Command
	for i := range argv {
		argv[i] = strings.NewReplacer("$$", "$", "/workspace", work, "/runpin/data/", w.dir+"/").Replace(argv[i])
		if len(argv[i]) > 128<<10 {
			t.Errorf("argument %d has %d bytes", i, len(argv[i]))
		}
	}
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(w.env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://"+w.remote+".insteadOf", "GIT_CONFIG_VALUE_0="+url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := w.read("workspace/big.txt"); got != noise || w.read("workspace/train.sh") != trainScript {
		t.Error("the code is not what was recorded")
	}
}
