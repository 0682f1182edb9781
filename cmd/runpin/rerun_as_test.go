package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code"
	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/all"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/rerun/render"
	"github.com/runpin/runpin/schema"
)

func plainOptions() render.Options {
	return render.Options{ReplaceRoot: process.ReplaceRoot, Expand: func(template []string, values map[string]string) []string {
		argv, _ := process.Expand(template, values)
		return argv
	}}
}

// TestShellRestores holds what `rerun --as shell` writes to the suite of the built-in restore, in each shell that is here.
func TestShellRestores(t *testing.T) {
	for _, shell := range [][]string{{"sh"}, {"bash"}, {"busybox", "sh"}} {
		t.Run(shell[0], func(t *testing.T) {
			requirePart(t, shell[0], "git")
			codetest.RunRestore(t, codetest.Restorer{
				Capture: func(t *testing.T, repo *codetest.Repo) (schema.CodePin, *codetest.Blobs) {
					blobs := &codetest.Blobs{}
					pin, err := code.New(code.Options{Now: time.Now}).ResolveCode(t.Context(), recorder.CodeRequest{Name: "code", Ref: ".", WorkDir: repo.Dir, Sink: blobs})
					if err != nil {
						t.Fatal(err)
					}
					return pin, blobs
				},
				Restore: func(t *testing.T, pin schema.CodePin, blobs *codetest.Blobs, dir string) error {
					run := schema.Run{ID: "01JDABCDEFGHJKMNPQRSTVWXYZ"}
					run.CommandTemplate = schema.Texts([]string{"true"})
					run.Code = []schema.CodePin{pin}
					var script bytes.Buffer
					if _, err := render.Render(t.Context(), &script, "shell", run, blobs, plainOptions()); err != nil {
						return err
					}
					cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-s")...)
					cmd.Stdin = &script
					cmd.Env = append(os.Environ(), "RUNPIN_DIR="+dir+".made")
					said, err := cmd.CombinedOutput()
					if err != nil {
						return fmt.Errorf("%w: %s", err, said)
					}
					return os.Rename(filepath.Join(dir+".made", "code"), dir)
				},
			})
		})
	}
}

// TestShellGuards: the digest that a script recomputes is the recorded one, for everything that a data set can hold, and any change stops the command.
func TestShellGuards(t *testing.T) {
	requirePart(t, "busybox")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	toolboxes := map[string]string{"coreutils": os.Getenv("PATH"), "busybox": bin}
	for _, applet := range []string{"sh", "sha256sum", "find", "sort", "sed", "cut", "test", "ls", "mkdir", "rm", "ln", "readlink", "printf", "cat", "true", "["} {
		if err := os.Symlink(busybox, filepath.Join(bin, applet)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, path, content string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, target, path string) {
		t.Helper()
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	plant := map[string]func(t *testing.T, dir string){
		"plain": func(t *testing.T, dir string) {
			for i, name := range []string{"a", "a-b/c", "a.txt", "ab/c/d", "ab/c.d", "Z", "ü/é", " ", "a b", "  two", "-n", "$x", "'q'", "*", "d/.hidden"} {
				write(t, filepath.Join(dir, name), fmt.Sprint(i), 0o644)
			}
		},
		"sidecar": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "run.sh"), "x", 0o755)
			write(t, filepath.Join(dir, "sub/tool"), "x", 0o744)
			write(t, filepath.Join(dir, "sub/data"), "x", 0o644)
			link(t, "sub/tool", filepath.Join(dir, "to-tool"))
			link(t, "sub/data", filepath.Join(dir, "to-data"))
			link(t, "sub", filepath.Join(dir, "to-sub"))
			if err := os.MkdirAll(filepath.Join(dir, "empty/er"), 0o755); err != nil {
				t.Fatal(err)
			}
		},
		"backslash": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, `back\slash`), "1", 0o644)
			write(t, filepath.Join(dir, `a\nb`), "2", 0o644)
		},
		"newline": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "a\nb"), "1", 0o644)
			write(t, filepath.Join(dir, "c\rd"), "2", 0o644)
			write(t, filepath.Join(dir, `e\f`), "3", 0o644)
		},
		"empty": func(t *testing.T, dir string) {},
	}
	changes := map[string]func(t *testing.T, dir string){
		"a file more":      func(t *testing.T, dir string) { write(t, filepath.Join(dir, "zz"), "", 0o644) },
		"a hidden file":    func(t *testing.T, dir string) { write(t, filepath.Join(dir, ".x"), "", 0o644) },
		"an empty folder":  func(t *testing.T, dir string) { os.Mkdir(filepath.Join(dir, "zz"), 0o755) },
		"a link to itself": func(t *testing.T, dir string) { link(t, ".", filepath.Join(dir, "zz")) },
		"a broken link":    func(t *testing.T, dir string) { link(t, "nowhere", filepath.Join(dir, "zz")) },
		"an executable":    func(t *testing.T, dir string) { write(t, filepath.Join(dir, "zz"), "", 0o755) },
		"a newline":        func(t *testing.T, dir string) { write(t, filepath.Join(dir, "z\nz"), "", 0o644) },
		"a device":         func(t *testing.T, dir string) { link(t, "/dev/null", filepath.Join(dir, "zz")) },
		"gone":             func(t *testing.T, dir string) { os.RemoveAll(dir) },
	}
	guard := func(t *testing.T, pin schema.DatasetPin, path string) (int, string) {
		run := schema.Run{ID: "01JDABCDEFGHJKMNPQRSTVWXYZ"}
		run.CommandTemplate = schema.Texts([]string{"true"})
		run.Datasets = []schema.DatasetPin{pin}
		var script bytes.Buffer
		if _, err := render.Render(t.Context(), &script, "shell", run, nil, plainOptions()); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(firstWith(path, "sh"), "sh"), "-s")
		cmd.Stdin, cmd.Dir = &script, t.TempDir()
		cmd.Env = []string{"PATH=" + path}
		said, err := cmd.CombinedOutput()
		if left, _ := os.ReadDir(cmd.Dir); err != nil && len(left) > 0 {
			t.Errorf("%s is left behind", left[0].Name())
		}
		return cmd.ProcessState.ExitCode(), string(said)
	}
	for name, put := range plant {
		for toolbox, path := range toolboxes {
			if toolbox == "busybox" && name == "newline" {
				continue // its sha256sum does not escape names: the command does not start
			}
			t.Run(name+"/"+toolbox, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "it's data")
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				put(t, dir)
				pin := pinOf(t, dir)
				if code, said := guard(t, pin, path); code != 0 {
					t.Fatalf("exit code %d: %s", code, said)
				}
				for change, do := range changes {
					do(t, dir)
					if code, said := guard(t, pin, path); code != 14 {
						t.Errorf("%s: exit code %d: %s", change, code, said)
					}
					os.RemoveAll(dir)
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
					put(t, dir)
				}
			})
		}
	}
	for toolbox, path := range toolboxes {
		t.Run("file/"+toolbox, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "d.csv")
			for _, mode := range []os.FileMode{0o644, 0o755} {
				os.Remove(file)
				write(t, file, "1,2\n", mode)
				pin := pinOf(t, file)
				if code, said := guard(t, pin, path); code != 0 {
					t.Errorf("exit code %d: %s", code, said)
				}
				if err := os.Chmod(file, mode^0o111); err != nil {
					t.Fatal(err)
				}
				if code, _ := guard(t, pin, path); code != 14 {
					t.Errorf("another executable bit: exit code %d", code)
				}
				write(t, file, "1,3\n", mode)
				if code, _ := guard(t, pin, path); code != 14 {
					t.Errorf("another content: exit code %d", code)
				}
			}
		})
	}
}

func firstWith(path, program string) string {
	for _, dir := range filepath.SplitList(path) {
		if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
			return dir
		}
	}
	return ""
}

func pinOf(t *testing.T, path string) schema.DatasetPin {
	t.Helper()
	resolver := dataset.New(all.Backends(dataset.Options{Host: "node7", Now: time.Now}))
	pin, err := resolver.ResolveDataset(t.Context(), recorder.DatasetRequest{Name: "train", URI: path, WorkDir: filepath.Dir(path), Sink: &codetest.Blobs{}})
	if err != nil {
		t.Fatal(err)
	}
	return pin
}
