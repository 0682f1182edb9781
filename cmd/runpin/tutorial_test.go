package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTutorial types what docs/tutorial.md says, up to the section that needs a registry, and holds the exit codes to what the text promises.
func TestTutorial(t *testing.T) {
	requirePart(t, "sh", "git", "sha256sum")
	text, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	here, _, found := strings.Cut(string(text), "\n## 7. ")
	if !found {
		t.Fatal("the tutorial has no section 7")
	}
	var script strings.Builder
	for line := range strings.Lines(here) {
		command, indented := strings.CutPrefix(line, "    ")
		if !indented {
			continue
		}
		script.WriteString(command)
		if strings.HasPrefix(command, "runpin ") {
			script.WriteString("echo $? >&3\n")
		}
	}
	dir := t.TempDir()
	codes, err := os.Create(filepath.Join(dir, "codes"))
	if err != nil {
		t.Fatal(err)
	}
	defer codes.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script.String())
	cmd.Dir, cmd.ExtraFiles = dir, []*os.File{codes}
	cmd.Env = append(os.Environ(), "HOME="+filepath.Join(dir, "home"), "XDG_DATA_HOME=", "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", "RUNPIN_STORE=",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(codes.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0", "0", "0", // record, list, show
		"0",      // rerun
		"0", "0", // record and rerun with changes
		"0",             // diff
		"14", "14", "0", // check, refused, put right
		"0", "13", // record a param, change it
	}
	if diff := cmp.Diff(want, strings.Fields(string(got))); diff != "" {
		t.Errorf("exit codes of the tutorial's commands (-want +got):\n%s", diff)
	}
}
