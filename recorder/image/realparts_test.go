package image_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/bcrypt"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/image/imagetest"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// distribution is a docker-registry of its own.
type distribution struct {
	program, config, host string
	cmd                   *exec.Cmd
}

func startDistribution(t *testing.T, htpasswd string) *distribution {
	t.Helper()
	d := &distribution{program: requirePart(t, "docker-registry"), config: filepath.Join(t.TempDir(), "config.yml")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	d.host = l.Addr().String()
	ok(t, l.Close())
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: %q}\n", t.TempDir(), d.host)
	if htpasswd != "" {
		config += fmt.Sprintf("auth:\n  htpasswd: {realm: test, path: %q}\n", htpasswd)
	}
	ok(t, os.WriteFile(d.config, []byte(config), 0o600))
	d.start(t)
	t.Cleanup(d.stop)
	return d
}

func (d *distribution) start(t *testing.T) {
	t.Helper()
	d.cmd = exec.Command(d.program, "serve", d.config)
	var output bytes.Buffer
	d.cmd.Stdout, d.cmd.Stderr = &output, &output
	ok(t, d.cmd.Start())
	for range 200 {
		res, err := http.Get("http://" + d.host + "/v2/")
		if err == nil {
			res.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.stop()
	t.Fatalf("docker-registry does not answer:\n%s", output.String())
}

func (d *distribution) stop() {
	if d.cmd != nil {
		d.cmd.Process.Kill()
		d.cmd.Wait()
		d.cmd = nil
	}
}

// collect removes what no tag names, for good.
func (d *distribution) collect(t *testing.T) {
	t.Helper()
	d.stop()
	out, err := exec.Command(d.program, "garbage-collect", "--delete-untagged", d.config).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.start(t)
}

// copyTo copies what from names to another registry.
func copyTo(t *testing.T, from, to string, opts ...remote.Option) {
	t.Helper()
	src, err := name.ParseReference(from)
	ok(t, err)
	dst, err := name.ParseReference(to)
	ok(t, err)
	desc, err := remote.Get(src)
	ok(t, err)
	pusher, err := remote.NewPusher(opts...)
	ok(t, err)
	ok(t, pusher.Push(t.Context(), dst, desc))
}

func realResolver(t *testing.T, engines ...image.Engine) *image.Resolver {
	if engines == nil {
		engines = []image.Engine{}
	}
	return image.New(image.Options{Registry: registry.New(registry.Options{CacheDir: t.TempDir()}), Engines: engines, Layers: true})
}

func TestRealRegistryMovesAndCollects(t *testing.T) {
	d := startDistribution(t, "")
	w := newWorld(t)
	pushed, err := w.PushIndex("team/trainer", "1", nil, threePlatforms...)
	ok(t, err)
	other, err := w.PushImage("team/trainer", "2", imagetest.Image{Files: map[string]string{"b": "2"}})
	ok(t, err)
	copyTo(t, w.Ref("team/trainer", "1"), d.host+"/team/trainer:1")
	copyTo(t, w.Ref("team/trainer", "2"), d.host+"/team/other:1")

	r := realResolver(t)
	req := recorder.ImageRequest{Name: "image", Ref: d.host + "/team/trainer:1", Platform: "linux/arm64"}
	pin, err := r.ResolveImage(t.Context(), req)
	ok(t, err)
	if child := pushed.Children["linux/arm64/v8"]; pin.IndexDigest != pushed.Digest || pin.PlatformDigest != child.Digest || pin.ConfigDigest != child.Config {
		t.Errorf("%+v", pin)
	}
	wantState(t, r.CheckImage(t.Context(), pin), schema.StateAvailable)

	copyTo(t, w.Ref("team/trainer", "2"), d.host+"/team/trainer:1")
	wantState(t, r.CheckImage(t.Context(), pin), schema.StateAvailable)
	req.Platform = ""
	moved, err := r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: req.Ref, Platform: "linux/amd64"})
	if err != nil || moved.PlatformDigest != other.Digest {
		t.Errorf("%v %+v", err, moved)
	}
	pinned, err := r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: req.Ref + "@" + string(pushed.Digest), Platform: "linux/arm64"})
	if err != nil || pinned.ConfigDigest != pin.ConfigDigest || !hasReason(pinned, image.ReasonTagMoved) {
		t.Errorf("%v %+v", err, pinned)
	}

	d.collect(t)
	a := r.CheckImage(t.Context(), pin)
	wantState(t, a, schema.StateGone, "MANIFEST_UNKNOWN", "the tag 1 names another image now")
	if a.Found != schema.Text(other.Digest) {
		t.Errorf("%+v", a)
	}
	_, err = r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: req.Ref + "@" + string(pushed.Digest), Platform: "linux/arm64"})
	wantError(t, err, schema.Unpinnable, "MANIFEST_UNKNOWN")
	_, err = r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: d.host + "/team/trainer:nope"})
	wantError(t, err, schema.Unpinnable, "MANIFEST_UNKNOWN")
	_, err = r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: d.host + "/team/nope:1"})
	wantError(t, err, schema.Unpinnable)
}

func TestRealRegistryAsksForAPassword(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2"), bcrypt.MinCost)
	ok(t, err)
	file := filepath.Join(t.TempDir(), "htpasswd")
	ok(t, os.WriteFile(file, []byte("user:"+string(hash)+"\n"), 0o600))
	d := startDistribution(t, file)
	w := newWorld(t)
	pushed, err := w.PushRandom("a/b", "1")
	ok(t, err)
	copyTo(t, w.Ref("a/b", "1"), d.host+"/a/b:1", remote.WithAuth(&authn.Basic{Username: "user", Password: "hunter2"}))

	req := recorder.ImageRequest{Ref: d.host + "/a/b:1", Platform: "linux/amd64"}
	_, err = realResolver(t).ResolveImage(t.Context(), req)
	wantError(t, err, schema.Unpinnable, "denies access", "UNAUTHORIZED", "docker login "+d.host)
	t.Setenv("RUNPIN_REGISTRY_HOSTNAME_0", d.host)
	t.Setenv("RUNPIN_REGISTRY_USERNAME_0", "user")
	t.Setenv("RUNPIN_REGISTRY_PASSWORD_0", "not hunter2")
	_, err = realResolver(t).ResolveImage(t.Context(), req)
	wantError(t, err, schema.Unpinnable, "denies access", "RUNPIN_REGISTRY_HOSTNAME_… were sent")
	t.Setenv("RUNPIN_REGISTRY_PASSWORD_0", "hunter2")
	pin, err := realResolver(t).ResolveImage(t.Context(), req)
	if err != nil || pin.PlatformDigest != pushed.Digest {
		t.Errorf("%v %+v", err, pin)
	}
}

// podman gives a function that runs podman on a storage of its own.
func startPodman(t *testing.T) func(args ...string) string {
	t.Helper()
	program := requirePart(t, "podman")
	dir := t.TempDir()
	storage, containers := filepath.Join(dir, "storage.conf"), filepath.Join(dir, "containers.conf")
	ok(t, os.WriteFile(storage, []byte(fmt.Sprintf("[storage]\ndriver = \"vfs\"\nrunroot = %q\ngraphroot = %q\n", filepath.Join(dir, "run"), filepath.Join(dir, "root"))), 0o600))
	ok(t, os.WriteFile(containers, []byte("[engine]\nruntime = \"runc\"\n"), 0o600))
	t.Setenv("CONTAINERS_STORAGE_CONF", storage)
	t.Setenv("CONTAINERS_CONF", containers)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return func(args ...string) string {
		t.Helper()
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("podman %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

func TestRealPodmanImage(t *testing.T) {
	podman := startPodman(t)
	d := startDistribution(t, "")
	archive := filepath.Join(t.TempDir(), "a.tar")
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	ok(t, tw.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Size: 1}))
	ok(t, drop(tw.Write([]byte("a"))))
	ok(t, tw.Close())
	ok(t, os.WriteFile(archive, buf.Bytes(), 0o600))
	podman("import", "--change", "LABEL org.opencontainers.image.revision=abc", archive, "mine:1")
	id := podman("image", "inspect", "--format", "{{.Id}}", "mine:1")

	r := realResolver(t, image.Engine{Name: image.Podman})
	var local schema.ImagePin
	for _, ref := range []string{"localhost/mine:1", "sha256:" + id, id} {
		pin, err := r.ResolveImage(t.Context(), recorder.ImageRequest{Name: "image", Ref: ref, Engine: "podman"})
		ok(t, err)
		if !pin.Local || pin.ConfigDigest.Hex() != id || pin.Engine != "podman" || pin.Pullable() != "" || pin.Labels["org.opencontainers.image.revision"] != "abc" || pin.Platform == "" || !hasReason(pin, image.ReasonNotPushed) {
			t.Errorf("%s: %+v", ref, pin)
		}
		wantState(t, r.CheckImage(t.Context(), pin), schema.StateAvailable)
		local = pin
	}

	// Under a registry's name, before and after it is pushed there.
	there := d.host + "/team/mine:1"
	podman("tag", "localhost/mine:1", there)
	pin, err := r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: there})
	if err != nil || !pin.Local {
		t.Errorf("%v %+v", err, pin)
	}
	podman("push", "--tls-verify=false", there)
	pin, err = r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: there})
	if err != nil || pin.Local || pin.ConfigDigest.Hex() != id || pin.PlatformDigest == "" {
		t.Errorf("%v %+v", err, pin)
	}
	wantState(t, r.CheckImage(t.Context(), pin), schema.StateAvailable)
	podman("pull", "--tls-verify=false", d.host+"/team/mine@"+string(pin.PlatformDigest))
	byID, err := r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: "sha256:" + id})
	if err != nil || byID.Local || byID.PlatformDigest != pin.PlatformDigest || !hasReason(byID, image.ReasonFoundByEngine) {
		t.Errorf("%v %+v", err, byID)
	}

	podman("rmi", "--force", id)
	wantState(t, r.CheckImage(t.Context(), local), schema.StateGone, "podman does not have it")
	_, err = r.ResolveImage(t.Context(), recorder.ImageRequest{Ref: "localhost/mine:1", Engine: "podman"})
	wantError(t, err, schema.Unpinnable, "localhost/mine:1", "podman does not have it, and no registry answers at localhost")
}
