package process

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestContainerCommand(t *testing.T) {
	for _, c := range []struct {
		in, engine, image string
		fails             string // what the error of ReadContainerCommand says
	}{
		{"podman run img", "podman", "img", ""},
		{"docker run img python train.py", "docker", "img", ""},
		{"/usr/bin/podman run --rm -it img sh", "podman", "img", ""},
		{"podman-remote run img", "podman", "img", ""},
		{"podman container run img", "podman", "img", ""},
		{"docker --context prod --log-level=debug container run img", "docker", "img", ""},
		{"docker -H tcp://h:1 run img", "docker", "img", ""},
		{"podman --root /x --remote run img", "podman", "img", ""},
		{"podman run -e A=b -eC=d --env E --env=F=g -v ./data:/data:ro -w /w --gpus all --shm-size=8g img a b", "podman", "img", ""},
		{"podman run --name run img run", "podman", "img", ""},
		{"podman run -dp 80:80 img", "podman", "img", ""},
		{"podman run -itv /a:/b img", "podman", "img", ""},
		{"podman run -t=true img", "podman", "img", ""},
		{"podman run --rm=false --tls-verify=false img", "podman", "img", ""},
		{"podman run -- img", "podman", "img", ""},
		{"podman run --device nvidia.com/gpu=all --security-opt label=disable --userns=keep-id img:tag@sha256:00", "podman", "img:tag@sha256:00", ""},
		{"docker run --mount type=bind,src=/a,dst=/b --ulimit memlock=-1 --runtime nvidia img", "docker", "img", ""},
		{"podman run --network none --pull newer --log-opt a=b img --unknown-to-podman", "podman", "img", ""},
		{"podman run --rootfs=false img", "podman", "img", ""},
		{"podman run --rootfs /x", "", "", "--rootfs runs a directory"},
		{"podman run --help img", "", "", "--help"},
		{"podman run --frobnicate x img", "", "", "--frobnicate is not known"},
		{"podman run -Z img", "", "", "-Z is not known"},
		{"podman --frobnicate run img", "", "", "--frobnicate is not known"},
		{"podman run", "", "", ""},
		{"podman run --rm", "", "", "no image"},
		{"podman run -e", "", "", "lacks its value"},
		{"podman run --env", "", "", "lacks its value"},
		{"podman pull img", "", "", ""},
		{"podman exec c run x", "", "", ""},
		{"podman container inspect run", "", "", ""},
		{"docker compose run svc", "", "", ""},
		{"docker buildx run x", "", "", ""},
		{"python train.py run img", "", "", ""},
		{"nerdctl run img", "", "", ""},
		{"sudo podman run img", "podman", "img", ""},
		{"", "", "", ""},
	} {
		argv := strings.Fields(c.in)
		engine, at, ok := ContainerCommand(argv)
		if ok != (c.engine != "") || engine != c.engine || ok && argv[at] != c.image {
			t.Errorf("%s: got %q, %d, %v", c.in, engine, at, ok)
		}
		_, err := ReadContainerCommand(argv)
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", c.in, err, c.fails)
		}
	}
	c, err := ReadContainerCommand(strings.Fields("podman run -e A=b -eC=d --env E --env=F=g -ite H=i img -e not=ours"))
	want := []ContainerVariable{{3, "A=b"}, {4, "C=d"}, {6, "E"}, {7, "F=g"}, {9, "H=i"}}
	if err != nil || !slices.Equal(c.Variables, want) {
		t.Fatalf("%+v, %v", c.Variables, err)
	}
}

func FuzzContainerCommand(f *testing.F) {
	for _, s := range []string{"podman run img", "docker -H x run -it --env=A=b img x", "podman run --", "docker run -e", "podman container run -vvv",
		"sudo -u x -E env - A=b nice -5 timeout -k 1 5s docker run -it img x", "taskset -c 0 numactl --membind 0 podman run img", "env -S x", "chrt -f 10 nice"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		argv := strings.Fields(s)
		engine, at, ok := ContainerCommand(argv)
		if !ok {
			return
		}
		if at < 2 || at >= len(argv) || argv[at] == "" || engine != "podman" && engine != "docker" {
			t.Fatalf("%q: %q, %d", argv, engine, at)
		}
		changed := slices.Clone(argv)
		changed[at] = "repo@sha256:00"
		if _, again, ok := ContainerCommand(changed); !ok || again != at {
			t.Fatalf("%q: the image moved from %d to %d", argv, at, again)
		}
	})
}

var helpLine = regexp.MustCompile(`^ +(?:-(\w), )?--([a-z0-9-]+)(?: ([^ ].*?))?(?:  |$)`)

// The engines themselves say which options they have: each must be known, with the right word on whether it takes a value.
func TestOptionTablesAgainstTheEngines(t *testing.T) {
	requirePart(t, "podman")
	engines := []string{"podman"}
	if _, err := exec.LookPath("docker"); err == nil { // where it is: no package that CI installs has its program alone
		engines = append(engines, "docker")
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			globals, run := tables(engine)
			for _, c := range []struct {
				args  []string
				table optionTable
			}{{[]string{"--help"}, globals}, {[]string{"run", "--help"}, run}} {
				out, err := exec.CommandContext(t.Context(), engine, c.args...).Output()
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, line := range strings.Split(string(out), "\n") {
					m := helpLine.FindStringSubmatch(line)
					if m == nil {
						continue
					}
					n++
					for _, option := range []string{m[1], m[2]} {
						if option == "" {
							continue
						}
						if takes, known := c.table[option]; !known || takes != (m[3] != "") {
							t.Errorf("%s %s: option %q: known %v, takes a value %v, the engine says %q", engine, c.args[0], option, known, takes, m[3])
						}
					}
				}
				if n < 8 {
					t.Errorf("only %d options were read from %s", n, c.args)
				}
			}
		})
	}
}

// requirePart skips a test whose program is missing, unless RUNPIN_TEST_REQUIRE asks for it.
func requirePart(t *testing.T, part string) {
	t.Helper()
	if _, err := exec.LookPath(part); err == nil {
		return
	}
	required := os.Getenv("RUNPIN_TEST_REQUIRE")
	if required == "all" || slices.Contains(strings.Split(required, ","), part) {
		t.Fatalf("%s is required and missing", part)
	}
	t.Skipf("%s is missing", part)
}

func TestContainerVariables(t *testing.T) {
	c, err := ReadContainerCommand(strings.Fields("sudo podman run -eA=b -ite C=d --env-file x.env --env=E --env-file=y.env img -e F=g --env-file z.env"))
	if err != nil || !slices.Equal(c.Variables, []ContainerVariable{{3, "A=b"}, {5, "C=d"}, {8, "E"}}) || !slices.Equal(c.EnvFiles, []ContainerVariable{{7, "x.env"}, {9, "y.env"}}) || c.Image != 10 {
		t.Errorf("%+v %v", c, err)
	}
}
