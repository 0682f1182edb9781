package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/render"
)

// TestRerunElsewhere types every example of docs/howto/rerun-elsewhere.md that calls runpin, and the script that one of them writes; each format has one.
func TestRerunElsewhere(t *testing.T) {
	w := newWorld(t)
	const url = "https://git.example.com/team/trainer.git"
	runGit(t, w.project, "remote", "set-url", "origin", url)
	w.env = append(w.env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://"+w.remote+".insteadOf", "GIT_CONFIG_VALUE_0="+url)
	w.record("--name", "train", "--image", w.image, "--insecure-registry", w.registry, "--param", "lr=0.1", "--dataset", "data=data", "--output", "sum=out.txt", "--", "sh", "train.sh", "data", "out.txt", "{lr}")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "howto", "rerun-elsewhere.md"))
	if err != nil {
		t.Fatal(err)
	}
	typed := map[string]bool{}
	var script strings.Builder
	for line := range strings.SplitSeq(string(page), "\n") {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		script.WriteString(command + " || { echo failed: '" + command + "'; exit 1; }\n")
		if _, rest, ok := strings.Cut(command, "--as "); ok {
			format, _, _ := strings.Cut(rest, " ")
			typed[format] = true
		}
	}
	for _, name := range render.Names() {
		if !typed[name] {
			t.Errorf("the page has no example of %s", name)
		}
	}
	code, said := w.shell(script.String())
	if code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// shell runs a script in the project.
func (w *world) shell(script string) (code int, said string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "sh", "-s")
	cmd.Stdin, cmd.Dir, cmd.Env = strings.NewReader(script), w.project, w.env
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}
