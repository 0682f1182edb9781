package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// plan records the job that a file describes and gives the run's id and the file with its pinned spec.
func (p *pipeline) plan(file string, more ...string) (id, pinned string) {
	p.t.Helper()
	pinned = "pinned-" + filepath.Base(file)
	id = strings.TrimSpace(p.must(0, append([]string{"record", "--job", file, "--pinned", pinned, "--dataset", "train=data", "--code", "."}, more...)...))
	if !regexp.MustCompile(`^[0-9A-Z]{26}$`).MatchString(id) {
		p.t.Fatalf("record --job says %q, want the run's id alone", id)
	}
	if text := p.read(pinned); !strings.Contains(text, id) {
		p.t.Fatalf("the pinned spec is not stamped with %s:\n%s", id, text)
	}
	return id, pinned
}

// TestPipelineSbatch is the sentence that the issue ends with, on a real Slurm: a job is planned and pinned, submitted, requeued in the middle, joined by its
// four ranks through a spool, folded in, and run again from its record.
func TestPipelineSbatch(t *testing.T) {
	s := startSlurm(t, 2)
	p := newPipeline(t)
	spool := filepath.Join(p.project, "spool")
	p.write("preempt", "")

	first, pinned := p.plan("train.sbatch")
	job := p.submit(s, pinned, "spool:"+spool)
	if said := s.Scontrol(t, "show", "job", job, "--oneliner"); !strings.Contains(said, "Restarts=1") {
		t.Fatalf("the job was not requeued: %s", said)
	}
	p.must(0, "import", spool)
	if code, stdout, stderr := p.run(s.Env, "", "finish", first, "--slurm", job); code != 0 {
		t.Errorf("finish --slurm: exit code %d\n%s%s", code, stdout, stderr)
	}
	old := p.mustHoldJob(first, 2)
	tries := map[int]bool{}
	for _, a := range old.Attempts {
		tries[a.Number] = true
	}
	if !tries[1] || !tries[2] {
		t.Errorf("attempts %+v, want those of the first try and of the second", old.Attempts)
	}
	// Folding the same spool in again changes nothing.
	before := p.must(0, "show", first, "--json")
	p.must(0, "import", spool)
	if after := p.must(0, "show", first, "--json"); after != before {
		t.Errorf("a second import changed the run:\n%s\n%s", before, after)
	}

	// Again, from the record.
	spec := filepath.Join(t.TempDir(), "again.sbatch") // not in the checkout, which is the code of both
	if err := os.WriteFile(spec, []byte(p.must(0, "rerun", first, "--no-stamp")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(p.project, "model.txt")); err != nil {
		t.Fatal(err)
	}
	second, pinned := p.plan(spec)
	job = p.submit(s, pinned, "spool:"+spool)
	p.must(0, "import", spool)
	if code, stdout, stderr := p.run(s.Env, "", "finish", second, "--slurm", job); code != 0 {
		t.Errorf("finish --slurm: exit code %d\n%s%s", code, stdout, stderr)
	}
	again := p.mustHoldJob(second, 1)
	if len(old.Outputs) == 1 && len(again.Outputs) == 1 && old.Outputs[0].FileDigest != again.Outputs[0].FileDigest {
		t.Errorf("output %s, then %s", old.Outputs[0].FileDigest, again.Outputs[0].FileDigest)
	}
	p.must(0, "verify", second, "--against", first)
	p.must(0, "diff", first, second, "--exit-code")
}
