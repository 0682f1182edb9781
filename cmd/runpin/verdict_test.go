package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// TestVerdictNamesPackage: a package was upgraded in the virtual environment between a run and its rerun. The verdict names it, with both versions.
func TestVerdictNamesPackage(t *testing.T) {
	requirePart(t, "python3")
	p := newPipeline(t)
	p.write("train.py", `import sys
from importlib.metadata import version
open("model.txt", "w").write(version("numpy") + "\n")
`)
	p.write(".gitignore", "/.venv/\n/model.txt\n")
	runGit(t, p.project, "add", "-A")
	runGit(t, p.project, "commit", "--quiet", "--message", "training")
	venv := exec.CommandContext(t.Context(), "python3", "-m", "venv", "--without-pip", ".venv")
	venv.Dir = p.project
	if out, err := venv.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	packages, err := filepath.Glob(filepath.Join(p.project, ".venv", "lib", "python3*", "site-packages"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("%v, %v", packages, err)
	}
	install := func(name, version string) {
		t.Helper()
		dir := filepath.Join(packages[0], name+"-"+version+".dist-info")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "METADATA"), []byte("Metadata-Version: 2.1\nName: "+name+"\nVersion: "+version+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install("numpy", "1.26.4")
	install("rich", "13.0")
	p.must(0, "record", "--output", "model=model.txt", "--", ".venv/bin/python", "train.py")
	of := p.show("latest")
	if err := os.RemoveAll(filepath.Join(packages[0], "numpy-1.26.4.dist-info")); err != nil {
		t.Fatal(err)
	}
	install("numpy", "2.0.0")
	code, _, stderr := p.run(nil, "", "rerun", string(of.ID), "--execute")
	v := p.show("latest").Verdict
	if code != exitDifferent || v == nil || v.Result != schema.Differs || !strings.Contains(v.Cause, "packages: 1 package differs: python numpy 1.26.4 → 2.0.0") {
		t.Errorf("exit code %d, verdict %+v\n%s", code, v, stderr)
	}
}

// A person sees the first of many files and suspects, and how many there are.
func TestVerdictLines(t *testing.T) {
	rank := 2
	v := schema.Verdict{Result: schema.Differs, Ignored: []string{"log", "trace"}, More: 3,
		Outputs: []schema.OutputComparison{{Name: "shard", Rank: &rank, Result: schema.Differs, Reason: "its content differs", More: 5}, {Name: "same", Result: schema.Identical}},
		Metrics: []schema.MetricComparison{{Name: "loss", Result: schema.Differs, Reason: "2 instead of 1", Delta: "+1 (+100%)"}, {Name: "acc", Result: schema.Differs, Reason: "the rerun has no such metric"}, {Name: "f1", Result: schema.Identical, Got: "1"}}}
	for range shownFiles + 2 {
		v.Outputs[0].Files = append(v.Outputs[0].Files, schema.DifferenceItem{Name: "a", Change: "changed"})
	}
	for range shownSuspects + 1 {
		v.Suspects = append(v.Suspects, schema.Difference{Text: "packages: 1 package differs"})
	}
	want := "output shard of rank 2: different: its content differs\n" + strings.Repeat("  changed a\n", shownFiles) + "  … and 7 more\noutput same: identical \nmetric loss: different: 2 instead of 1 (+1 (+100%))\n" +
		"metric acc: different: the rerun has no such metric\nmetric f1: identical 1\nignored: log, trace\n" + strings.Repeat("suspect: packages: 1 package differs\n", shownSuspects) + "… and 4 more: `runpin diff` lists them\n"
	if got := strings.Join(verdictLines(v), "\n") + "\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSplitWords(t *testing.T) {
	for in, want := range map[string]string{
		"cmp a b": "cmp|a|b", " cmp \t a\n": "cmp|a", `python3 "my cmp.py" 'a b'`: "python3|my cmp.py|a b", `a\ b "c\"d" 'e\f'`: `a b|c"d|e\f`, `"" x`: "|x", `a"b c"d`: "ab cd", "": "", "$HOME `x` ; y": "$HOME|`x`|;|y",
	} {
		if words, err := splitWords(in); err != nil || strings.Join(words, "|") != want {
			t.Errorf("%q gives %q, %v", in, words, err)
		}
	}
	for _, in := range []string{`"a`, `'a`, `a\`} {
		if words, err := splitWords(in); err == nil {
			t.Errorf("%q gives %q", in, words)
		}
	}
}
