package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRerunPage types every example of docs/howto/rerun.md, one after the other in one shell, and requires what the page shows: a line that begins with $ is typed,
// those after it are what comes out, but for ids, digests and directories.
func TestRerunPage(t *testing.T) {
	w := newWorld(t)
	w.write("project/train.sh", "cat settings.txt \"$1\"/*.csv | sha256sum > \"$2\"\n")
	runGit(t, w.project, "commit", "--quiet", "--all", "--message", "as in the guide")
	runGit(t, w.project, "push", "--quiet")
	w.write("data/a.csv", "1 2 3\n")
	w.write("data/b.csv", "4 5 6\n")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "howto", "rerun.md"))
	if err != nil {
		t.Fatal(err)
	}
	var typed, shown []string
	for line := range strings.SplitSeq(string(page), "\n") {
		line, indented := strings.CutPrefix(line, "    ")
		if !indented {
			continue
		}
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			typed, shown = append(typed, command), append(shown, "")
		} else if len(typed) > 0 {
			shown[len(shown)-1] += line + "\n"
		}
	}
	if len(typed) < 10 {
		t.Fatalf("the page has %d examples", len(typed))
	}
	var script strings.Builder
	for i, command := range typed {
		fmt.Fprintf(&script, "(exit $last); { %s\n} 2>&1; last=$?; echo '@@%d'\n", command, i)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-s")
	cmd.Stdin, cmd.Dir, cmd.Env = strings.NewReader("last=0\n"+script.String()), w.project, w.env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	rest := string(out)
	for i, command := range typed {
		got, after, found := strings.Cut(rest, fmt.Sprintf("@@%d\n", i))
		if !found {
			t.Fatalf("the shell did not come to %q:\n%s", command, rest)
		}
		rest = after
		if got, want := w.anonymous(got), w.anonymous(shown[i]); got != want {
			t.Errorf("$ %s\ngives\n%s\nthe page shows\n%s", command, got, want)
		}
	}
}

var anonymities = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`/\S*/reruns/[a-z0-9]+-\w+`), "RERUNS"},
	{regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{26}\b`), "RUN"},
	{regexp.MustCompile(`(?m)^[0-9A-HJKMNP-TV-Z]{8}\b`), "ID"},
	{regexp.MustCompile(`sha256:[0-9a-f]{12,64}\b`), "DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "COMMIT"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

// anonymous replaces what is another each time.
func (w *world) anonymous(text string) string {
	text = strings.ReplaceAll(text, w.dir, "/home/me")
	for _, a := range anonymities {
		text = a.pattern.ReplaceAllString(text, a.with)
	}
	return text
}
