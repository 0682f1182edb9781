package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTutorial types what docs/tutorial.md tells the reader to type, sections 1 to 7, in one shell session, and requires of each command the exit code
// that the text promises: 0 unless it is listed here.
func TestTutorial(t *testing.T) {
	requirePart(t, "git")
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	promised := map[string]string{"runpin check five": "14", "runpin rerun latest --execute --set rate=0.2": "13"}
	var script strings.Builder
	changed := false // between the edit of the data and its undoing, a rerun is refused
	section, inHere := "", false
	for _, line := range strings.Split(string(text), "\n") {
		if head, ok := strings.CutPrefix(line, "## "); ok {
			section, _, _ = strings.Cut(head, ".")
		}
		command, indented := strings.CutPrefix(line, "    ")
		if !indented || !strings.Contains("1234567", section) || section == "" {
			continue
		}
		script.WriteString(command + "\n")
		if strings.HasSuffix(command, "<<'END'") {
			inHere = true
		}
		if inHere {
			inHere = command != "END"
			if inHere {
				continue
			}
		}
		changed = changed && !strings.HasPrefix(command, "rm data/c.csv") || strings.Contains(command, "> data/c.csv")
		want := promised[command]
		if want == "" {
			want = "0"
		}
		if changed && command == "runpin rerun five --execute" {
			want = "14"
		}
		script.WriteString("code=$?; [ $code = " + want + " ] || { echo \"exit code $code, promised " + want + ": " + strings.NewReplacer(`"`, "'", "$", "").Replace(command) + "\" >&2; exit 99; }\n")
	}
	if strings.Count(script.String(), "runpin ") < 10 {
		t.Fatalf("the tutorial has too few commands:\n%s", script.String())
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "RUNPIN_STORE="+filepath.Join(dir, "s.db"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
