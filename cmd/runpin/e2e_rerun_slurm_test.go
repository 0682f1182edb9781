package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

const plainSbatch = `#!/bin/sh
#SBATCH --ntasks=1
#SBATCH --output=job.log
echo "training with seed 7"
sed s/x/7/ settings.txt > model.txt
printf '{"loss": 0.25}' > metrics.json
test ! -e fail
`

// lastID gives the run's id that a rerun prints last.
func lastID(stdout string) string {
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	return lines[len(lines)-1]
}

// TestRerunOnSlurm runs on a real Slurm: a command that ran on a machine, and a recorded batch script, which is put back, submitted, followed, collected and judged.
func TestRerunOnSlurm(t *testing.T) {
	s := startSlurm(t, 1)
	p := newPipeline(t)
	do := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := p.run(s.Env, "", args...)
		if code != want {
			t.Fatalf("runpin %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, stdout, stderr)
		}
		return stdout, stderr
	}

	// A command that ran here.
	p.must(0, "record", "--dataset", "train=data", "--output", "model=model.txt", "--", "sh", "-c", `cat "$1"/*.csv > "$2"`, "sh", "{train}", "{model}")
	out, _ := do(0, "rerun", "latest", "--execute", "--on", "slurm")
	moved := p.show(lastID(out))
	if moved.Launcher != "slurm" || moved.Verdict == nil || moved.Verdict.Result != schema.Identical || len(moved.Environments) != 0 {
		t.Errorf("on %s, %+v, %d environments: what a node looks like is not known from here", moved.Launcher, moved.Verdict, len(moved.Environments))
	}

	// Its variables from a file reach it, though Slurm never gets them.
	p.must(0, "record", "--output", "seen=seen.txt", "--", "sh", "-c", `echo "key ${MY_KEY:-none}" > seen.txt`)
	p.write("given.env", "MY_KEY=it's s3cret\n")
	again := filepath.Join(t.TempDir(), "again")
	do(exitDifferent, "rerun", "latest", "--execute", "--on", "slurm", "--env-file", "given.env", "--workdir", again)
	if seen, err := os.ReadFile(filepath.Join(again, "code", "seen.txt")); err != nil || string(seen) != "key it's s3cret\n" {
		t.Errorf("%v: %q", err, seen)
	}

	// A batch script, as it was submitted by hand.
	p.write("plain.sbatch", plainSbatch)
	runGit(t, p.project, "add", "plain.sbatch")
	runGit(t, p.project, "commit", "--quiet", "--message", "a job")
	id, pinned := p.plan("plain.sbatch", "--output", "model=model.txt", "--metrics", "metrics.json")
	job, code := s.Sbatch(t, p.project, nil, filepath.Join(p.project, pinned))
	if code != 0 {
		t.Fatalf("sbatch: exit code %d\n%s", code, s.Logs())
	}
	do(0, "finish", id, "--slurm", job, "--output", "model=model.txt", "--metrics", "metrics.json")
	p.write("model.txt", "another model")
	p.write("settings.txt", "edited since\n")

	out, said := do(0, "rerun", id, "--execute")
	resubmitted := p.show(lastID(out))
	if resubmitted.Verdict == nil || resubmitted.Verdict.Result != schema.Identical || resubmitted.RerunOf != schema.RunID(id) || resubmitted.Status != schema.Succeeded || resubmitted.Launched == nil || resubmitted.Launched.On != "slurm" {
		t.Fatalf("%+v, launched %+v, %s", resubmitted.Verdict, resubmitted.Launched, resubmitted.Status)
	}
	if !strings.Contains(said, "training with seed 7") {
		t.Errorf("what the job prints is not shown:\n%s", said)
	}
	if len(resubmitted.Attempts) != 1 || resubmitted.Fingerprint == "" || resubmitted.Fingerprint != p.show(id).Fingerprint {
		t.Errorf("attempts %+v, fingerprint %s, was %s", resubmitted.Attempts, resubmitted.Fingerprint, p.show(id).Fingerprint)
	}
	if p.read("model.txt") != "another model" || p.read("settings.txt") != "edited since\n" {
		t.Error("the checkout was touched")
	}

	// It is left alone, and judged later.
	judgedLater := func(left string) {
		t.Helper()
		judged, said := -1, "" // exit code 15 while it runs
		for tries := 0; judged != 0 && tries < 120; tries++ {
			if judged, _, said = p.run(s.Env, "", "verify", left); judged != 0 && judged != 15 {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		if judged != 0 {
			t.Fatalf("verify of run %s: exit code %d\n%s\n%s", left, judged, said, s.Logs())
		}
		if v := p.show(left).Verdict; v == nil || v.Result != schema.Identical {
			t.Errorf("judged later: %+v", v)
		}
	}
	out, _ = do(0, "rerun", id, "--execute", "--detach")
	judgedLater(lastID(out))

	// It is killed before it is told what its job is called.
	real, err := exec.LookPath("sbatch")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sbatch"), []byte("#!/bin/sh\n"+shellWords([]string{real})+" \"$@\" >/dev/null\nkill -9 $PPID\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(slices.Clone(s.Env), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	if code, out, said := p.run(env, "", "rerun", id, "--execute"); code != -1 {
		t.Fatalf("it was not killed: %d\n%s%s", code, out, said)
	}
	killed := lastID(p.must(0, "list", "-q", "--limit", "1"))
	if got := p.show(killed); got.Status != schema.Planned || got.Launched != nil || got.LaunchPlace == "" || string(got.RerunOf) != id {
		t.Fatalf("%s, %+v, %q, of %s", got.Status, got.Launched, got.LaunchPlace, got.RerunOf)
	}
	judgedLater(killed)
}
