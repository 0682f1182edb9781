//go:build unix

package container

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("RUNPIN_TEST_DOCKER"); dir != "" && filepath.Base(os.Args[0]) == "docker" {
		os.Exit((&docker{dir: dir}).run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// docker stands in for the engine: it does what docker documents of the commands that are used, with processes of this host in the place of containers.
type docker struct{ dir string }

// box is one container.
type box struct {
	Argv   []string
	Env    []string
	Dir    string
	Mounts map[string]string // target to source
	State  state
}

func (d *docker) path(id string) string { return filepath.Join(d.dir, id) }

func (d *docker) load(id string) (b box) {
	text, err := os.ReadFile(d.path(id))
	if err != nil || json.Unmarshal(text, &b) != nil {
		fmt.Fprintf(os.Stderr, "Error response from daemon: No such container: %s\n", id)
		os.Exit(1)
	}
	return b
}

func (d *docker) save(id string, b box) {
	text, err := json.Marshal(b)
	if err == nil {
		if err = os.WriteFile(d.path(id)+".new", text, 0o600); err == nil {
			err = os.Rename(d.path(id)+".new", d.path(id))
		}
	}
	if err != nil {
		panic(err)
	}
}

func (d *docker) run(args []string) int {
	id := args[len(args)-1]
	switch args[0] {
	case "info":
		fmt.Println("[name=seccomp,profile=builtin name=rootless]")
	case "create":
		fmt.Println(d.create(args[1:]))
	case "start":
		return d.start(id)
	case "container": // inspect --format {{json .State}}
		text, _ := json.Marshal(d.load(id).State)
		fmt.Println(string(text))
	case "rm":
		os.Remove(d.path(id))
	default:
		fmt.Fprintf(os.Stderr, "docker: '%s' is not a docker command.\n", args[0])
		return 1
	}
	return 0
}

func (d *docker) create(args []string) string {
	b := box{Env: []string{"PATH=" + os.Getenv("PATH"), "FROM=image"}, Dir: "/", Mounts: map[string]string{}}
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		if args[0] == "--interactive" || strings.Contains(args[0], "=") {
			args = args[1:]
			continue
		}
		switch value := args[1]; args[0] {
		case "--workdir":
			b.Dir = value
		case "--mount":
			var source, target string
			for field := range strings.SplitSeq(value, ",") {
				switch k, v, _ := strings.Cut(field, "="); k {
				case "source":
					source = v
				case "destination":
					target = v
				}
			}
			b.Mounts[target] = source
		case "--env":
			if !strings.Contains(value, "=") {
				value += "=" + os.Getenv(value)
			}
			b.Env = append(b.Env, value)
		}
		args = args[2:]
	}
	b.Argv = args[1:] // behind the image
	var id [32]byte
	rand.Read(id[:])
	d.save(hex.EncodeToString(id[:]), b)
	return hex.EncodeToString(id[:])
}

func (d *docker) start(id string) int {
	b := d.load(id)
	dir := b.Dir
	if source, ok := b.Mounts[dir]; ok {
		dir = source
	}
	path, err := exec.LookPath(b.Argv[0])
	if err == nil {
		var exit launch.Exit
		exit, err = launch.Run(context.Background(), launch.Process{Path: path, Argv: b.Argv, Dir: dir, Env: b.Env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Started: func(pid int) {
			b.State = state{Status: "running", Running: true, Pid: pid, StartedAt: time.Now()}
			d.save(id, b)
		}})
		if err == nil {
			b.State.Status, b.State.Running, b.State.ExitCode = "exited", false, exit.Code
			d.save(id, b)
			return exit.Code
		}
	}
	b.State.ExitCode, b.State.Error = 127, fmt.Sprintf("exec: %q: executable file not found in $PATH", b.Argv[0])
	if _, statErr := os.Stat(b.Argv[0]); statErr == nil {
		b.State.ExitCode, b.State.Error = 126, fmt.Sprintf("exec: %q: permission denied", b.Argv[0])
	}
	d.save(id, b)
	fmt.Fprintln(os.Stderr, "Error response from daemon: failed to create task for container:", b.State.Error)
	return b.State.ExitCode
}

// TestDocker holds what runpin makes of docker's words to the promises of a launcher. That docker itself speaks so is what its documentation says.
func TestDocker(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "docker")
	if err := os.MkdirAll(filepath.Join(dir, "boxes"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, program)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("RUNPIN_TEST_DOCKER", filepath.Join(dir, "boxes"))
	l, err := New(Docker, Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	launchtest.Launcher(t, launchtest.LauncherHarness{
		Launcher: l,
		Job:      func(*testing.T) launch.Job { return launch.Job{Image: "x.example.com/y@sha256:" + digits} },
		Directory: func(t *testing.T, job *launch.Job) string {
			dir := t.TempDir()
			job.Dir, job.Mounts = dir, []launch.Mount{{Source: dir, Target: dir}}
			return dir
		},
		Added:       func(name string) bool { return name == "FROM" || name == "PATH" },
		Plain:       plain,
		Codes:       []int{0, 1, 125, 126, 127, 128, 255},
		NoSignals:   "an engine says the exit code alone",
		NoRawBytes:  "the configuration of a container is JSON",
		NoSameOrder: "an engine passes two streams on",
		Talks:       "docker's client says why",
		AnyDir:      "docker makes a working directory that is not there",
	})
	if left, err := os.ReadDir(filepath.Join(dir, "boxes")); err != nil || len(left) > 0 {
		t.Errorf("containers are left: %v %v", left, err)
	}
}
