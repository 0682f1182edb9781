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
