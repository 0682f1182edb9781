package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRerunNeedsPage types every example of docs/howto/rerun-needs.md; lines below one that begin with "runpin: " are what it says.
func TestRerunNeedsPage(t *testing.T) {
	w := newWorld(t)
	w.write("project/token", "--api-key=hunter2hunter2hunter2\n")
	w.write("project/tracker.env", "WANDB_API_KEY=0123456789\n")
	w.write("project/.gitignore", "/data/\n/out/\n/token\n/tracker.env\n/*.txt\n")
	w.record("--name", "train", "--dataset", "data=data", "--output", "model=s3://models/run1/m.pt", "--output", "sum=out.txt", "--",
		"sh", "train.sh", "data", "out.txt", "--out", "s3://models/run1/m.pt", "--api-key=hunter2hunter2hunter2")
	w.env = append(w.env, "IMAGE="+w.image)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "howto", "rerun-needs.md"))
	if err != nil {
		t.Fatal(err)
	}
	typed, said := 0, ""
	for line := range strings.SplitSeq(string(page), "\n") {
		command, ok := strings.CutPrefix(line, "    ")
		switch {
		case !ok:
			continue
		case strings.HasPrefix(command, "runpin: "):
			if !strings.Contains(said, command+"\n") {
				t.Errorf("it does not say %q:\n%s", command, said)
			}
			continue
		}
		typed++
		var code int
		code, said = w.shell(command)
		want := exitNotComparable // an output that is a URI has no digest to compare
		switch {
		case strings.HasSuffix(command, "--secret api_key=@token"):
			want = exitConflict
		case strings.HasSuffix(command, "rerun tracked --execute"):
			want = exitUsage
		}
		if code != want && (code != 0 || want != exitNotComparable) {
			t.Errorf("%s: exit code %d: %s", command, code, said)
		}
	}
	if typed != 12 {
		t.Errorf("%d examples were found", typed)
	}
}
