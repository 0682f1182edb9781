package jobspec

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// Each folder of testdata/resubmit holds an object as `kubectl get -o yaml` or -o json gives it, or as people write it, and how it is submitted again.
func TestResubmit(t *testing.T) {
	files, _ := filepath.Glob("testdata/resubmit/*/live.*")
	if len(files) < 4 {
		t.Fatal("no test data")
	}
	for _, path := range files {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out, said, err := Resubmit(path, data, "")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(filepath.Dir(path), "again"+filepath.Ext(path)), out)
			golden(t, filepath.Join(filepath.Dir(path), "said.txt"), []byte(strings.Join(said, "\n")+"\n"))
			twice, said, err := Resubmit(path, out, "")
			if err != nil || !bytes.Equal(twice, out) || len(said) > 0 {
				t.Errorf("again: %v %v\n%s", err, said, twice)
			}
			s, err := Read(path, out)
			if err != nil || s.Live {
				t.Errorf("%v, live %v", err, s.Live)
			}
		})
	}
}

func TestResubmitName(t *testing.T) {
	for _, tc := range []struct{ spec, name, want string }{
		{"metadata: {name: a}", "b", "metadata: {name: b}"},
		{"metadata: {generateName: a-}", "b", "metadata: {name: b}"},
		{"metadata: {generateName: a-}", "", "metadata: {generateName: a-}"},
		{"metadata: {name: a-x7k2p, generateName: a-}", "", "metadata: {generateName: a-}"},
		{"metadata: {name: a-x7k2p, generateName: a-}", "b", "metadata: {name: b}"},
		{"metadata: {\"name\": \"a\"}", "", "metadata: {\"generateName\": \"a-\"}"},
		{"metadata:\n  name: 'a' # mine", "", "metadata:\n  generateName: 'a-' # mine"},
		{"metadata: {name: " + strings.Repeat("a", 60) + "}", "", "metadata: {generateName: " + strings.Repeat("a", 50) + "-}"},
	} {
		head := "apiVersion: batch/v1\nkind: Job\n"
		out, _, err := Resubmit("f", []byte(head+tc.spec+"\n"), tc.name)
		if err != nil || string(out) != head+tc.want+"\n" {
			t.Errorf("%s: %v\n%s", tc.spec, err, out)
		}
	}
	for _, name := range []string{"A", "-a", "a_b", strings.Repeat("a", 64), "a\nb", "a: b"} {
		if _, _, err := Resubmit("f", []byte("kind: Job\n"), name); schema.KindOf(err) != schema.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
