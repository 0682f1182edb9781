package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// pipeline is a team's project on a file system that every node sees, and the store of the submitting machine, which no node has to reach.
type pipeline struct {
	t       *testing.T
	project string
	env     []string
}

// Every rank sums its share of the data; rank 0 waits for all shares and writes the model. The file "preempt" makes rank 0 have the job
// requeued in the middle, once.
const rankScript = `set -e
shares=shares/$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}
mkdir -p "$shares"
if [ "$SLURM_PROCID" = 0 ] && [ -e preempt ]; then
  rm preempt
  scontrol requeue "$SLURM_JOB_ID"
  sleep 120
fi
cat "$1"/*.csv | awk -v rank="$SLURM_PROCID" 'NR % 4 == rank { sum += $1 } END { print rank, sum }' > "$shares/$SLURM_PROCID.tmp"
mv "$shares/$SLURM_PROCID.tmp" "$shares/$SLURM_PROCID"
while [ "$(ls "$shares" | grep -c '^[0-9]*$')" -lt 4 ]; do sleep 0.1; done
[ "$SLURM_PROCID" = 0 ] || exit 0
cat settings.txt "$shares"/[0-9] > "$2"
echo '{"loss": 0.125}' > metrics.json
`

const slurmJob = `#!/bin/sh
#SBATCH --job-name=train
#SBATCH --nodes=2 --ntasks=4 --overcommit
#SBATCH --requeue --open-mode=append --output=train.log
srun runpin record --join --output model=model.txt --metrics metrics.json -- sh train.sh data model.txt
`

func newPipeline(t *testing.T) *pipeline {
	requirePart(t, "git")
	dir := t.TempDir()
	p := &pipeline{t: t, project: filepath.Join(dir, "project")}
	runGit(t, dir, "init", "--quiet", "--initial-branch=main", p.project)
	for name, text := range map[string]string{
		"train.sh": rankScript, "settings.txt": "rate=0.1\n", "train.sbatch": slurmJob,
		".gitignore": "/data/\n/shares/\n/spool/\n*.log\n/model.txt\n/metrics.json\n/preempt\n/pinned*\n",
		"data/a.csv": "1\n2\n3\n4\n5\n", "data/b.csv": "6\n7\n8\n9\n",
	} {
		p.write(name, text)
	}
	runGit(t, p.project, "add", "-A")
	runGit(t, p.project, "commit", "--quiet", "--message", "train")
	p.env = append(os.Environ(), gitEnv()...)
	p.env = append(p.env, "HOME="+filepath.Join(dir, "home"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "RUNPIN_USER=e2e", "RUNPIN_RETRY_BUDGET=5s",
		"RUNPIN_STORE="+filepath.Join(dir, "store", "runpin.db"))
	return p
}

func (p *pipeline) write(name, text string) {
	p.t.Helper()
	file := filepath.Join(p.project, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipeline) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.project, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// run runs the program in the project, with more variables and what it reads on stdin.
func (p *pipeline) run(env []string, stdin string, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "runpin", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = p.project, append(slices.Clone(p.env), env...), strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// must is run with the code that the command has to have, and gives its stdout.
func (p *pipeline) must(want int, args ...string) string {
	p.t.Helper()
	code, stdout, stderr := p.run(nil, "", args...)
	if code != want {
		p.t.Fatalf("runpin %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, stdout, stderr)
	}
	return stdout
}

func (p *pipeline) show(id string) (run schema.Run) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.must(0, "show", id, "--json")), &run); err != nil {
		p.t.Fatal(err)
	}
	return run
}

// submit runs a pinned spec on Slurm to its end; its ranks find their run by the stamp and report to store.
func (p *pipeline) submit(s *slurmCluster, pinned, store string) (job string) {
	p.t.Helper()
	env := []string{"RUNPIN_STORE=" + store, "RUNPIN_RETRY_BUDGET=5s"}
	for _, kv := range p.env {
		if strings.HasPrefix(kv, "HOME=") || strings.HasPrefix(kv, "XDG_CACHE_HOME=") {
			env = append(env, kv)
		}
	}
	job, code := s.Sbatch(p.t, p.project, env, pinned)
	if code != 0 {
		p.t.Fatalf("job %s: exit code %d\n%s\n%s", job, code, p.read("train.log"), s.Logs())
	}
	return job
}

// mustHoldJob requires everything that issue "Pipelines" wants of a run whose four ranks ended on the given try.
func (p *pipeline) mustHoldJob(id string, try int) schema.Run {
	p.t.Helper()
	run := p.show(id)
	if run.Status != schema.Succeeded || run.ExitCode == nil || *run.ExitCode != 0 {
		p.t.Errorf("status %s, exit code %v; want succeeded, 0", run.Status, run.ExitCode)
	}
	if len(run.Code) != 1 || run.Code[0].Tree == "" || len(run.Datasets) != 1 || run.Datasets[0].ContentDigest == "" {
		p.t.Errorf("code %+v, data sets %+v", run.Code, run.Datasets)
	}
	ranks := map[int]bool{}
	for _, a := range run.Attempts {
		if a.Rank != nil && a.Number == try && a.ExitCode != nil && *a.ExitCode == 0 {
			ranks[*a.Rank] = true
		}
	}
	if len(ranks) != 4 {
		p.t.Errorf("attempt %d ended well on ranks %v, want four: %+v", try, ranks, run.Attempts)
	}
	seen := map[int]bool{}
	for _, e := range run.Environments {
		for _, rank := range e.Ranks {
			seen[rank] = true
		}
		if e.OS.Name == "" && e.OS.Kernel == "" {
			p.t.Errorf("an environment without system: %+v", e)
		}
	}
	if len(seen) != 4 {
		p.t.Errorf("environments of ranks %v, want four", seen)
	}
	model := sha256.Sum256([]byte(p.read("model.txt")))
	if len(run.Outputs) != 1 || run.Outputs[0].FileDigest != schema.Digest("sha256:"+hex.EncodeToString(model[:])) {
		p.t.Errorf("outputs %+v, want model.txt of rank 0 alone", run.Outputs)
	}
	if run.Metrics["loss"] != "0.125" {
		p.t.Errorf("metrics %+v, want loss=0.125", run.Metrics)
	}
	return run
}

// TestPipelineSlurm has the four ranks of a job on a real Slurm, which is requeued in the middle, report to a run that was planned beforehand, and asks Slurm what it
// knows: first through a spool that is folded in afterwards, then through a server. Both are one run with everything in it, and have the same output.
func TestPipelineSlurm(t *testing.T) {
	s := startSlurm(t, 2)
	p := newPipeline(t)
	registry, _ := startRegistry(t)
	image := registry + "/team/trainer:1.4"
	busyboxImage(t, registry, "team/trainer", "1.4", nil)
	url, _ := p.startServe("127.0.0.1:0")
	spool := filepath.Join(p.project, "spool")
	var runs []schema.Run
	for _, store := range []string{"spool:" + spool, url} {
		p.write("preempt", "")
		_ = os.Remove(filepath.Join(p.project, "model.txt"))
		id := p.planPods("train", image)
		p.write("pinned.sbatch", strings.Replace(slurmJob, "srun", "export RUNPIN_RUN_ID="+id+"\nsrun", 1))
		job := p.submit(s, "pinned.sbatch", store)
		if said := s.Scontrol(t, "show", "job", job, "--oneliner"); !strings.Contains(said, "Restarts=1") {
			t.Fatalf("the job was not requeued: %s", said)
		}
		if store != url {
			p.must(0, "import", spool)
		}
		if code, stdout, stderr := p.run(s.Env, "", "finish", id, "--slurm", job); code != 0 {
			t.Errorf("finish --slurm: exit code %d\n%s%s", code, stdout, stderr)
		}
		run := p.mustHoldJob(id, 2)
		tries := map[int]bool{}
		for _, a := range run.Attempts {
			tries[a.Number] = true
		}
		if !tries[1] || !tries[2] {
			t.Errorf("%s: attempts %+v, want those of the first try and of the second", store, run.Attempts)
		}
		nodes := map[string]bool{}
		for _, e := range run.Environments {
			nodes[e.Node] = true
		}
		if !nodes["node0"] || !nodes["node1"] {
			t.Errorf("%s: environments of nodes %v, want node0 and node1", store, nodes)
		}
		runs = append(runs, run)
	}
	if len(runs[0].Outputs) == 1 && len(runs[1].Outputs) == 1 && runs[0].Outputs[0].FileDigest != runs[1].Outputs[0].FileDigest {
		t.Errorf("output %s, then %s", runs[0].Outputs[0].FileDigest, runs[1].Outputs[0].FileDigest)
	}
	p.must(0, "verify", string(runs[1].ID), "--against", string(runs[0].ID))
	// Folding the same spool in again changes nothing.
	before := p.must(0, "show", string(runs[0].ID), "--json")
	p.must(0, "import", spool)
	if after := p.must(0, "show", string(runs[0].ID), "--json"); after != before {
		t.Errorf("a second import changed the run:\n%s\n%s", before, after)
	}
}
