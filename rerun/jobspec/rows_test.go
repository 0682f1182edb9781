package jobspec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every row of the table has a golden file, so that a new row cannot come without one.
func TestEveryRowHasAGolden(t *testing.T) {
	seen := map[string]bool{}
	specs, _ := filepath.Glob("testdata/*/spec.*")
	for _, path := range specs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Base(path)
		if name, err := os.ReadFile(filepath.Dir(path) + "/name.txt"); err == nil {
			file = strings.TrimSpace(string(name))
		}
		if isScript(file, data) {
			continue
		}
		roots, err := nodes(data)
		if err != nil {
			t.Fatal(path, err)
		}
		for _, root := range roots {
			v, _, err := expand(root, maxValues)
			if err != nil {
				t.Fatal(path, err)
			}
			seen[groupOf(v.get("apiVersion").text())+"/"+v.get("kind").text()] = true
			if k := formatOf(file, v); k != nil && v.get("kind") == nil {
				seen[k.name] = true
			}
		}
	}
	for _, k := range kinds {
		// Kueue's copy of a job is always a problem: see TestKindProblems.
		if !seen[k.group+"/"+k.name] && k.name != "Workload" {
			t.Errorf("no golden for kind %s of %q", k.name, k.group)
		}
	}
	for _, k := range formats {
		if !seen[k.name] {
			t.Errorf("no golden for %s", k.name)
		}
	}
}
