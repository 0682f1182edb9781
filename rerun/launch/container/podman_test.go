//go:build linux

package container

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/schema"
)

// world is an engine with an empty storage of its own, and a registry.
type world struct {
	*Launcher
	progress bytes.Buffer
	host     string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	launchtest.Require(t, "podman", "runc")
	// A long path does not fit into the name of a socket, and podman's storage holds files that only podman can remove.
	dir, err := os.MkdirTemp("/var/tmp", "rp")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("CONTAINERS_CONF", write("containers.conf", "[engine]\nruntime = \"runc\"\n[containers]\ndefault_ulimits = [\"nofile=1024:1024\",\"nproc=1024:1024\"]\nnetns = \"none\"\n"))
	t.Setenv("CONTAINERS_STORAGE_CONF", write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = \"%s/root\"\nrunroot = \"%s/run\"\n", dir, dir)))
	w := &world{}
	t.Cleanup(func() {
		for _, args := range [][]string{{"rm", "--all", "--force", "--time", "0"}, {"system", "reset", "--force"}} {
			exec.Command("podman", args...).Run()
		}
		os.RemoveAll(dir)
	})
	if w.Launcher, err = New(Podman, Options{Progress: &w.progress}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	return w
}

// busybox makes an image of the statically linked busybox (Debian's busybox-static), with a file that tells images apart.
func busybox(t *testing.T, mark string, change func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	launchtest.Require(t, "busybox")
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	add := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	for _, dir := range []string{"bin", "tmp", "etc"} {
		add(tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o777}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, applet := range []string{"sh", "cat", "ls", "env", "sleep", "pwd", "id", "kill", "seq"} {
		add(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	add(tar.Header{Name: "mark", Mode: 0o644}, []byte(mark))
	add(tar.Header{Name: "bin/plain", Mode: 0o644}, []byte("x"))
	w.Close()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", "amd64", []string{"PATH=/bin", "FROM=image"}
	if change != nil {
		change(config)
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// push gives the reference by digest and the config digest.
func (w *world) push(t *testing.T, img v1.Image, ref string) (string, schema.Digest) {
	t.Helper()
	tag, err := name.NewTag(w.host + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	digest, _ := img.Digest()
	config, _ := img.ConfigName()
	return tag.String() + "@" + digest.String(), schema.Digest(config.String())
}

func (w *world) launch(t *testing.T, job launch.Job) (launch.Exit, string, error) {
	t.Helper()
	var out bytes.Buffer
	if job.Stdout == nil {
		job.Stdout = &out
	}
	if job.Stderr == nil {
		job.Stderr = &out
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	exit, err := w.Launch(ctx, job)
	left, lerr := w.run(context.Background(), nil, "ps", "--all", "--quiet")
	if lerr != nil || strings.TrimSpace(left) != "" {
		t.Errorf("containers are left: %q %v", left, lerr)
	}
	return exit, out.String(), err
}

// The image that was pinned is what runs, though its tag has moved; nothing of the command's is changed on the way.
func TestPodman(t *testing.T) {
	w := newWorld(t)
	ref, config := w.push(t, busybox(t, "old", nil), "team/trainer:1")
	w.push(t, busybox(t, "new", nil), "team/trainer:1") // the tag moves
	ctx := context.Background()
	if err := w.EnsureImage(ctx, ref, config, false); err != nil {
		t.Fatal(err)
	}
	if w.progress.Len() == 0 {
		t.Error("nothing was said while pulling")
	}
	w.progress.Reset()
	if err := w.EnsureImage(ctx, ref, config, false); err != nil || w.progress.Len() > 0 {
		t.Errorf("pulled again: %v %s", err, &w.progress)
	}
	if err := w.EnsureImage(ctx, string(config), config, false); err != nil {
		t.Error(err)
	}
	if err := w.EnsureImage(ctx, ref, schema.SHA256(nil), false); schema.KindOf(err) != schema.Drift {
		t.Errorf("another config: %v", err)
	}

	t.Run("launcher", func(t *testing.T) {
		launchtest.Launcher(t, launchtest.LauncherHarness{
			Launcher: w.Launcher,
			Job:      func(*testing.T) launch.Job { return launch.Job{Image: ref, Env: []string{"PATH=/bin"}} },
			Directory: func(t *testing.T, job *launch.Job) string {
				dir := t.TempDir()
				job.Dir, job.Mounts = "/src", []launch.Mount{{Source: dir, Target: "/src"}}
				return dir
			},
			Added: func(name string) bool {
				return name == "FROM" || name == "HOME" || name == "HOSTNAME" || name == "TERM" || name == "container"
			},
			Plain:       "/bin/plain",
			Codes:       []int{0, 1, 125, 126, 127, 255},
			NoSignals:   "the first process of a container gets no signal from itself that it does not catch",
			NoRawBytes:  "the configuration of a container is JSON",
			NoSameOrder: "an engine passes two streams on",
		})
	})
	t.Run("output and exit code", func(t *testing.T) {
		var pid int
		exit, out, err := w.launch(t, launch.Job{Image: ref, Argv: []string{"sh", "-c", "cat /mark; cat; echo $FROM $NEW $TERM; pwd; exit 42"}, Stdin: strings.NewReader(" stdin\n"),
			Dir: "/tmp", Env: []string{"NEW=a b", "TERM=dumb"}, Started: func(p int) { pid = p }})
		if err != nil || exit.Code != 42 || out != "old stdin\nimage a b dumb\n/tmp\n" || pid == 0 {
			t.Errorf("%v %q %v pid %d", exit, out, err, pid)
		}
	})
	t.Run("cannot start", func(t *testing.T) {
		for _, tc := range []struct {
			job  launch.Job
			code int
			want string
		}{
			{launch.Job{Image: ref, Argv: []string{"no-such-command"}}, 127, "executable file not found"},
			{launch.Job{Image: ref, Argv: []string{"/no/such/command"}}, 127, "no such file"},
			{launch.Job{Image: ref, Argv: []string{"/bin/plain"}}, 126, "permission denied"},
			{launch.Job{Image: ref, Argv: []string{"sh"}, Dir: "/none"}, 125, "/none"},
			{launch.Job{Image: ref, Argv: []string{"sh"}, Mounts: []launch.Mount{{Source: "/no/such", Target: "/x"}}}, 125, "no such file"},
			{launch.Job{Image: "x.example.com/y@sha256:" + digits, Argv: []string{"sh"}}, 125, "not known"},
		} {
			tc.job.Started = func(int) { t.Error("started") }
			_, out, err := w.launch(t, tc.job)
			var start *launch.StartError
			if !errors.As(err, &start) || start.Code != tc.code || !strings.Contains(err.Error(), tc.want) || out != "" {
				t.Errorf("%v: %v %q", tc.job.Argv, err, out)
			}
		}
	})
	t.Run("mounts", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), `a,b:c="d" e`)
		for _, sub := range []string{"in", "out"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		os.WriteFile(filepath.Join(dir, "in", "f"), []byte("data\n"), 0o644)
		exit, out, err := w.launch(t, launch.Job{Image: ref, Dir: "/src", Mounts: []launch.Mount{
			{Source: filepath.Join(dir, "out"), Target: "/src"}, {Source: filepath.Join(dir, "in"), Target: "/data,x:y", ReadOnly: true}},
			Argv: []string{"sh", "-c", "cat /data,x:y/f > model && cat model; echo no > /data,x:y/f || exit 5"}})
		if err != nil || exit.Code != 1 && exit.Code != 5 || !strings.Contains(out, "data\n") || !strings.Contains(out, "Read-only") {
			t.Errorf("%v %q %v", exit, out, err)
		}
		model, err := os.ReadFile(filepath.Join(dir, "out", "model"))
		in, _ := os.ReadFile(filepath.Join(dir, "in", "f"))
		if err != nil || string(model) != "data\n" || string(in) != "data\n" {
			t.Errorf("%q %q %v", model, in, err)
		}
		info, err := os.Stat(filepath.Join(dir, "out", "model"))
		if err != nil || owner(info) != os.Getuid() {
			t.Error("the file is not ours")
		}
	})
	t.Run("entrypoint", func(t *testing.T) {
		ref, config := w.push(t, busybox(t, "entry", func(c *v1.ConfigFile) { c.Config.Entrypoint = []string{"/bin/sh", "-c", `echo "entry $0 $1"; exit 3`} }), "team/entry:1")
		if err := w.EnsureImage(context.Background(), ref, config, false); err != nil {
			t.Fatal(err)
		}
		exit, out, err := w.launch(t, launch.Job{Image: ref, Argv: []string{"a", "--b"}})
		if err != nil || exit.Code != 3 || out != "entry a --b\n" {
			t.Errorf("%v %q %v", exit, out, err)
		}
	})
	t.Run("the client is killed", func(t *testing.T) {
		exit, _, err := w.launch(t, launch.Job{Image: ref, Argv: []string{"sh", "-c", "sleep 1; exit 6"}, Started: func(int) {
			if n := killClients(); n != 1 {
				t.Errorf("%d clients were killed", n)
			}
		}})
		if err != nil || exit.Code != 6 {
			t.Errorf("%v %v", exit, err)
		}
	})
}

// killClients kills the children of this process that are attached to a container.
func killClients() (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		argv, _ := os.ReadFile(path)
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if bytes.HasPrefix(argv, []byte("podman\x00start\x00")) && bytes.Contains(stat, fmt.Appendf(nil, "PPid:\t%d\n", os.Getpid())) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
				n++
			}
		}
	}
	return n
}

// An image that cannot be had is told apart from one that cannot be had now.
func TestPodmanCannotPull(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	if err := w.EnsureImage(ctx, w.host+"/team/none@sha256:"+digits, "", false); schema.KindOf(err) != schema.Gone && schema.KindOf(err) != schema.Unavailable {
		t.Error(err)
	}
	w.push(t, busybox(t, "x", nil), "team/trainer:1")
	if err := w.EnsureImage(ctx, w.host+"/team/trainer@sha256:"+digits, "", false); schema.KindOf(err) != schema.Gone {
		t.Error(err)
	}
	if err := w.EnsureImage(ctx, "sha256:"+digits, "", false); schema.KindOf(err) != schema.Gone {
		t.Error(err)
	}
	if err := w.EnsureImage(ctx, w.host+"/team/trainer:1", "", false); schema.KindOf(err) != schema.Unpinnable {
		t.Error(err)
	}
	if err := w.EnsureImage(ctx, "127.0.0.1:1/team/trainer@sha256:"+digits, "", false); schema.KindOf(err) != schema.Unavailable {
		t.Error(err)
	}
}
