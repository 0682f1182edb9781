package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// example copies examples/NAME into a project of its own, with the data that its script reads.
func example(t *testing.T, name string) *pipeline {
	t.Helper()
	p := newPipeline(t)
	if err := os.RemoveAll(p.project); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(p.project, os.DirFS(filepath.Join("..", "..", "examples", name))); err != nil {
		t.Fatal(err)
	}
	p.write("data/a.csv", "1\n2\n3\n")
	p.write(".gitignore", "/data/\n/out/\n/sweep.id\n/executed.ipynb\n/model.txt\n/metrics.json\n")
	runGit(t, p.project, "init", "--quiet", "--initial-branch=main")
	runGit(t, p.project, "add", "-A")
	runGit(t, p.project, "commit", "--quiet", "--message", "example")
	return p
}

// sh runs a script of the example, which must succeed.
func (p *pipeline) sh(path string, args ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "sh", args...)
	cmd.Dir, cmd.Env = p.project, append(p.env, "PATH="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestExampleSweep(t *testing.T) {
	const members = 20
	p := example(t, "sweep")
	p.sh(os.Getenv("PATH"), "sweep.sh", fmt.Sprint(members))
	sweep := p.show("sweep")
	ids := strings.Fields(p.must(0, "list", "--parent", string(sweep.ID), "--limit", "1000", "-q"))
	if len(ids) != members {
		t.Fatalf("%d members, want %d", len(ids), members)
	}
	rates := map[string]bool{}
	for _, id := range ids {
		run := p.show(id)
		rates[string(run.Params["rate"])] = true
		if run.Parent != sweep.ID || len(run.Datasets) != 1 || run.Datasets[0].ContentDigest != sweep.Datasets[0].ContentDigest || len(run.Outputs) != 1 || run.Metrics["loss"] == "" {
			t.Errorf("member %s: parent %s, data sets %+v, outputs %+v, metrics %v", id, run.Parent, run.Datasets, run.Outputs, run.Metrics)
		}
	}
	if len(rates) != members {
		t.Errorf("%d rates, want %d", len(rates), members)
	}
	// Any member can be run again by itself.
	p.must(0, "rerun", ids[members/2], "--execute")
}

func TestExampleNotebook(t *testing.T) {
	papermill, _ := fromVenv(t, "papermill")
	p := example(t, "notebook")
	path := filepath.Dir(papermill) + string(os.PathListSeparator) + os.Getenv("PATH")
	p.sh(path, "run.sh", "0.25")
	run := p.show("latest")
	if p.read("model.txt") != "1.500\n" || len(run.Outputs) != 1 || run.Metrics["loss"] != "0.75" || run.Params["rate"] != "0.25" {
		t.Errorf("model %q, outputs %+v, metrics %v, params %v", p.read("model.txt"), run.Outputs, run.Metrics, run.Params)
	}
	if code, stdout, stderr := p.run([]string{"PATH=" + path}, "", "rerun", string(run.ID), "--execute"); code != 0 {
		t.Errorf("rerun: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// The job specs of examples/ hold no secret, so the record keeps them, and their shell parts are shell.
func TestExampleJobsAreKept(t *testing.T) {
	for _, pattern := range []string{"*/*.yaml", "*/*.sbatch", "*/*.sh"} {
		paths, _ := filepath.Glob(filepath.Join("..", "..", "examples", pattern))
		if len(paths) == 0 {
			t.Errorf("no %s", pattern)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if finding, found := redact.JobSpec(data); found {
				t.Errorf("%s would be withheld: %s", path, finding)
			}
			if filepath.Ext(path) == ".yaml" {
				continue
			}
			if out, err := exec.Command("bash", "-n", path).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", path, err, out)
			}
		}
	}
}

// The batch script of examples/slurm on a real Slurm, with another place for the spool and another program: eight ranks are one run.
func TestExampleSlurm(t *testing.T) {
	s := startSlurm(t, 2)
	p := example(t, "slurm")
	spool := filepath.Join(t.TempDir(), "spool")
	p.write("train.sh", "echo \"$SLURM_PROCID\" >> \"ranks/$SLURM_PROCID\"\n[ \"$SLURM_PROCID\" = 0 ] || exit 0\necho model > model.pt\necho '{\"loss\": 0.5}' > metrics.json\n")
	p.write("ranks/.keep", "")
	p.write("here.sbatch", strings.NewReplacer("/shared/runpin/spool", spool, "python train.py", "sh train.sh").Replace(p.read("train.sbatch")))
	p.must(0, "record", "--job", "here.sbatch", "--pinned", "pinned.sbatch", "--id-file", "run.id", "--no-code")
	id := strings.TrimSpace(p.read("run.id"))
	job := p.submit(s, "pinned.sbatch", "spool:"+spool)
	p.must(0, "import", spool)
	if code, stdout, stderr := p.run(s.Env, "", "finish", id, "--slurm", job); code != 0 {
		t.Errorf("finish --slurm: exit code %d\n%s%s", code, stdout, stderr)
	}
	run := p.show(id)
	ranks := map[int]bool{}
	for _, e := range run.Environments {
		for _, rank := range e.Ranks {
			ranks[rank] = true
		}
	}
	if run.Status != schema.Succeeded || run.Launcher != "slurm" || len(ranks) != 8 || len(run.Outputs) != 1 || run.Metrics["loss"] != "0.5" {
		t.Errorf("status %s, launcher %s, ranks %v, outputs %+v, metrics %v", run.Status, run.Launcher, ranks, run.Outputs, run.Metrics)
	}
	if p.must(0, "rerun", id) != p.read("pinned.sbatch") {
		t.Error("the rerun prints another script than the one that ran")
	}
}

// The job specs of examples/ are planned, pinned, and printed again from the record alone.
func TestExampleJobSpecs(t *testing.T) {
	p := newPipeline(t)
	registry, _ := startRegistry(t)
	for _, image := range []string{"tools/runpin:0.1.0", "team/trainer:1.4", "team/prepare:2", "team/eval:1.4"} {
		repository, tag, _ := strings.Cut(image, ":")
		busyboxImage(t, registry, repository, tag, nil)
	}
	commit := strings.TrimSpace(runGit(t, p.project, "rev-parse", "HEAD"))
	here := strings.NewReplacer("registry.example.com", registry, "https://git.example.com/team/trainer.git", "file://"+p.project)
	for _, path := range []string{"kubernetes-job/job.yaml", "pytorchjob/pytorchjob.yaml", "argo/workflow.yaml", "slurm/train-container.sbatch"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "examples", filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Base(path)
		p.write(file, here.Replace(string(data)))
		p.must(0, "record", "--job", file, "--pinned", "pinned-"+file, "--id-file", "run.id")
		id := strings.TrimSpace(p.read("run.id"))
		pinned := p.read("pinned-" + file)
		if p.must(0, "rerun", id) != pinned || !strings.Contains(pinned, id) || strings.Count(pinned, "@sha256:") < 2 {
			t.Errorf("%s: the record gives another spec than the pinned one, which is\n%s", path, pinned)
		}
		if run := p.show(id); len(run.Images) < 2 || len(run.Withheld) > 0 || strings.HasPrefix(path, "argo") != (len(run.Code) == 1 && string(run.Code[0].Commit) == commit) {
			t.Errorf("%s: images %d, code %+v, withheld %+v", path, len(run.Images), run.Code, run.Withheld)
		}
	}
}

// TestExampleVerdict runs the table of examples/verdict/README.md.
func TestExampleVerdict(t *testing.T) {
	requirePart(t, "python3")
	p := example(t, "verdict")
	p.write("data.txt", "1\n2\n3\n")
	page := p.read("README.md")
	rows := 0
	for line := range strings.SplitSeq(page, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| `") || strings.HasPrefix(line, "| `--") || len(cells) != 4 {
			continue
		}
		rows++
		nature, with, want := strings.Trim(cells[0], " `"), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		result, cause, _ := strings.Cut(strings.TrimPrefix(want, "`"), "`")
		var env []string
		line := "runpin record --name row --dataset data=data.txt --output model=out --metrics metrics.json "
		switch {
		case strings.HasPrefix(with, "neither"):
			line = "runpin record --name row --dataset data=data.txt "
		case strings.HasSuffix(with, " set"):
			env = append(env, "PYTHONHASHSEED=0")
			fallthrough
		default:
			flags, _, _ := strings.Cut(strings.TrimPrefix(with, "`"), "`")
			line += flags
		}
		out, metrics := "{model}", "{metrics}"
		if result == "not-comparable" {
			out, metrics = "out", "metrics.json"
		}
		line += " -- python3 train.py --data {data} --out " + out + " --metrics " + metrics + " --nature " + nature + " --rate 0." + fmt.Sprint(rows)
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = p.project, append(p.env, env...)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, output)
		}
		of := p.show("latest")
		code, _, stderr := p.run(nil, "", "rerun", string(of.ID), "--execute")
		again := p.show("latest")
		if again.RerunOf != of.ID || again.Verdict == nil || string(again.Verdict.Result) != result {
			t.Errorf("%s %s: exit code %d, verdict %+v, want %s\n%s", nature, with, code, again.Verdict, result, stderr)
			continue
		}
		if said := strings.TrimPrefix(cause, ": "); strings.HasPrefix(said, "same inputs") && !strings.Contains(again.Verdict.Cause, said) {
			t.Errorf("%s: the cause is %q, want %q", nature, again.Verdict.Cause, said)
		}
		if result == "different" && (len(again.Verdict.Outputs) != 1 || len(again.Verdict.Outputs[0].Files) != 1 || again.Verdict.Outputs[0].Files[0].Name != "model.json") {
			t.Errorf("%s: outputs %+v", nature, again.Verdict.Outputs)
		}
		wantCode := map[string]int{"identical": 0, "equivalent": 0, "different": exitDifferent, "not-comparable": exitNotComparable}[result]
		if code != wantCode {
			t.Errorf("%s: exit code %d, want %d", nature, code, wantCode)
		}
	}
	if rows != 10 {
		t.Errorf("the table has %d rows", rows)
	}
}
