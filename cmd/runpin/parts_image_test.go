package main

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// busyboxImage pushes a minimal image to addr/repo:tag and gives its manifest digest: a static /bin/busybox under the names of its common
// applets, /tmp, and the given files (path → content; one below bin/ is executable). Equal arguments give equal digests.
func busyboxImage(t testing.TB, addr, repo, tag string, files map[string]string) (digest string) {
	t.Helper()
	requirePart(t, "busybox")
	img := buildBusybox(t, files)
	ref, err := name.ParseReference(addr+"/"+repo+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func buildBusybox(t testing.TB, files map[string]string) v1.Image {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	add := func(h tar.Header, content []byte) {
		h.Size, h.Format, h.ModTime = int64(len(content)), tar.FormatPAX, time.Unix(0, 0)
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	dirs := map[string]bool{}
	mkdirs := func(file string) {
		for i, c := range file {
			if dir := file[:i]; c == '/' && !dirs[dir] {
				dirs[dir] = true
				add(tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}, nil)
			}
		}
	}
	mkdirs("bin/")
	mkdirs("etc/")
	dirs["tmp"] = true
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/:/bin/sh\n"))
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, binary)
	for _, applet := range []string{"awk", "cat", "chmod", "cmp", "cp", "cut", "date", "echo", "env", "false", "find", "grep", "head", "id",
		"kill", "ln", "ls", "mkdir", "mv", "printf", "pwd", "rm", "sed", "sh", "sha256sum", "sleep", "sort", "tail", "tee", "test", "touch",
		"tr", "true", "uname", "wc", "xargs"} {
		add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777}, nil)
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		path := strings.TrimPrefix(file, "/")
		mode := int64(0o644)
		if strings.HasPrefix(path, "bin/") {
			mode = 0o755
		}
		mkdirs(path)
		add(tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode}, []byte(files[file]))
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, configFor(t, img))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func configFor(t testing.TB, img v1.Image) *v1.ConfigFile {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Env = []string{"PATH=/bin"}
	config.Config.Cmd = []string{"/bin/sh"}
	config.Config.Labels = map[string]string{"org.opencontainers.image.title": "busybox for tests"}
	return config
}
