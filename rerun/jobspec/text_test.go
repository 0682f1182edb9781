package jobspec

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
)

// engineArgv is enough of docker and podman for these tests; the whole is in recorder/process.
func engineArgv(argv []string) (int, error) {
	values := map[string]bool{"--mount": true, "-v": true, "-e": true, "--name": true, "--log-level": true, "--gpus": true}
	seenRun := false
	for i := 1; i < len(argv); i++ {
		switch {
		case values[argv[i]]:
			i++
		case argv[i] == "--strange":
			return 0, errors.New("the option --strange is not known")
		case strings.HasPrefix(argv[i], "-"):
		case argv[i] == "container":
		case (argv[i] == "run" || argv[i] == "pull" || argv[i] == "create") && !seenRun:
			seenRun = true
		case seenRun:
			return i, nil
		default:
			return 0, nil
		}
	}
	return 0, nil
}

// What is pinned in scripts, Dockerfiles and definition files: each line of want must stand in the result, and taking the pins out gives the original.
func TestTextPins(t *testing.T) {
	hex := strings.Repeat("f", 64)
	for _, tc := range []struct {
		name, file, text string
		want             []string
	}{
		{"docker run", "run.sh", "#!/bin/sh\ndocker run --rm -v \"$PWD:/d\" --gpus all team/t:1 python x.py\n", []string{"all team/t:1@D python"}},
		{"podman with globals", "run.sh", "#!/bin/sh\nsudo podman --log-level debug container run -e A=b docker://team/t:1\n", []string{"docker://team/t:1@D"}},
		{"a command line", "cmd", "docker run team/t x\n", []string{"run team/t@D x"}},
		{"a constant", "run.sh", "#!/bin/sh\nIMAGE=team/t:1 # the one\ndocker run $IMAGE a\npodman run \"${IMAGE}\" b\n", []string{"IMAGE=team/t:1@D # the one", "docker run $IMAGE a"}},
		{"a constant behind a scheme", "job.sbatch", "#!/bin/bash\n#SBATCH -n 1\nreadonly IMG='team/t:1'\nsrun --container-image=$IMG x\nsrun apptainer exec docker://$IMG y\n", []string{"readonly IMG='team/t@D'"}},
		{"a variable of pyxis", "job.sbatch", "#!/bin/bash\nexport SLURM_CONTAINER_IMAGE=team/t:1\nsrun x\n", []string{"SLURM_CONTAINER_IMAGE=team/t:1@D"}},
		{"instance", "job.sbatch", "#!/bin/bash\napptainer instance start docker://team/t:1 name\n", []string{"docker://team/t@D name"}},
		{"oras", "job.sbatch", "#!/bin/bash\napptainer exec oras://ghcr.io/team/t:1 x\n", []string{"oras://ghcr.io/team/t@D x"}},
		{"pull", "job.sbatch", "#!/bin/bash\napptainer pull t.sif docker://team/t:1\n", []string{"t.sif docker://team/t@D"}},
		{"an empty file", "job.sbatch", "#!/bin/sh\n> log\n>> log\npodman run team/t:1\n", []string{"run team/t:1@D\n"}},
		{"an exported constant", "job.sbatch", "#!/bin/sh\nIMAGE=team/t:1\nexport IMAGE\ndeclare -r OTHER=team/u:2\npodman run $IMAGE x\npodman run $OTHER y\n", []string{"\nIMAGE=team/t:1@D\nexport IMAGE\n", "OTHER=team/u:2@D\n"}},
		{"an engine in a variable", "job.sbatch", "#!/bin/sh\nDOCKER=podman\n$DOCKER run team/t:1 x\n\"${DOCKER}\" pull team/u:2\n", []string{"run team/t:1@D x", "pull team/u:2@D"}},
		{"an image that is mounted", "job.sbatch", "#!/bin/sh\npodman run --mount type=image,src=team/d:1,dst=/d --mount=type=image,target=/e,source=team/e:1 team/t:1 --mount type=image,src=no\n",
			[]string{"src=team/d:1@D,dst", "source=team/e:1@D team/t:1@D --mount"}},
		{"other engines", "job.sbatch", "#!/bin/sh\npodman-hpc run --rm team/t:1 x\nnerdctl create team/u:1\n", []string{"--rm team/t:1@D x", "create team/u:1@D"}},
		{"enroot", "job.sbatch", "#!/bin/bash -e\nenroot import -o t.sqsh docker://r.example.com#team/t:1\nenroot create --name t t.sqsh\nenroot start --rw t sh\nsrun --container-image=./u.sqsh x\n",
			[]string{"docker://r.example.com#team/t:1@D\nenroot create", hex + " './u.sqsh' |"}},
		{"a file that the script makes", "job.sbatch", "#!/bin/bash\nSIF=/tmp/t.sif\napptainer pull --force $SIF docker://team/t:1\nsrun apptainer exec $SIF x\n", []string{"docker://team/t@D\n"}},
		{"a file in a variable", "job.sbatch", "#!/bin/bash\nSIF=/images/t.sif\napptainer exec $SIF x\napptainer exec \"$SIF\" y\n", []string{hex + " '/images/t.sif' |", "\nSIF=/images/t.sif\n"}},
		{"a relative file", "job.sbatch", "#!/bin/bash\ncd $SLURM_SUBMIT_DIR\napptainer exec t.sif x\n", []string{hex + " 't.sif' |"}},
		{"words about engines", "job.sbatch", "#!/bin/bash\nnote=$(echo use docker://x)\nsrun apptainer exec docker://team/t:1 y\n", []string{"docker://team/t@D y"}},
		{"a stamped command line", "cmd", "# why\n\npodman run team/t:1\n", []string{"team/t:1@D"}},
		{"an image file", "job.sbatch", "#!/bin/bash\n#SBATCH -n 1\n\nsrun --container-image=/images/t.sqsh x\nsrun --container-image /images/t.sqsh y\n", []string{"#SBATCH -n 1\nprintf '%s  %s\\n' " + hex + " '/images/t.sqsh' | sha256sum --check --status - || {"}},
		{"a sif", "job.sbatch", "#!/bin/bash\r\napptainer exec --nv t.sif x\r\n", []string{hex + " 't.sif' |"}},
		{"Dockerfile", "Dockerfile", "# syntax=docker/dockerfile:1\nARG BASE=python:3.12\nFROM --platform=$BUILDPLATFORM golang:1.26 AS build\nRUN --mount=type=bind,from=team/tools:2,target=/t make\nFROM ${BASE}\nCOPY --from=build /x /x\nCOPY --from=team/files:3 /y /y\nCOPY --from=0 /z /z\nRUN <<EOF\nFROM not:1\nEOF\nFROM scratch\n",
			[]string{"# syntax=docker/dockerfile:1@D", "ARG BASE=python:3.12@D", "golang:1.26@D AS build", "from=team/tools:2@D,target", "FROM ${BASE}\n", "--from=build", "--from=team/files:3@D /y", "FROM not:1\n"}},
		{"Dockerfile continued", "sub/Dockerfile.gpu", "\xEF\xBB\xBF# escape=`\r\nfrom `\r\n  # a note\r\n\r\n  alpine:3.20 `\r\n  as base\r\nFROM base\r\nONBUILD COPY --from=team/x:1 a b\r\n", []string{"  alpine:3.20@D `\r\n", "--from=team/x:1@D a"}},
		{"Dockerfile default in place", "Containerfile", "ARG A\nFROM ${A:-debian:12}\nADD https://git.example.com/r.git#main:sub /src\nADD git@git.example.com:team/s.git#v1 /s\n", []string{"team/s.git#" + strings.Repeat("c", 40) + " /s", "${A:-debian:12@D}", "r.git#" + strings.Repeat("c", 40) + ":sub"}},
		{"Dockerfile default of an ARG first", "Dockerfile", "ARG A=alpine:1\nARG B=\nFROM ${A:-debian:12}\nFROM ${B:-debian:12}\n", []string{"ARG A=alpine:1@D", "FROM ${A:-debian:12}\n", "FROM ${B:-debian:12@D}\n"}},
		{"Dockerfile here-strings", "Dockerfile", "# syntax=team/front:1 x=y\nFROM x:1\nRUN cat <<<EOF && echo \"<<NO\" '<<NO' $((1<<2))\nRUN <<-'A' cat && <<B cat\n\tFROM no:1\n\tA\nFROM no:2\nB\nFROM y:1\n",
			[]string{"syntax=team/front:1@D x=y", "FROM x:1@D", "FROM y:1@D", "FROM no:2\n"}},
		{"Singularity", "Singularity.gpu", "# a note\nbootstrap:docker#x\nfrom:team/t:1#why\n", []string{"from:team/t@D#why"}},
		{"definition", "t.def", "Bootstrap: docker\nFrom: team/t:1 # why\nStage: build\n%post\n    From: no\nBootstrap: docker\nFrom: alpine\n%files from build\n", []string{"From: team/t@D # why", "From: alpine@D"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rd := Reader{ContainerImage: engineArgv}
			s, err := rd.Read(tc.file, []byte(tc.text))
			if err == nil {
				err = s.Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]string{}
			for _, r := range s.References {
				switch {
				case r.File != "":
					values[r.Key()] = "sha256:" + hex
				case r.Kind == KindCode:
					values[r.Key()] = strings.Repeat("c", 40)
				default:
					values[r.Key()], err = PinnedReference(r.Value, testDigest("x"), true)
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, stamp := range []*Stamp{nil, {RunID: testRun}} {
				out, err := s.Pin(values, stamp)
				if err != nil {
					t.Fatal(err)
				}
				for _, want := range tc.want {
					if !strings.Contains(string(out), strings.ReplaceAll(want, "@D", "@"+string(testDigest("x")))) {
						t.Errorf("lacks %s:\n%s", want, out)
					}
				}
				p, err := rd.Read(tc.file, out)
				if err != nil {
					t.Fatal(err)
				}
				if stamp == nil && p.Template() != s.Template() {
					t.Error("the template depends on the tags")
				}
				for _, r := range p.References {
					if !r.Pinned {
						t.Errorf("%+v is not pinned", r)
					}
				}
				again, err := p.Pin(nil, stamp)
				if err != nil || !bytes.Equal(again, out) {
					t.Errorf("again: %v\n%s", err, again)
				}
			}
		})
	}
}

func TestTextProblems(t *testing.T) {
	head := "#!/bin/bash\n#SBATCH -n 1\n"
	for _, tc := range []struct{ name, file, text, want string }{
		{"unknown option", "f.sh", head + "docker run --strange x y:1\n", `f.sh:3:1: docker run: cannot be read: the option --strange is not known`},
		{"variable set twice", "f.sh", head + "I=a:1\nI=b:1\ndocker run $I\n", `docker run: "$I" is made by the shell`},
		{"variable set in a loop", "f.sh", head + "for I in a:1 b:1; do docker run $I; done\n", `is made by the shell`},
		{"variable set in a condition", "f.sh", head + "if true; then I=a:1; fi\ndocker run $I\n", `is made by the shell`},
		{"variable set behind its use", "f.sh", head + "docker run $I\nI=a:1\n", `is made by the shell`},
		{"variable that is read", "f.sh", head + "I=a:1\nread I\ndocker run $I\n", `is made by the shell`},
		{"variable another file may set", "f.sh", head + "I=a:1\n. ./env\ndocker run $I\n", `is made by the shell`},
		{"variable set through another", "f.sh", head + "I=a:1\ndeclare -n J=I\nJ=b:1\ndocker run $I\n", `is made by the shell`},
		{"part of a variable", "f.sh", head + "T=1\ndocker run a:$T\n", `is made by the shell`},
		{"command in a text", "f.sh", head + "echo 'docker run x:1' | bash\n", `stands where runpin cannot tell what it starts`},
		{"command into a file", "f.sh", head + "echo apptainer --quiet exec x.sif > y.sh\n", `stands where runpin cannot tell what it starts`},
		{"runtime of a variable", "f.sh", head + "$RUNTIME exec x.sif y\n", `f.sh:3:1: "$RUNTIME" is a program that only the running shell knows`},
		{"exported", "f.sh", head + "srun --export=ALL,SLURM_CONTAINER_IMAGE=x:1 y\n", `"SLURM_CONTAINER_IMAGE=" stands where`},
		{"runtime with a default", "f.sh", head + "${DOCKER:-docker} run x:1\n", `"${DOCKER:-docker}" is a program that only the running shell knows`},
		{"evaluated", "f.sh", head + "eval \"$(echo docker run x:1)\"\n", `stands where runpin cannot tell what it starts`},
		{"group into a file", "f.sh", head + "{ echo a; if true; then echo docker run x:1; fi; } > y.sh\n", `stands where runpin cannot tell what it starts`},
		{"pull without a file", "f.sh", head + "apptainer pull docker://x:1\n", `f.sh:3:16: apptainer pull: "docker://x:1" makes a file that is named after the tag`},
		{"pull that may not happen", "f.sh", head + "[ -f t.sif ] || apptainer pull --force t.sif docker://x:1\napptainer exec t.sif y\n", `f.sh:4:16: apptainer exec: "t.sif" may be an older file`},
		{"pull that may fail", "f.sh", head + "apptainer pull t.sif docker://x:1\napptainer exec t.sif y\n", `"t.sif" may be an older file`},
		{"pull before set -e", "f.sh", head + "apptainer pull t.sif docker://x:1\nset -e\napptainer exec t.sif y\n", `"t.sif" may be an older file`},
		{"a sandbox", "f.sh", head + "apptainer exec /images/box y\n", `f.sh:3:16: apptainer exec: "/images/box" is a directory, or a file of a kind that runpin does not hash`},
		{"build of a definition", "f.sh", head + "apptainer build t.sif t.def\n", `builds an image while the job runs`},
		{"relative file elsewhere", "f.sh", head + "cd /scratch\napptainer exec t.sif y\n", `f.sh:4:16: apptainer exec: "t.sif" is a relative path in a script that changes its directory`},
		{"relative file in another directory", "f.sh", "#!/bin/bash\n#SBATCH --chdir=/scratch\napptainer exec t.sif y\n", `is a relative path`},
		{"enroot from elsewhere", "f.sh", head + "enroot import -o x.sqsh dockerd://x:1\n", `is not an image of a registry`},
		{"enroot of a variable", "f.sh", head + "enroot create $1\n", `is made by the shell`},
		{"an id", "f.sh", head + "podman run sha256:abc\n", `is not an image of a registry`},
		{"Dockerfile of an ARG", "Dockerfile", "ARG V\nFROM python:$V\n", `Dockerfile:2:6: FROM: "python:$V" is made when the image is built`},
		{"Dockerfile of an ARG without default", "Dockerfile", "ARG V\nFROM $V\n", `give the ARG a default`},
		{"Dockerfile without FROM", "Dockerfile", "RUN x\n", `names no image to run`},
		{"Dockerfile with an empty FROM", "Dockerfile", "FROM --platform=x\n", `names no image`},
		{"floating ADD", "Dockerfile", "FROM x:1\nADD https://h/r.git /s\n", `names no revision`},
		{"definition of a library", "t.def", "Bootstrap: library\nFrom: x\n", `t.def:1:1: Bootstrap: "library" takes its base from`},
		{"Dockerfile with an open here-document", "Dockerfile", "FROM x:1\nRUN cat <<EOF\nFROM y:1\n", `Dockerfile:2:1: RUN: "<<EOF" is a here-document that is not closed`},
		{"Dockerfile with two escapes", "Dockerfile", "FROM x:1\nRUN echo a\\\\\nFROM y:1\n", `Dockerfile:2:11: ends in two escape characters`},
		{"definition with a registry", "t.def", "Bootstrap: docker\nRegistry: r.example.com\nFrom: x:1\n", `t.def:2:1: Registry: "r.example.com" is put before the image`},
		{"definition of a template", "t.def", "Bootstrap: docker\nFrom: x:{{ V }}\n", `is a template`},
		{"binary", "Dockerfile", "FROM x\x00\n", `holds a NUL byte`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Reader{ContainerImage: engineArgv}.Read(tc.file, []byte(tc.text))
			if err == nil {
				err = s.Err()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || schema.KindOf(schema.Failures(err)[0]) != schema.Unpinnable {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// textWriter makes a Dockerfile in one of the many ways in which the same can be written, and gives it with every image replaced by a digest's pin.
type textWriter struct {
	*rand.Rand
	plain, pinned strings.Builder
	images        int
}

func (w *textWriter) one(of ...string) string { return of[w.IntN(len(of))] }

func (w *textWriter) text(s string) {
	w.plain.WriteString(s)
	w.pinned.WriteString(s)
}

func (w *textWriter) image() {
	repository := w.one("x", "team/x", "registry.example.com:5000/a/b", "localhost/x")
	tag := w.one("", ":1", ":v1.2-rc.3")
	w.plain.WriteString(repository + tag + w.one("", "", "@"+string(testDigest("old"))))
	w.pinned.WriteString(repository + tag + "@" + string(testDigest("new")))
	w.images++
}

func (w *textWriter) gap() {
	w.text(w.one(" ", " ", "  ", "\t", " \\\n  ", " \\\n# a note: FROM no:1\n\n "))
}

func (w *textWriter) dockerfile() {
	if w.IntN(3) == 0 {
		w.text("# " + w.one("syntax", "SYNTAX") + w.one("=", " = "))
		w.image()
		w.text("\n")
	}
	arg := w.IntN(2) == 0
	if arg {
		quote := w.one("", "'", `"`)
		w.text("ARG BASE=" + quote)
		w.image()
		w.text(quote + "\n")
	}
	for n := range 1 + w.IntN(3) {
		w.text(w.one("FROM", "from", "From"))
		w.gap()
		if w.IntN(3) == 0 {
			w.text("--platform=$BUILDPLATFORM")
			w.gap()
		}
		switch {
		case arg && w.IntN(2) == 0:
			w.text(w.one("$BASE", "${BASE}", "${BASE:-no:1}"))
		case n > 0 && w.IntN(3) == 0:
			w.text("s0")
		case w.IntN(6) == 0:
			w.text("scratch")
		default:
			w.image()
		}
		w.gap()
		fmt.Fprintf(&w.plain, "AS s%d\n", n)
		fmt.Fprintf(&w.pinned, "AS s%d\n", n)
		for range w.IntN(4) {
			switch w.IntN(5) {
			case 0:
				w.text(w.one("", "ONBUILD ") + "COPY --chown=1 --from=")
				w.image()
				w.text(" /日本 /b\n")
			case 1:
				w.text("COPY --from=" + w.one("s0", "0") + " a b\n")
			case 2:
				w.text("RUN --mount=type=bind,from=")
				w.image()
				w.text(w.one("", ",target=/t") + " make \"<<no\"\n")
			case 3:
				w.text("RUN <<'E' cat\nFROM no:1\nCOPY --from=no:2 a b\nE\n")
			default:
				w.text("# FROM no:3\n\nLABEL a=\"FROM no:4\"\n")
			}
		}
	}
}

// A pin changes the images of a Dockerfile, to what they are pinned to, and no other byte.
func TestDockerfileProperty(t *testing.T) {
	for seed := range uint64(1000) {
		w := &textWriter{Rand: rand.New(rand.NewPCG(seed, 2))}
		w.dockerfile()
		plain, want := w.plain.String(), w.pinned.String()
		if w.IntN(4) == 0 {
			plain, want = strings.ReplaceAll(plain, "\n", "\r\n"), strings.ReplaceAll(want, "\n", "\r\n")
		}
		if w.IntN(4) == 0 {
			plain, want = "\xEF\xBB\xBF"+plain, "\xEF\xBB\xBF"+want
		}
		s, err := Read("Dockerfile", []byte(plain))
		if err != nil || s.Err() != nil {
			t.Fatalf("seed %d: %v %v\n%s", seed, err, s, plain)
		}
		values := map[string]string{}
		for _, r := range s.References {
			if values[r.Key()], err = r.Pin(testDigest("new")); err != nil {
				t.Fatal(err)
			}
		}
		// An ARG that no FROM uses is no image.
		if len(s.References) != w.images && !(strings.Contains(plain, "BASE=") && len(s.References) == w.images-1) {
			t.Fatalf("seed %d: %d images, want %d\n%s", seed, len(s.References), w.images, plain)
		}
		out, err := s.Pin(values, &Stamp{RunID: testRun})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, plain)
		}
		if len(s.References) == w.images && string(out) != want {
			t.Fatalf("seed %d:\n%s", seed, cmp.Diff(want, string(out)))
		}
		p, err := Read("Dockerfile", out)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := p.Pin(values, nil); err != nil || !bytes.Equal(same, out) {
			t.Fatalf("seed %d: again %v\n%s", seed, err, same)
		}
	}
}

// Whatever a text is, reading ends, a pin changes nothing else, and pinning again changes nothing.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"FROM x:1 AS a\nCOPY --from=b/c:2 d e\n", "# syntax=a/b\n# escape=`\nFROM `\n x\n", "Bootstrap: docker\nFrom: x:1\n%post\n", "#!/bin/sh\nI=x:1\ndocker run -v a:b \"$I\"\n", "#!/bin/bash\napptainer exec a.sif b\nsrun --container-image=./b.sqsh c\n", "ARG A='x'\nFROM ${A:-y}\nRUN --mount=from=z <<E\nE\n"} {
		f.Add(uint8(len(seed)%4), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		file := []string{"Dockerfile", "a.def", "a.sbatch", "cmd"}[kind%4]
		rd := Reader{ContainerImage: engineArgv}
		if len(data) > 4<<10 {
			return
		}
		s, err := rd.Read(file, data)
		if err != nil || s.Err() != nil || s.script == nil {
			return
		}
		values := map[string]string{}
		for _, r := range s.References {
			switch {
			case r.File != "":
				values[r.Key()] = string(testDigest(r.File))
			case r.Kind == KindCode:
				values[r.Key()] = testDigest(r.Value).Hex()[:40]
			default:
				values[r.Key()], err = PinnedReference(r.Value, testDigest(r.Value), true)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		out, err := s.Pin(values, nil)
		if err != nil {
			if schema.IsKind(err, schema.Internal) {
				t.Fatalf("%v\n%q", err, data)
			}
			return
		}
		p, err := rd.Read(file, out)
		if err != nil {
			t.Fatalf("%v\n%q", err, out)
		}
		if again, err := p.Pin(values, nil); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%v\n%q\n%q", err, out, again)
		}
	})
}

// A script is for sbatch when it says so, by an #SBATCH line or its name; any other is a shell script.
func TestScriptFormats(t *testing.T) {
	for _, tc := range []struct{ file, data, want string }{
		{"a.sh", "#!/bin/sh\n#SBATCH -n 1\n", FormatSlurm},
		{"a", "#!/bin/sh\n\n#SBATCH -n 1\n", FormatSlurm},
		{"a.slurm", "#!/bin/sh\n", FormatSlurm},
		{"a.sh", "#!/bin/sh\ntrue\n", FormatShell},
		{"a.bash", "#!/bin/bash\ntrue\n", FormatShell},
		{"-", "# why\npodman run x:1\n", FormatShell},
		{"a.Dockerfile", "FROM x:1\n", FormatDockerfile},
		{"Singularity", "Bootstrap: docker\nFrom: x:1\n", FormatApptainer},
	} {
		s, err := golds.Read(tc.file, []byte(tc.data))
		if err != nil || s.Format != tc.want {
			t.Errorf("%s %q: %v, %v", tc.file, tc.data, s, err)
		}
	}
}
