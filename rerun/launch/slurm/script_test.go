package slurm

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

func TestDirectives(t *testing.T) {
	text := `#!/bin/bash
# a comment
#SBATCH --output="a b.out" -e'c\d' --array 1-3 # --comment=no

#SBATCH -D/data --wait -Jname
#SBATCH -n4 -HW
#SBATCH -pgpu -o second\ one
 #SBATCH --clusters=no
##SBATCH --clusters=no
echo x
#SBATCH --clusters=no
`
	d := readDirectives([]byte(text))
	if len(d.wait) != 1 || text[d.wait[0].start:d.wait[0].end] != "--wait" {
		t.Errorf("%v", d.wait)
	}
	d.wait = nil
	want := directives{output: "second one", errors: "cd", hasError: true, array: "1-3", chdir: "/data", name: "name", held: true, waitInside: true}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v, want %+v", d, want)
	}
	if got := string(cut([]byte("#!/bin/sh\n#SBATCH --wait -n 1 -W\nexit\n"), readDirectives([]byte("#!/bin/sh\n#SBATCH --wait -n 1 -W\nexit\n")).wait)); got != "#!/bin/sh\n#SBATCH  -n 1 \nexit\n" {
		t.Errorf("%q", got)
	}
	for line, want := range map[string]string{"-o a#b": "a", `-o "a#b"`: "a#b", "-o 'x y'z": "x yz", `-o "x\"y"`: `x"y`, `-o 'x\y'`: "xy", "--out=abbr": "abbr", "--output abbr2": "abbr2", "-Ho held": "held", "-o one #-o two": "one"} {
		if d := readDirectives([]byte("#!/bin/sh\n#SBATCH " + line + "\n")); d.output != want { // as sbatch 22.05 reads them
			t.Errorf("%s: %q, want %q", line, d.output, want)
		}
	}
	if d := readDirectives([]byte("#!/bin/sh\n#SBATCH -n1\n#SBATCH hetjob\n")); !d.hetjob {
		t.Error("not seen as heterogeneous")
	}
}

func FuzzDirectives(f *testing.F) {
	f.Add([]byte("#!/bin/sh\n#SBATCH --wait -o 'a b' -W\nx"))
	f.Add([]byte("#SBATCH \\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := readDirectives(data)
		if left := readDirectives(cut(data, d.wait)); len(d.wait) > 0 && len(left.wait) >= len(d.wait) && !slices.Equal(left.wait, d.wait) {
			t.Errorf("%q still waits", data)
		}
	})
}

func TestTasksOf(t *testing.T) {
	for array, want := range map[string]int{"0": 1, "0-9": 10, "0-9:2,15%4": 6, "1,1,1": 1, "3-3": 1, "": -1, "x": -1, "5-1": -1, "0-9:0": -1, "0-99999999": -1, "1%": -1, "1-2-3": -1, "-1": -1, "1,": -1} {
		n, ok := tasksOf(array)
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%s: %d %v", array, n, ok)
		}
	}
}

func TestExpand(t *testing.T) {
	p := place{dir: "/w", name: "a/b c", user: "me"}
	single, member := task{id: "12", raw: "12", node: "n1"}, task{id: "12_3", raw: "15", node: "n1"}
	for _, c := range []struct {
		pattern string
		t       task
		want    string
	}{
		{"/w/slurm-%j.out", single, "/w/slurm-12.out"}, {"/w/%A_%a.%4j", member, "/w/12_3.0015"}, {"/w/%u/%N%%%n%t", single, "/w/me/n1%00"}, {"x.%j", single, "/w/x.12"}, {`/w/a\%j\\x`, single, "/w/a%jx"},
		{"/w/%x", single, "/w/a/b c"}, {"/w/%99999999999j", single, "/w/0000000012"}, {"/w/x%", single, "/w/x%"}, {"/w/%a", single, "/w/4294967294"}, {"/w/%s", single, "!"}, {"/w/%N", task{id: "12", raw: "12"}, "!"}, {"", single, ""},
	} {
		got, err := p.expand(c.pattern, c.t)
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.pattern, got, c.want)
		}
	}
}

// A file that comes late, grows, is written anew, is replaced, and goes.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	var got strings.Builder
	f := &tail{path: path, to: &sink{to: &got}}
	write := func(flag int, text string) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	poll := func(want string) {
		t.Helper()
		got.Reset()
		if _, err := f.poll(); err != nil {
			t.Error(err)
		}
		if got.String() != want {
			t.Errorf("got %q, want %q", got.String(), want)
		}
	}
	if _, err := f.poll(); !os.IsNotExist(err) {
		t.Error(err)
	}
	write(0, "one\n")
	poll("one\n")
	poll("")
	write(os.O_APPEND, "two\n")
	poll("two\n")
	write(os.O_TRUNC, "new\n")
	poll("new\n")
	write(os.O_TRUNC, "a longer text than before\n")
	poll("a longer text than before\n")
	write(os.O_APPEND, "last words\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	poll("last words\n")
	write(0, "next\n")
	poll("next\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	poll("")
	f.finish()
}

// Lines of several files are not torn.
func TestTailLines(t *testing.T) {
	var got strings.Builder
	f := &tail{to: &sink{to: &got}, lines: true}
	for _, part := range []string{"a", "b\nc", "", "d\n\ne", strings.Repeat("x", maxPartial)} {
		f.pass([]byte(part))
		if s := got.String(); s != "" && s[len(s)-1] != '\n' && len(s) < maxPartial {
			t.Errorf("%q", s)
		}
	}
	f.pass([]byte("end"))
	f.finish()
	if want := "ab\ncd\n\ne" + strings.Repeat("x", maxPartial) + "end"; got.String() != want {
		t.Errorf("%d bytes", got.Len())
	}
}

func TestPlan(t *testing.T) {
	l := New(Options{Args: []string{"--partition=gpu"}, Path: "/nowhere"})
	spec := launch.Spec{Name: "train.sbatch", Run: "01M8H29CMFAMZH478YSVSA2X1C", Dir: "/scratch/dir", Data: []byte("#!/bin/sh\n#SBATCH --array=0-3 --wait --chdir=/home/me --hold\nexit\n")}
	lines, err := l.Plan(spec)
	want := []string{
		"sbatch takes train.sbatch for the job; it runs in /scratch/dir", "its --chdir=/home/me is not used: that is where the original ran", "more arguments for sbatch: --partition=gpu",
		"it is an array of 4 tasks; its exit code is the highest of theirs", "its output goes to /scratch/dir/runpin-01M8H29CMFAMZH478YSVSA2X1C-%A_%a.out",
		"its --wait is taken out: runpin waits for the job itself", "it is held: it starts when somebody releases it (scontrol release)", "its comment names the run: squeue --me -o '%i %k' finds it",
	}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	spec.Run = "no id"
	if _, err := l.Plan(spec); schema.KindOf(err) != schema.Invalid {
		t.Error(err)
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{"": "''", "a'b": `'a'\''b'`, "x\r\ny": "'x\r''\ny'", "$x": "'$x'"} {
		if got := quote(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
