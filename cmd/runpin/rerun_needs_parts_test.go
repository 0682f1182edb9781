package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRerunInPodmanWithWhatItNeeds: in a real container a variable of --env-file arrives and stands nowhere in the store, the original's tracker run does not, and
// the image is had by its digest from the registry to which it moved.
func TestRerunInPodmanWithWhatItNeeds(t *testing.T) {
	w := newWorld(t)
	w.write("project/env.sh", "echo key ${WANDB_API_KEY:-none} run ${WANDB_RUN_ID:-none} passed ${PASSED:-none} > out/env.txt\ncat /etc/flavour >> out/env.txt\n")
	if err := os.MkdirAll(filepath.Join(w.project, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	const key = "a0b1c2d3e4f5a6b7c8d9a0b1c2d3e4f5a6b7c8d9"
	w.write("variables", "# of the tracker\nWANDB_API_KEY="+key+"\nPASSED\n")
	w.env = append(w.env, "WANDB_RUN_ID=of-the-machine", "PASSED=from the machine")
	started := w.record("--output", "env=out/env.txt", "--", "podman", "run", "--rm", "--tls-verify=false", "-ieWANDB_RUN_ID=original", "-v", w.project+":/w", "-w", "/w", w.image, "sh", "env.sh",
		"-e", "A=the program's own")
	inImage := w.record("--in", "podman", "--image", w.image, "--output", "env=out/env.txt", "--", "sh", "env.sh")
	if got := w.read("project/out/env.txt"); got != "key none run none passed none\nfirst\n" {
		t.Fatalf("the original saw %q", got)
	}

	original := w.record("--in", "podman", "--image", w.image, "--env-file", filepath.Join(w.dir, "variables"), "--output", "env=out/env.txt", "--", "sh", "env.sh")
	if got, want := w.read("project/out/env.txt"), "key "+key+" run none passed from the machine\nfirst\n"; got != want {
		t.Fatalf("the original with a file of variables saw %q", got)
	}
	if w.show(original).Fingerprint == "" {
		t.Error("a file of variables keeps a run from having a fingerprint")
	}
	_, stdout, _ := w.runpin("check", original)
	if want := "secret:WANDB_API_KEY\tneeded\trecord\t\tthe run had it from a file of variables: its value is not in the record; a container sees none of this machine's variables: --env-file FILE; --without WANDB_API_KEY runs it without"; !strings.Contains(stdout, want) {
		t.Errorf("a check does not ask for it:\n%s", stdout)
	}

	// Without the variables nothing starts, whatever this machine has; what is left out by name is what the verdict says.
	code, _, said := w.runpin("rerun", original, "--execute")
	for _, part := range []string{"PASSED (from a file of variables), WANDB_API_KEY (from a file of variables)", "give it: --env-file FILE", "--without PASSED --without WANDB_API_KEY"} {
		if code != exitUsage || !strings.Contains(said, part) {
			t.Errorf("without its variables it is rerun, or it is not said %q (exit code %d):\n%s", part, code, said)
		}
	}
	w.env = append(w.env, "WANDB_API_KEY="+key)
	code, _, said = w.runpin("rerun", original, "--execute", "--without", "WANDB_API_KEY", "--without", "PASSED")
	if code != exitDifferent || !strings.Contains(said, "env.PASSED was left out, as asked for") || !strings.Contains(said, "relaxed: env.WANDB_API_KEY left out") || strings.Contains(said, "same inputs") {
		t.Errorf("exit code %d:\n%s", code, said)
	}

	// The image moves: its old registry loses it, and the engine has no copy.
	second, _ := startRegistry(t)
	if moved := busyboxImage(t, second, "ml/images/trainer", "any", map[string]string{"etc/flavour": "first\n"}); moved != w.first {
		t.Fatalf("the copy is %s, not %s", moved, w.first)
	}
	busyboxImage(t, w.registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "second\n"})
	w.collect()
	forget := func() {
		cmd := exec.CommandContext(t.Context(), "podman", "rmi", "--all", "--force")
		cmd.Env = w.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("podman rmi: %v: %s", err, out)
		}
	}
	forget()
	w.mustRefuse("a collected image", inImage, "image:image")
	relocate := w.registry + "/team=" + second + "/ml/images"

	rerun := func(id, want string, flags ...string) string {
		t.Helper()
		code, stdout, stderr := w.runpin(append([]string{"rerun", id, "--execute", "--relocate", relocate, "--workdir", filepath.Join(w.dir, "again-"+id)}, flags...)...)
		if code != 0 && code != exitDifferent {
			t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
		}
		if got := w.read("again-" + id + "/code/out/env.txt"); got != want {
			t.Errorf("the rerun saw %q, want %q\n%s", got, want, stderr)
		}
		again := w.show(idInText.FindString(stdout))
		if got := again.Images[0]; got.Repository != second+"/ml/images/trainer" || string(got.Pullable()) != w.first || !strings.Contains(stderr, "relaxed: image:image had from "+second) {
			t.Errorf("it ran on %s@%s\n%s", got.Repository, got.Pullable(), stderr)
		}
		if old := w.show(id); old.Fingerprint != again.Fingerprint {
			t.Errorf("the fingerprint is %s, was %s", again.Fingerprint, old.Fingerprint)
		}
		return stderr
	}
	rerun(inImage, "key "+key+" run none passed from the machine\nfirst\n", "--env-file", filepath.Join(w.dir, "variables"))
	rerun(original, "key "+key+" run none passed from the machine\nfirst\n", "--env-file", filepath.Join(w.dir, "variables"))
	forget()
	if said := rerun(started, "key none run none passed none\nfirst\n"); !strings.Contains(said, "relaxed: env.WANDB_RUN_ID left out") {
		t.Error(said)
	}
	if out, err := exec.CommandContext(t.Context(), "grep", "-r", "-l", key, filepath.Join(w.dir, "store"), filepath.Join(w.dir, "cache")).Output(); err == nil {
		t.Errorf("the value stands in %s", out)
	}
	dry, said, _ := w.runpin("rerun", inImage, "--execute", "--dry-run", "--relocate", relocate, "--gpus", "all", "--env-file", filepath.Join(w.dir, "variables"))
	for _, part := range []string{"--env WANDB_API_KEY ", "--device nvidia.com/gpu=all ", second + "/ml/images/trainer@" + w.first, "relaxed", "given all; the original's was given none"} {
		if dry != 0 || !strings.Contains(said, part) || strings.Contains(said, key) {
			t.Errorf("a dry run does not say %q, or says too much (exit code %d):\n%s", part, dry, said)
		}
	}
	code, stdout, _ = w.runpin("check", inImage, "--relocate", relocate)
	if code != 0 || !strings.Contains(stdout, "launcher:podman\tavailable\tprobed") || !strings.Contains(stdout, "found at "+second+"/ml/images/trainer") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}
