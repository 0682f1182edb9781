package jobspec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// engineArgv is enough of docker and podman for these tests; the whole is in recorder/process.
func engineArgv(argv []string) (int, error) {
	values := map[string]bool{"-v": true, "-e": true, "--name": true, "--log-level": true, "--gpus": true}
	seenRun := false
	for i := 1; i < len(argv); i++ {
		switch {
		case values[argv[i]]:
			i++
		case argv[i] == "--strange":
			return 0, errors.New("the option --strange is not known")
		case strings.HasPrefix(argv[i], "-"):
		case argv[i] == "container":
		case argv[i] == "run" && !seenRun:
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
		{"an image file", "job.sbatch", "#!/bin/bash\n#SBATCH -n 1\n\nsrun --container-image=/images/t.sqsh x\nsrun --container-image /images/t.sqsh y\n", []string{"#SBATCH -n 1\nprintf '%s  %s\\n' " + hex + " '/images/t.sqsh' | sha256sum --check --status - || {"}},
		{"a sif", "job.sbatch", "#!/bin/bash\r\napptainer exec --nv t.sif x\r\n", []string{hex + " 't.sif' |"}},
		{"Dockerfile", "Dockerfile", "# syntax=docker/dockerfile:1\nARG BASE=python:3.12\nFROM --platform=$BUILDPLATFORM golang:1.26 AS build\nRUN --mount=type=bind,from=team/tools:2,target=/t make\nFROM ${BASE}\nCOPY --from=build /x /x\nCOPY --from=team/files:3 /y /y\nCOPY --from=0 /z /z\nRUN <<EOF\nFROM not:1\nEOF\nFROM scratch\n",
			[]string{"# syntax=docker/dockerfile:1@D", "ARG BASE=python:3.12@D", "golang:1.26@D AS build", "from=team/tools:2@D,target", "FROM ${BASE}\n", "--from=build", "--from=team/files:3@D /y", "FROM not:1\n"}},
		{"Dockerfile continued", "sub/Dockerfile.gpu", "\xEF\xBB\xBF# escape=`\r\nfrom `\r\n  # a note\r\n\r\n  alpine:3.20 `\r\n  as base\r\nFROM base\r\nONBUILD COPY --from=team/x:1 a b\r\n", []string{"  alpine:3.20@D `\r\n", "--from=team/x:1@D a"}},
		{"Dockerfile default in place", "Containerfile", "ARG A\nFROM ${A:-debian:12}\nADD https://git.example.com/r.git#main:sub /src\n", []string{"${A:-debian:12@D}", "r.git#" + strings.Repeat("c", 40) + ":sub"}},
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
		{"part of a variable", "f.sh", head + "T=1\ndocker run a:$T\n", `is made by the shell`},
		{"command in a text", "f.sh", head + "echo 'docker run x:1' | bash\n", `stands where runpin cannot tell what it starts`},
		{"command into a file", "f.sh", head + "echo apptainer --quiet exec x.sif > y.sh\n", `stands where runpin cannot tell what it starts`},
		{"runtime of a variable", "f.sh", head + "$RUNTIME exec x.sif y\n", `"x.sif" stands where runpin cannot tell`},
		{"exported", "f.sh", head + "srun --export=ALL,SLURM_CONTAINER_IMAGE=x:1 y\n", `"SLURM_CONTAINER_IMAGE=" stands where`},
		{"an id", "f.sh", head + "podman run sha256:abc\n", `is not an image of a registry`},
		{"Dockerfile of an ARG", "Dockerfile", "ARG V\nFROM python:$V\n", `Dockerfile:2:6: FROM: "python:$V" is made when the image is built`},
		{"Dockerfile of an ARG without default", "Dockerfile", "ARG V\nFROM $V\n", `give the ARG a default`},
		{"Dockerfile without FROM", "Dockerfile", "RUN x\n", `names no image to run`},
		{"Dockerfile with an empty FROM", "Dockerfile", "FROM --platform=x\n", `names no image`},
		{"floating ADD", "Dockerfile", "FROM x:1\nADD https://h/r.git /s\n", `names no revision`},
		{"definition of a library", "t.def", "Bootstrap: library\nFrom: x\n", `t.def:1:1: Bootstrap: "library" takes its base from`},
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

// Whatever a text is, reading ends, a pin changes nothing else, and pinning again changes nothing.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"FROM x:1 AS a\nCOPY --from=b/c:2 d e\n", "# syntax=a/b\n# escape=`\nFROM `\n x\n", "Bootstrap: docker\nFrom: x:1\n%post\n", "#!/bin/sh\nI=x:1\ndocker run -v a:b \"$I\"\n", "#!/bin/bash\napptainer exec a.sif b\nsrun --container-image=./b.sqsh c\n", "ARG A='x'\nFROM ${A:-y}\nRUN --mount=from=z <<E\nE\n"} {
		f.Add(uint8(len(seed)%4), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		file := []string{"Dockerfile", "a.def", "a.sbatch", "cmd"}[kind%4]
		rd := Reader{ContainerImage: engineArgv}
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
