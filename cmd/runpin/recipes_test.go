package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTrackerRecipes types every recipe of docs/mlflow.md, for a run with all kinds of pins and for one with none.
func TestTrackerRecipes(t *testing.T) {
	requirePart(t, "jq", "sh")
	page, err := os.ReadFile("../../docs/mlflow.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "RUNPIN_STORE="+filepath.Join(dir, "s.db"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "RUNPIN_USER=m")
	sh := func(line string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	sh("echo data > data.txt && echo true > run.sh && runpin record --name full --dataset data=data.txt --id-file id -- sh run.sh && runpin record --no-code --name bare --id-file bare -- true")
	for _, run := range []string{"full", "bare"} {
		recipes := 0
		for line := range strings.SplitSeq(string(page), "\n") {
			recipe, ok := strings.CutPrefix(line, `    runpin show "$RUNPIN_RUN_ID" --json | `)
			if !ok {
				continue
			}
			recipes++
			file := map[string]string{"full": "id", "bare": "bare"}[run]
			out := sh(`RUNPIN_RUN_ID=$(cat ` + file + `); runpin show "$RUNPIN_RUN_ID" --json | ` + recipe)
			if _, into, redirected := strings.Cut(recipe, "> "); redirected {
				content, err := os.ReadFile(filepath.Join(dir, into))
				if err != nil {
					t.Fatal(err)
				}
				out = string(content)
			}
			id, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, strings.TrimSpace(string(id))) || run == "full" && !strings.Contains(out, "data") {
				t.Errorf("%s: %s\n%s", run, recipe, out)
			}
			if !strings.HasPrefix(recipe, "jq -r") && !json.Valid([]byte(out)) {
				t.Errorf("%s is no JSON: %s", recipe, out)
			}
		}
		if recipes != 4 {
			t.Errorf("%d recipes were found, want 4", recipes)
		}
	}
}
