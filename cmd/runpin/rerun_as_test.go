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
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		t.Run(shell[0], func(t *testing.T) {
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

