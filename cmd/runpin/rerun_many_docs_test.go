//go:build unix

package main

import (
	"os"
	"strings"
	"testing"
)

// TestRerunManyPage types every example of docs/howto/rerun-many.md that calls runpin.
func TestRerunManyPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/howto/rerun-many.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newKillWorld(t)
	for _, name := range []string{"train", "other"} {
		if code, out := w.runpin("record", "--name", name, "--project", "demo", "--param", "name="+name, "--output", "model.txt", "--", "sh", "-c", "echo {name} > model.txt"); code != 0 {
			t.Fatalf("record: exit code %d\n%s", code, out)
		}
	}
	typed := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		command, ok := strings.CutPrefix(line, "    runpin ")
		if !ok {
			continue
		}
		typed++
		sh := w.command(nil)
		sh.Path, sh.Args = "/bin/sh", []string{"sh", "-c", "runpin " + command}
		if out, err := sh.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	if typed != 6 {
		t.Errorf("%d examples were typed, want 6", typed)
	}
}
