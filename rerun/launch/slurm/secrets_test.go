//go:build unix

package slurm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
)

// What Slurm gets of a command, and may keep, has neither its arguments nor the variables that are withheld; they wait in a file of the user's, which is gone in the end.
func TestSlurmGetsNoSecret(t *testing.T) {
	seen := t.TempDir()
	dir := programs(t, map[string]string{
		"sbatch": "echo \"$@\" > '" + seen + "/args'; cat > '" + seen + "/script'; cat <&3 > '" + seen + "/env'; ls -l .runpin-slurm-*.job > '" + seen + "/mode'; cat .runpin-slurm-*.job > '" + seen +
			"/job'; echo 'sbatch: error: no such partition' >&2; exit 1",
		"scontrol": "echo 'ClusterName             = test'", "sinfo": "exit 1", "squeue": "exit 1", "sacct": "exit 1"})
	l := New(Options{Path: dir + ":" + os.Getenv("PATH")})
	work := t.TempDir()
	t.Chdir(work)
	_, err := l.Launch(t.Context(), launch.Job{Argv: []string{"train", "--key", "s3cret-argument"}, Dir: work, Env: []string{"PATH=/bin", "KEY=s3cret-variable", "odd.name=s3cret-odd"}, Withheld: []string{"KEY"}})
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(seen, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, name := range []string{"args", "script", "env"} {
		if text := read(name); strings.Contains(text, "s3cret") || text == "" {
			t.Errorf("%s: %s", name, text)
		}
	}
	if job := read("job"); strings.Count(job, "s3cret") != 3 || !strings.HasPrefix(read("mode"), "-rw-------") {
		t.Errorf("%s%s", read("mode"), job)
	}
	if left, _ := os.ReadDir(work); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// A node's shell runs the command with all that it is given, and empties the file before it begins.
func TestScriptRunsTheWork(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, shell := range []string{"sh", "bash"} {
		for name, env := range map[string][]string{"plain": {"A=b"}, "odd": {"A=b", "odd.name=o"}} {
			dir := filepath.Join(t.TempDir(), `a 'b' $d`)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			c, err := New(Options{}).command(launch.Job{Dir: dir, Env: append(env, "KEY=it's\n$A secret", "UID=5"), Withheld: []string{"KEY", "UID"},
				Argv: []string{"/bin/sh", "-c", `printf '%s|' "$KEY" "$1" ${#2}; cat .runpin-slurm-*.job; ls .runpin-slurm-*.refused 2>/dev/null; exit 7`, "sh", "an 'argument'\r\n", long}})
			if err != nil {
				t.Fatal(err)
			}
			if err := writeNew(c.file("job"), c.work()); err != nil {
				t.Fatal(err)
			}
			if err := writeNew(c.file("job"), c.work()); err == nil {
				t.Error("a file that is there is written over")
			}
			cmd := exec.CommandContext(t.Context(), shell)
			cmd.Env, cmd.Stdin = append([]string{"PATH=" + os.Getenv("PATH")}, c.env...), bytes.NewReader(c.script())
			out, err := cmd.CombinedOutput()
			if want := "it's\n$A secret|an 'argument'\r\n|100000|"; string(out) != want || cmd.ProcessState.ExitCode() != 7 {
				t.Errorf("%s, %s: %v %q", shell, name, err, out)
			}
			c.job.Argv = []string{"/no/such/program", "s3cret"}
			if err := os.WriteFile(c.file("job"), c.work(), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd = exec.CommandContext(t.Context(), shell)
			cmd.Env, cmd.Stdin = []string{"PATH=" + os.Getenv("PATH")}, bytes.NewReader(c.script())
			out, _ = cmd.CombinedOutput()
			said := exists(c.file("refused")) || shell == "bash" // which runs no trap when exec fails
			if cmd.ProcessState.ExitCode() != launch.CodeNotFound || !said || strings.Contains(string(out), "s3cret") {
				t.Errorf("%s, %s, no program: %v %q", shell, name, cmd.ProcessState, out)
			}
			c.remove()
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
		}
	}
}
