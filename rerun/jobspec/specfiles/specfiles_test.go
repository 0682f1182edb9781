package specfiles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for path, content := range map[string]string{
		"job.yaml": "apiVersion: v1\n", "deep/er/list.json": `{"apiVersion": "v1"}`, "notes.yaml": "a: b\n", "train.sbatch": "#!/bin/sh\n", "setup.sh": "#!/bin/sh\n", "run.sh": "#!/bin/sh\n#SBATCH -n 1\n",
		".github/workflows/ci.yml": "jobs: {a: {runs-on: x}}\n", ".git/config.yaml": "apiVersion: v1\n", "node_modules/a.yaml": "apiVersion: v1\n", ".hidden/a.yaml": "apiVersion: v1\n",
		"package-lock.json": `{"image": 1}`, "Dockerfile": "FROM x\n", "sub/Dockerfile.gpu": "FROM x\n", "data.yaml": "image\x00", "odd name\n.yaml": "image: x\n", "text.md": "image: x\n", ".gitlab-ci.yml": "image: x\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "x.yaml"), []byte("apiVersion: v1"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link.yaml": filepath.Join(outside, "x.yaml"), "linked": outside, "loop": "."} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Find([]string{".", "job.yaml", "./deep"})
	got = slices.DeleteFunc(got, func(path string) bool {
		data, err := os.ReadFile(path)
		return err != nil || !Candidate(path, data)
	})
	want := []string{".github/workflows/ci.yml", ".gitlab-ci.yml", "Dockerfile", "deep/er/list.json", "job.yaml", "odd name\n.yaml", "run.sh", "sub/Dockerfile.gpu", "train.sbatch"}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
	got, err = Find([]string{"notes.yaml", "link.yaml"}) // what is named is taken
	if d := cmp.Diff([]string{"link.yaml", "notes.yaml"}, got); d != "" || err != nil {
		t.Error(err, d)
	}
	_, err = Find([]string{"nowhere", "job.yaml"})
	if schema.KindOf(err) != schema.Invalid || !strings.Contains(err.Error(), "nowhere: no such file") {
		t.Error(err)
	}
	if os.Getuid() != 0 {
		if err := os.Chmod("deep", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Find([]string{"."}); schema.KindOf(err) != schema.Unavailable {
			t.Error(err)
		}
		_ = os.Chmod("deep", 0o755)
	}
}
