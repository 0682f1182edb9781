package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The hooks and actions that others use are run here as they will be there, on a spec that passes and one that does not.

const (
	hookPinned = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    image: 127.0.0.1:9/team/a:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
	// Nothing answers there: what is asked for fails too.
	hookMoving = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    image: 127.0.0.1:9/team/a:latest\n"
)

func TestPreCommitHooks(t *testing.T) {
	data, err := os.ReadFile("../../.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var hooks []struct {
		ID, Name, Description, Entry, Language, Files string
		Args                                          []string
		PassFilenames                                 bool `yaml:"pass_filenames"`
		RequireSerial                                 bool `yaml:"require_serial"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&hooks); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, h := range hooks {
		ids = append(ids, h.ID)
		words := strings.Fields(h.Entry)
		if words[0] != "runpin" || h.Language != "golang" || h.PassFilenames || len(h.Args) == 0 {
			t.Errorf("%s: entry %q, language %q, pass_filenames %v, args %v", h.ID, h.Entry, h.Language, h.PassFilenames, h.Args)
			continue
		}
		argv := append(words[1:], h.Args...)
		if h.ID == "runpin-lint" {
			argv = append(argv, "--offline")
		}
		checkEntry(t, h.ID, func(dir string) *exec.Cmd {
			cmd := exec.Command(programIn(t, t.TempDir()), argv...)
			cmd.Dir = dir
			return cmd
		})
	}
	if got := strings.Join(ids, " "); got != "runpin-pin-check runpin-lint" {
		t.Errorf("the hooks are %s", got)
	}
}

func TestActions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scripts are run by the bash of a unix here")
	}
	for _, name := range []string{"lint", "pin"} {
		data, err := os.ReadFile("../../.github/actions/" + name + "/action.yml")
		if err != nil {
			t.Fatal(err)
		}
		var action struct {
			Name, Description string
			Inputs            map[string]struct{ Description, Default string }
			Runs              struct {
				Using string
				Steps []struct {
					Uses, Shell, Run string
					WorkingDirectory string `yaml:"working-directory"`
					With, Env        map[string]string
				}
			}
		}
		dec := yaml.NewDecoder(bytes.NewReader(data))
		dec.KnownFields(true)
		if err := dec.Decode(&action); err != nil {
			t.Fatal(err)
		}
		steps := action.Runs.Steps
		for _, s := range steps {
			if strings.Contains(s.Run, "${{") {
				t.Errorf("%s: an expression stands in a script, where an input could run commands: %s", name, s.Run)
			}
			if s.Run != "" && s.Shell == "" {
				t.Errorf("%s: a step of a composite action has no shell: %s", name, s.Run)
			}
		}
		last := steps[len(steps)-1]
		used := map[string]bool{}
		var env []string
		for variable, expression := range last.Env {
			input := strings.TrimSuffix(strings.TrimPrefix(expression, "${{ inputs."), " }}")
			given, ok := action.Inputs[input]
			if !ok {
				t.Errorf("%s: %s is %q, which is no input", name, variable, expression)
			}
			used[input] = true
			value := given.Default
			if input == "offline" {
				value = "true"
			}
			env = append(env, variable+"="+value)
		}
		for input := range action.Inputs {
			if !used[input] {
				t.Errorf("%s: the input %s is not used", name, input)
			}
		}
		checkEntry(t, name, func(dir string) *exec.Cmd {
			temp := t.TempDir()
			programIn(t, filepath.Join(temp, "runpin-bin"))
			// As the runner starts `shell: bash`.
			cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", last.Run)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), append(env, "RUNNER_TEMP="+temp)...)
			return cmd
		})
	}
}

// checkEntry runs a command in a directory with a pinned spec, where it must pass, and in one with another, where it must not, for that reason.
func checkEntry(t *testing.T, name string, command func(dir string) *exec.Cmd) {
	t.Helper()
	for _, c := range []struct {
		spec string
		ok   bool
	}{{hookPinned, true}, {hookMoving, false}} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "job.yaml"), []byte(c.spec), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := command(dir)
		if cmd.Env == nil {
			cmd.Env = os.Environ()
		}
		cmd.Env = append(cmd.Env, "HOME="+dir, "XDG_CACHE_HOME="+dir+"/.cache", "RUNPIN_STORE="+dir+"/.runpin.db", "RUNPIN_RETRY_BUDGET=1ms")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		switch {
		case err != nil && !errors.As(err, &exit):
			t.Fatal(err)
		case c.ok && err != nil:
			t.Errorf("%s: a pinned spec fails: %v\n%s", name, err, out)
		case !c.ok && (err == nil || exit.ExitCode() == 2 || !bytes.Contains(out, []byte("team/a"))):
			t.Errorf("%s: a spec that is not pinned: %v\n%s", name, err, out)
		}
	}
}

// programIn puts the program under test into a directory: the test binary is runpin when it is called so.
func programIn(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "runpin")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if err := os.Link(self, path); err != nil {
		if err := os.Symlink(self, path); err != nil {
			t.Fatal(err)
		}
	}
	return path
}
