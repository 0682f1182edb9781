package container

import (
	"reflect"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestCreateArgs(t *testing.T) {
	for _, tc := range []struct {
		name string
		l    Launcher
		job  launch.Job
		tty  bool
		user string
		args []string
		env  []string
	}{
		{"plain", Launcher{engine: Podman}, launch.Job{Image: "team/trainer:1.4@sha256:" + digits, Argv: []string{"python", "-c", "x y"}}, false, "",
			[]string{"create", "--interactive", "--pull=never", "docker.io/team/trainer@sha256:" + digits, "python", "-c", "x y"}, nil},
		{"all", Launcher{engine: Docker, options: Options{Args: []string{"--network", "none"}}}, launch.Job{
			Image: "localhost:5000/a/b@sha256:" + digits, Argv: []string{"--help"}, Dir: "/src/sub",
			Env:    []string{"RUNPIN_RUN_ID=01X", "TOKEN=a b\nc", "PATH=/opt/bin", "EMPTY=", "DOCKER_HOST=x"},
			Mounts: []launch.Mount{{Source: "/home/me/src", Target: "/src"}, {Source: `/data/a,b:c "d"`, Target: "/data/x=y", ReadOnly: true}},
		}, true, "1000:100",
			[]string{"create", "--interactive", "--pull=never", "--tty", "--user", "1000:100", "--workdir", "/src/sub",
				"--mount", "type=bind,source=/home/me/src,destination=/src",
				"--mount", `type=bind,"source=/data/a,b:c ""d""",destination=/data/x=y,readonly=true`,
				"--label", "runpin.dev/run=01X", "--env", "RUNPIN_RUN_ID", "--env", "TOKEN", "--env", "PATH=/opt/bin", "--env", "EMPTY", "--env", "DOCKER_HOST=x",
				"--network", "none", "localhost:5000/a/b@sha256:" + digits, "--help"},
			[]string{"RUNPIN_RUN_ID=01X", "TOKEN=a b\nc", "EMPTY="}},
		{"local image", Launcher{engine: Podman}, launch.Job{Image: "sha256:" + digits}, false, "",
			[]string{"create", "--interactive", "--pull=never", "sha256:" + digits}, nil},
	} {
		args, env, err := tc.l.createArgs(tc.job, tc.tty, tc.user)
		if err != nil || !reflect.DeepEqual(args, tc.args) || !reflect.DeepEqual(env, tc.env) {
			t.Errorf("%s: %v\n got %q\nwant %q\n got %q\nwant %q", tc.name, err, args, tc.args, env, tc.env)
		}
	}
}

// A value that may be a secret is passed by its name alone, whatever the variable is called.
func TestSecretsDoNotShow(t *testing.T) {
	for _, env := range []string{"STORAGE_ACCOUNT_KEY=hunter2", "DOCKER_AUTH_CONFIG={hunter2}", "REGISTRY_PASSWORD=hunter2", "HTTPS_PROXY=http://u:hunter2@proxy:3128", "WANDB_API_KEY=hunter2"} {
		args, given, err := (&Launcher{engine: Podman}).createArgs(launch.Job{Image: "x/y@sha256:" + digits, Env: []string{env}}, false, "")
		if err != nil || strings.Contains(strings.Join(args, " "), "hunter2") || len(given) != 1 || given[0] != env {
			t.Errorf("%s: %v %q %q", env, err, args, given)
		}
	}
}

func TestGPUArgs(t *testing.T) {
	for _, c := range []struct{ engine, asked, want string }{
		{Podman, "", ""}, {Docker, "none", ""},
		{Podman, "all", "--device nvidia.com/gpu=all"},
		{Podman, "2", "--device nvidia.com/gpu=0 --device nvidia.com/gpu=1"},
		{Podman, "device=3,GPU-5d", "--device nvidia.com/gpu=3 --device nvidia.com/gpu=GPU-5d"},
		{Docker, "all", "--gpus all"}, {Docker, "2", "--gpus 2"}, {Docker, "device=0,1", `--gpus "device=0,1"`},
	} {
		args, _, err := (&Launcher{engine: c.engine}).createArgs(launch.Job{Image: "x/y@sha256:" + digits, Argv: []string{"c"}, GPUs: c.asked}, false, "")
		want := strings.TrimSpace("create --interactive --pull=never "+c.want) + " docker.io/x/y@sha256:" + digits + " c"
		if got := strings.Join(args, " "); err != nil || got != want {
			t.Errorf("%s %s: %v\n got %s\nwant %s", c.engine, c.asked, err, got, want)
		}
	}
}

func TestCreateArgsRefuses(t *testing.T) {
	good := "x/y@sha256:" + digits
	for _, tc := range []struct {
		job  launch.Job
		want string
		kind schema.Kind
	}{
		{launch.Job{Image: "x/y:1"}, "names no digest", schema.Unpinnable},
		{launch.Job{Image: ""}, "names no digest", schema.Unpinnable},
		{launch.Job{Image: "x/y@sha256:12"}, "names no digest", schema.Unpinnable},
		{launch.Job{Image: "--privileged@sha256:" + digits}, "not an image reference", schema.Invalid},
		{launch.Job{Image: "X Y@sha256:" + digits}, "not an image reference", schema.Invalid},
		{launch.Job{Image: good, Dir: "sub"}, "not an absolute directory", schema.Invalid},
		{launch.Job{Image: good, Env: []string{"A"}}, "not a variable", schema.Invalid},
		{launch.Job{Image: good, Env: []string{"A*=1"}}, "not a variable", schema.Invalid},
		{launch.Job{Image: good, Env: []string{"=1"}}, "not a variable", schema.Invalid},
		{launch.Job{Image: good, Mounts: []launch.Mount{{Source: "a", Target: "/a"}}}, "not an absolute path", schema.Invalid},
		{launch.Job{Image: good, Mounts: []launch.Mount{{Source: "/a", Target: "a"}}}, "not an absolute path", schema.Invalid},
		{launch.Job{Image: good, Mounts: []launch.Mount{{Source: "/a\nb", Target: "/a"}}}, "holds a line end", schema.Invalid},
	} {
		_, _, err := (&Launcher{engine: Podman}).createArgs(tc.job, false, "")
		if err == nil || !strings.Contains(err.Error(), tc.want) || schema.KindOf(err) != tc.kind {
			t.Errorf("%v: got %v", tc.job, err)
		}
	}
}

func TestParseImage(t *testing.T) {
	for ref, want := range map[string]string{
		"busybox":                            "docker.io/library/busybox",
		"busybox:1.36":                       "docker.io/library/busybox",
		"docker.io/busybox":                  "docker.io/library/busybox",
		"index.docker.io/library/busybox:1":  "docker.io/library/busybox",
		"ghcr.io/a/b:c":                      "ghcr.io/a/b",
		"localhost:5000/a":                   "localhost:5000/a",
		"localhost/a:1":                      "localhost/a",
		"registry.example.com:443/a/b/c:tag": "registry.example.com:443/a/b/c",
	} {
		got, err := parseImage(ref + "@sha256:" + digits)
		if err != nil || got.name() != want+"@sha256:"+digits {
			t.Errorf("%s: %s %v", ref, got.name(), err)
		}
	}
	for host, want := range map[string]bool{"localhost:5000": true, "127.0.0.1:80": true, "127.8.8.8": true, "[::1]:5000": true, "x.localhost": true,
		"10.0.0.1:80": false, "registry.local": false, "docker.io": false, "localhost.example.com": false} {
		if isLoopback(host) != want {
			t.Errorf("%s", host)
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := New("lxc", Options{}); schema.KindOf(err) != schema.Invalid {
		t.Error(err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := New(Docker, Options{}); schema.KindOf(err) != schema.Unavailable || schema.HintOf(err) == "" {
		t.Error(err)
	}
}

// TestCreateArgsAreShownWithoutValues: what the command itself is given is its own business, and withheld by who gives it.
func TestCreateArgsAreShownWithoutValues(t *testing.T) {
	l := &Launcher{engine: Podman}
	got, err := l.CreateArgs(t.Context(), launch.Job{Argv: []string{"env", "--env", "A=b"}, Env: []string{"DOCKER_AUTH=hush", "KEY=hush", "RUNPIN_RUN_ID=NEW"}, Image: "reg.example.org/a@sha256:" + strings.Repeat("a", 64)})
	want := "podman create --interactive --pull=never --env DOCKER_AUTH --env KEY --label runpin.dev/run=NEW --env RUNPIN_RUN_ID reg.example.org/a@sha256:" + strings.Repeat("a", 64) + " env --env A=b"
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("%v: %q", err, got)
	}
}
