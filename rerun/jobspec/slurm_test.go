package jobspec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

const batchHead = "#!/bin/bash\n#SBATCH -N 1\n"

// What cannot be pinned in a batch script is told with its place and reason.
func TestScriptProblems(t *testing.T) {
	const head = batchHead
	for _, tc := range []struct{ name, script, want string }{
		{"variable", head + "srun --container-image=$IMAGE x\n", `f.sh:3:24: srun --container-image: "$IMAGE" is made by the shell`},
		{"variable in quotes", head + "srun --container-image=\"foo:$TAG\" x\n", `f.sh:3:25: srun --container-image: "foo:$TAG\"" is made by the shell`},
		{"separate variable", head + "srun --container-image ${IMAGE} x\n", `f.sh:3:24: srun --container-image: "${IMAGE}" is made by the shell`},
		{"command", head + "srun --container-image=$(cat image) x\n", `"$(cat image)" is made by the shell`},
		{"the option in a variable", head + "srun --container-image$X x\n", `f.sh:3:`},
		{"variable in a directive", "#!/bin/sh\n#SBATCH --container-image=$IMAGE\n", `f.sh:2:27: #SBATCH --container-image: "$IMAGE" is made`},
		{"no value", head + "srun --container-image\n", `f.sh:3:6: srun --container-image: names no image`},
		{"empty value", head + "srun --container-image= x\n", `names no image`},
		{"squashfs", "#!/bin/sh\n#SBATCH --container-image=/images/x.sqsh\n", `f.sh:2:27: #SBATCH --container-image: "/images/x.sqsh" is a file`},
		{"relative squashfs", head + "srun --container-image='./a x.sqsh' x\n", `is a file whose name runpin does not write into a script`},
		{"named squashfs", head + "srun --container-image=x.sqsh x\n", `is a file`},
		{"daemon", head + "srun --container-image=dockerd://x:1 x\n", `"dockerd://x:1" is not in a registry`},
		{"bundle", "#!/bin/sh\n#SBATCH --container=/bundle\n", `names an OCI bundle`},
		{"shifter directive", "#!/bin/sh\n#SBATCH --image=docker:x:1\n", `is for an engine that runpin cannot pin`},
		{"shifter", head + "srun shifter --image=x:1 y\n", `starts a container in a way that runpin cannot pin`},
		{"podman", head + "podman run x:1 y\n", `f.sh:3:1: podman run: starts a container`},
		{"enroot", head + "enroot import docker://x:1\n", `f.sh:3:15: enroot import: "docker://x:1" makes a file that is named after the tag`},
		{"bad name", head + "srun --container-image=Foo:1 x\n", `"Foo:1" is not an image reference`},
		{"bad digest", head + "srun --container-image=foo@sha256:1 x\n", `malformed digest`},
		{"quoted in the middle", head + "srun --container-image=foo':'1 x\n", `f.sh:3:24: srun --container-image: "foo:1" is quoted in the middle`},
		{"sif", head + "srun apptainer exec --nv ~/x.sif y\n", `f.sh:3:26: apptainer exec: "~/x.sif" is a file whose name`},
		{"squashfs of the script", "#!/bin/sh\n#SBATCH --container-image=/images/x.sqsh\ntrue\n", `is a file that the script itself runs in`},
		{"library", head + "singularity run library://x/y:1\n", `"library://x/y:1" is not an image of a registry (docker://REF, oras://REF)`},
		{"library", head + "singularity exec library://x/y:1 z\n", `is not an image of a registry`},
		{"variable for apptainer", head + "apptainer exec --bind $A:/b $IMAGE z\n", `f.sh:3:29: apptainer exec: "$IMAGE" is made by the shell`},
		{"apptainer without image", head + "apptainer exec --nv\n", `names no image`},
		{"in a text", head + "bash -c 'srun --container-image=x:1 y'\n", `f.sh:3:15: "--container-image" stands where runpin cannot tell`},
		{"in a variable", head + "IMAGE=docker://x:1\n", `f.sh:3:7: "docker://" stands where`},
		{"in a here-document", head + "cat > y.sh <<END\napptainer exec x.sif y\nEND\n", `f.sh:4:1: "apptainer exec" stands where`},
		{"options in a text", head + "O='--container-image=x:1'\nsrun $O y\n", `f.sh:3:4: "--container-image" stands where`},
		{"python", "#!/usr/bin/env python3\n#SBATCH -N 1\nimport x\n", `f.sh:1:1: is a script for "python3"`},
		{"csh", "#!/bin/tcsh\n#SBATCH -N 1\n", `is a script for "tcsh"`},
		{"no shell", head + "if then fi (\n", `f.sh:3:`},
		{"open quote", head + "echo 'a\n", `is not a shell script`},
		{"open quote in a directive", "#!/bin/sh\n#SBATCH --comment='a\n", `f.sh:2:1: #SBATCH: has a quote that is not closed`},
		{"NUL", head + "a\x00\n", `f.sh:3: is not text`},
		{"not UTF-8", head + "a\xff\n", `f.sh:3: is not text in UTF-8`},
		{"large", head + strings.Repeat("#", maxScript), `a script has at most`},
		{"nested", head + strings.Repeat("(", maxOpeners+1), `too many parts`},
		{"nested words", head + strings.Repeat("if\n", 20_000), `is not a shell script`},
		{"nested substitutions", head + strings.Repeat("$(", maxOpeners-1), `is not a shell script`},
		{"many images", head + strings.Repeat("srun --container-image=x y\n", 1_500), ``},

		{"comment", head + "# srun --container-image=$X y\n", ``},
		{"comment behind a command", head + "true # docker://x\n", ``},
		{"words about it", head + "echo use docker://x or 'apptainer exec y'\nmodule load apptainer/1.3 shifter\n", ``},
		{"another action", head + "apptainer cache list\napptainer --version\n", ``},
		{"too late", head + "true\n#SBATCH --container-image=/x.sqsh\n", ``},
		{"not a directive", "#!/bin/sh\n##SBATCH --container-image=/x.sqsh\n #SBATCH --container-image=/y.sqsh\n", ``},
		{"comment in a directive", "#!/bin/sh\n#SBATCH -N 1 # --container-image=/x.sqsh\n", ``},
		{"none", head + "srun python train.py\n", ``},
		{"only a head", "#!/bin/sh\n#SBATCH -N 1", ``},
		{"another option", head + "python x.py --container=3 --image=4 docker run\n", `docker run: starts a container`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Read("f.sh", []byte(tc.script))
			if err == nil {
				var out []byte
				if out, err = s.Pin(testPinsIfAny(s), &Stamp{RunID: testRun}); err != nil && out != nil {
					t.Error("output beside an error")
				}
			}
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			for _, k := range schema.Kinds(err) {
				if k != schema.Unpinnable {
					t.Errorf("kind %s", k)
				}
			}
		})
	}
}

func testPinsIfAny(s *Spec) map[string]string {
	values := map[string]string{}
	for _, r := range s.References {
		values[r.Name], _ = r.Pin(testDigest(r.Value))
	}
	return values
}

// A file is a batch script by its content, or by its name.
func TestIsScript(t *testing.T) {
	for _, tc := range []struct {
		file, data string
		want       bool
	}{
		{"-", batchHead, true},
		{"job", "#!/bin/sh\n", false},
		{"job.sh", "#!/bin/sh\n", true},
		{"job.sh", "kind: Pod\n", false},
		{"job.sbatch", "echo\n", true},
		{"job.slurm", "#!/bin/sh\n", true},
		{"job.yaml", podHead + "  - image: x\n", false},
		{"job.yaml", podHead + "  - image: x\n    args: ['#!/bin/sh\n#SBATCH']\n", false},
	} {
		if got := isScript(tc.file, []byte(tc.data)); got != tc.want {
			t.Errorf("%s %q: %v", tc.file, tc.data, got)
		}
	}
	if _, err := Read("job.sbatch", []byte("echo\n")); err == nil || !strings.Contains(err.Error(), "does not begin with #!") {
		t.Errorf("got %v", err)
	}
}

// The stamp is one line before the first command, is replaced when the script has it, and is refused where the script would take it back.
func TestScriptStamp(t *testing.T) {
	const line = "export RUNPIN_RUN_ID=" + string(testRun)
	for _, tc := range []struct{ script, want string }{
		{"#!/bin/sh\ntrue\n", "#!/bin/sh\n" + line + "\ntrue\n"},
		{"#!/bin/sh\n", "#!/bin/sh\n" + line + "\n"},
		{"#!/bin/sh", "#!/bin/sh\n" + line},
		{"#!/bin/sh\n#SBATCH -N 1", "#!/bin/sh\n#SBATCH -N 1\n" + line},
		{"#!/bin/sh\r\n#SBATCH -N 1\r\n\r\ntrue\r\n", "#!/bin/sh\r\n#SBATCH -N 1\r\n" + line + "\r\n\r\ntrue\r\n"},
		{"#!/bin/sh\n#SBATCH -N 1\n# x\n\n#SBATCH -n 2\n# y\ntrue\n#SBATCH -p z\n", "#!/bin/sh\n#SBATCH -N 1\n# x\n\n#SBATCH -n 2\n" + line + "\n# y\ntrue\n#SBATCH -p z\n"},
		{"#!/bin/sh\ntrue\nexport RUNPIN_RUN_ID='01JDABCDEFGHJKMNPQRSTVWXY0' # old\n", "#!/bin/sh\ntrue\n" + line + " # old\n"},
		{"#!/bin/sh\nRUNPIN_RUN_ID=x srun y\n", ""},
		{"#!/bin/sh\nif true; then export RUNPIN_RUN_ID=x; fi\n", ""},
		{"#!/bin/sh\nexport RUNPIN_RUN_ID=$X\n", ""},
		{"#!/bin/sh\nexport RUNPIN_RUN_ID\n", ""},
		{"#!/bin/sh\nexport RUNPIN_RUN_ID=a\nexport RUNPIN_RUN_ID=b\n", ""},
	} {
		s, err := Read("f.sh", []byte(tc.script))
		if err != nil {
			t.Fatalf("%q: %v", tc.script, err)
		}
		out, err := s.Pin(nil, &Stamp{RunID: testRun})
		if tc.want == "" {
			if err == nil || !strings.Contains(err.Error(), "sets RUNPIN_RUN_ID itself") || schema.KindOf(err) != schema.Unpinnable {
				t.Errorf("%q: got %q, %v", tc.script, out, err)
			}
			out, err = s.Pin(nil, nil)
			tc.want = tc.script
		}
		if err != nil || string(out) != tc.want {
			t.Errorf("%q:\n got %q, %v\nwant %q", tc.script, out, err, tc.want)
		}
	}
	s, _ := Read("f.sh", []byte("#!/bin/sh\n"))
	if _, err := s.Pin(nil, &Stamp{RunID: "no; rm -rf"}); schema.KindOf(err) != schema.Invalid {
		t.Errorf("got %v", err)
	}
}

// script makes a batch script in one of the many ways in which the same can be written, and says how many images it has.
func (w *writer) script() (images int) {
	w.b.WriteString(w.one("#!/bin/bash\n", "#!/bin/sh -l\n", "#!/usr/bin/env bash\n"))
	image := func() string {
		images++
		return w.one("x", "x:1", "team/x:1", "registry.example.com:5000/a/b:c", "a/b@"+string(testDigest("old")), "a/b:c@"+string(testDigest("old")))
	}
	for range w.IntN(4) {
		w.b.WriteString(w.one("#SBATCH -N 2\n", "# note docker://no\n", "\n", "##SBATCH --container-image=/no.sqsh\n"))
	}
	if w.IntN(2) == 0 {
		w.b.WriteString("#SBATCH --container-image" + w.one("=", " ") + w.quoted(w.one("", "docker://")+image()) + w.one("\n", " # why\n", " -n 3\n"))
	}
	for range 1 + w.IntN(4) {
		pre := w.one("", "", "if true; then ", "f() { ", "x=$(", "( ")
		post := map[string]string{"": "", "if true; then ": "; fi", "f() { ": "; }", "x=$(": ")", "( ": " )"}[pre]
		var command string
		switch w.IntN(4) {
		case 0:
			command = "echo " + w.one("docker://no:1", "'$(x)'", "\"a\\\"b\" \\\n  c")
		case 1:
			registry := w.one("", "", "r.example.com#", "u@r.example.com:5000#")
			named := image()
			if registry != "" {
				named = w.one("x", "team/x:1", "a/b@"+string(testDigest("old")))
			}
			command = "srun " + w.one("", "-n 2 ", "\\\n  ") + "--container-image" + w.one("=", " ", " \\\n ") + w.quoted(w.one("", "docker://")+registry+named) + w.one("", " python 'a b' \"$@\"")
		case 2:
			command = w.one("", "srun ", "time srun -n 1 ") + w.one("apptainer", "/usr/bin/singularity", "apptainer -q") + " " + w.one("exec", "run --nv", "exec -B $A:/b", "shell --bind=/c \\\n") +
				" " + w.quoted("docker://"+image()) + w.one("", " python x.py", " sh -c 'a; b'")
		default:
			command = "cat <<'END' > y\nplain $text ' \" (\nEND\ntrue"
		}
		w.b.WriteString(pre + command + w.one("", " # c") + "\n")
		if post != "" {
			w.b.WriteString(strings.TrimPrefix(post, ";") + "\n")
		}
	}
	return images
}

func TestScriptProperty(t *testing.T) {
	for seed := range uint64(500) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))}
		images := w.script()
		data := w.b.Bytes()
		if w.IntN(4) == 0 {
			data = bytes.TrimRight(data, "\n")
		}
		if w.IntN(4) == 0 && !bytes.Contains(data, []byte("<<")) && !bytes.Contains(data, []byte("\\\n")) {
			data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
		}
		s, err := Read("f.sh", data)
		if err != nil || s.Err() != nil {
			t.Fatalf("seed %d: %v %v\n%s", seed, err, s, data)
		}
		if len(s.References) != images {
			t.Fatalf("seed %d: %d images, want %d\n%s", seed, len(s.References), images, data)
		}
		values := testPins(t, s)
		pinned, err := s.Pin(values, nil)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, data)
		}
		stamped, err := s.Pin(values, &Stamp{RunID: testRun})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, data)
		}
		again(t, s, pinned, stamped)
		if got := bytes.Count(pinned, []byte("\n")) - bytes.Count(data, []byte("\n")); got != 0 {
			t.Fatalf("seed %d: %d lines more", seed, got)
		}
		unpinned := string(stamped)
		for _, v := range values {
			at := strings.IndexByte(v, '@')
			if strings.Count(unpinned, v[at:]) == 0 {
				t.Fatalf("seed %d: %s is missing\n%s", seed, v, stamped)
			}
		}
		if strings.Replace(unpinned, fmt.Sprintf("export %s=%s", StampVariable, testRun), "", 1) == unpinned {
			t.Fatalf("seed %d: no stamp", seed)
		}
	}
}

// Whatever the script holds, nothing panics, and what is printed reads back with the same references, each pinned.
func FuzzScript(f *testing.F) {
	scripts, _ := filepath.Glob("testdata/slurm*/spec.*")
	for _, path := range scripts {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(batchHead + "srun --container-image=a\\#b:1 x\nsrun \"--container-image=$(x)\" $'a' $\"b\"\n"))
	f.Add([]byte("#!/bin/sh\n#SBATCH --container-image='u@r#i:1' \\\nexport RUNPIN_RUN_ID=x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4<<10 {
			return
		}
		s, err := Read("f.sbatch", data)
		if err != nil || s.Err() != nil {
			return
		}
		values := testPins(t, s)
		pinned, err := s.Pin(values, nil)
		if err != nil {
			t.Fatalf("%v\n%q", err, data)
		}
		outs := [][]byte{pinned}
		if stamped, err := s.Pin(values, &Stamp{RunID: testRun}); err == nil {
			outs = append(outs, stamped)
		} else if schema.KindOf(err) != schema.Unpinnable {
			t.Fatalf("%v\n%q", err, data)
		}
		for _, out := range outs {
			p, err := Read("f.sbatch", out)
			if err != nil || p.Err() != nil || len(p.References) != len(s.References) {
				t.Fatalf("%v %v\n%q", err, p, out)
			}
			for i, r := range p.References {
				if r.Name != s.References[i].Name || !r.Pinned || r.Digest() == "" || !strings.HasSuffix("@"+values[r.Name], "@"+string(r.Digest())) {
					t.Fatalf("%+v", r)
				}
			}
			if same, err := p.Pin(values, nil); err != nil || !bytes.Equal(same, out) {
				t.Fatalf("%v\n%q\n%q", err, out, same)
			}
		}
	})
}
