//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// TestRerunInContainerKilledAndStopped: a container that a killed rerun leaves is named with how to remove it; one that is stopped leaves none.
func TestRerunInContainerKilledAndStopped(t *testing.T) {
	requirePart(t, "git", "podman", "runc", "docker-registry", "busybox")
	registry, _ := startRegistry(t)
	busyboxImage(t, registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"})
	env := podmanEnv(t)
	w := newKillWorld(t, env...)
	// The container sees no variable of this machine: its command waits where the checkout has a directory that only the test makes.
	if code, out := w.runpin("record", "--name", "one", "--in", "podman", "--image", registry+"/team/trainer:1.4", "--dataset", "flag=../data-beside-it", "--output", "model.txt", "--", "sh", "-c",
		`cat ../data-beside-it/y > model.txt; [ ! -e again ] || { touch again/reached; trap 'exit 143' TERM; while :; do sleep 0.05; done; }`); code != 0 {
		t.Fatalf("record: exit code %d\n%s", code, out)
	}
	podman := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "podman", args...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("podman %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	w.remember()
	if code, out := w.runpin("rerun", "one", "--execute", "--dry-run"); code != 0 || !regexp.MustCompile(`launch +podman create --interactive --pull=never --workdir /workspace --mount \S+,destination=/workspace `+
		`.*--label runpin.dev/run=NEW .*/team/trainer@sha256:[0-9a-f]{64} sh -c `).MatchString(out) || !strings.Contains(out, "mounted read-only from "+w.dir+"/data-beside-it") {
		t.Errorf("a dry run: exit code %d\n%s", code, out)
	}
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		dir := filepath.Join(w.dir, "rerun-"+signal.String())
		stalled := filepath.Join(w.dir, "stalled-"+signal.String())
		// Held when all is restored, so that the test can make the command wait.
		cmd := w.command([]string{"RUNPIN_TEST_HOLD=restored " + stalled}, "rerun", "one", "--execute", "--workdir", dir)
		said := &lockedBuffer{}
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.await(stalled, cmd, said)
		if err := os.Mkdir(filepath.Join(dir, "code/again"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(stalled); err != nil {
			t.Fatal(err)
		}
		w.await(filepath.Join(dir, "code/again/reached"), cmd, said)
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		w.storeIsWhole()
		fresh := w.fresh()
		if len(fresh) != 1 {
			t.Fatalf("%v: %+v\n%s", signal, fresh, said)
		}
		w.remember()
		_, shown := w.runpin("show", string(fresh[0].ID))
		if signal == syscall.SIGTERM {
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || fresh[0].Status != schema.Failed || !strings.Contains(fresh[0].Why, "interrupted") {
				t.Errorf("exit code %d, recorded as %s %q\n%s", code, fresh[0].Status, fresh[0].Why, said)
			}
			if left := podman("ps", "--all", "--quiet", "--filter", "label=runpin.dev/run="+string(fresh[0].ID)); left != "" {
				t.Errorf("the container is still there: %s", left)
			}
			continue
		}
		left := regexp.MustCompile(`left +podman: container ([0-9a-f]{12}) \(Up .*\); podman rm --force [0-9a-f]{12} removes it`).FindStringSubmatch(shown)
		if fresh[0].Status != schema.Lost || left == nil {
			t.Fatalf("%s, and the container is not named:\n%s", fresh[0].Status, shown)
		}
		podman("rm", "--force", "--time", "0", left[1])
		if _, shown := w.runpin("show", string(fresh[0].ID)); strings.Contains(shown, "left ") {
			t.Errorf("it is still named:\n%s", shown)
		}
	}
}

// TestRerunOnSlurmKilledAndStopped: a job that a killed rerun leaves is named, and judged later where it was handed over as a job; one that is stopped is cancelled.
func TestRerunOnSlurmKilledAndStopped(t *testing.T) {
	s := startSlurm(t, 1)
	w := newKillWorld(t, s.Env...)
	hold, reached, release := filepath.Join(w.dir, "hold"), filepath.Join(w.dir, "reached"), filepath.Join(w.dir, "release")
	body := "echo model > model.txt; [ ! -e " + hold + " ] || { touch " + reached + "; for i in $(seq 6000); do [ ! -e " + release + " ] || exit 0; sleep 0.05; done; exit 1; }"
	w.write("project/job.sbatch", "#!/bin/sh\n#SBATCH --ntasks=1\n"+body+"\n")
	must := func(args ...string) string {
		code, out := w.runpin(args...)
		if code != 0 {
			t.Fatalf("%q: exit code %d\n%s", args, code, out)
		}
		return out
	}
	must("record", "--name", "command", "--output", "model.txt", "--", "sh", "-c", body)
	job := idInText.FindString(must("record", "--name", "job", "--job", "job.sbatch", "--output", "model.txt"))
	must("finish", job, "--status", "succeeded", "--exit-code", "0", "--output", "model.txt")
	w.write("hold", "")
	w.remember()
	jobOf := regexp.MustCompile(`slurm:? (?:job )?(\d+)`)
	for _, args := range [][]string{{"rerun", "command", "--execute", "--on", "slurm"}, {"rerun", "job", "--execute"}} {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			_ = os.Remove(reached)
			_ = os.Remove(release)
			cmd := w.command(nil, args...)
			said := &lockedBuffer{}
			cmd.Stdout, cmd.Stderr = said, said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.await(reached, cmd, said)
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			w.storeIsWhole()
			fresh := w.fresh()
			w.remember()
			if len(fresh) != 1 {
				t.Fatalf("%q, %v: %+v\n%s", args, signal, fresh, said)
			}
			run := string(fresh[0].ID)
			shown := must("show", run)
			if signal == syscall.SIGTERM {
				if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || fresh[0].Status != schema.Failed || !strings.Contains(fresh[0].Why, "interrupted") && !strings.Contains(fresh[0].Why, "CANCELLED") {
					t.Errorf("%q: exit code %d, recorded as %s %q\n%s", args, code, fresh[0].Status, fresh[0].Why, said)
				}
				if out, err := s.Command(t.Context(), "squeue", "--noheader").Output(); err != nil || strings.TrimSpace(string(out)) != "" {
					t.Errorf("%q: Slurm still has %s (%v)", args, out, err)
				}
				continue
			}
			left := jobOf.FindStringSubmatch(shown)
			if fresh[0].Status != schema.Lost || left == nil {
				t.Fatalf("%q: %s, and the job is not named:\n%s", args, fresh[0].Status, shown)
			}
			if code, out := w.runpin("verify", run); fresh[0].Launched != nil && (code != exitUnavailable || !strings.Contains(out, "has not ended")) {
				t.Errorf("%q: verify while it runs: exit code %d\n%s", args, code, out)
			}
			w.write("release", "")
			for range 600 {
				if out, _ := s.Command(t.Context(), "squeue", "--noheader").Output(); len(out) == 0 {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if fresh[0].Launched == nil { // nobody knows how a command ended that only its launcher would have told
				continue
			}
			for range 600 {
				code, out := w.runpin("verify", run)
				if code == 0 {
					break
				}
				if code != exitUnavailable {
					t.Fatalf("%q: verify: exit code %d\n%s", args, code, out)
				}
			}
			if again := w.list(); !slices.ContainsFunc(again, func(r schema.Run) bool {
				return string(r.ID) == run && r.Verdict != nil && r.Verdict.Result == schema.Identical
			}) {
				t.Errorf("%q: it was not judged later", args)
			}
		}
	}
}
