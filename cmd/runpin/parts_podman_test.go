package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// podmanEnv gives the environment, as KEY=VALUE to add to one's own, in which podman works as root without systemd and keeps everything
// it stores inside temporary directories. Nothing in it excuses a caller from saying how it talks to a registry without TLS.
func podmanEnv(t testing.TB) []string {
	t.Helper()
	requirePart(t, "podman", "runc")
	dir := t.TempDir()
	write := func(file, content string) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The run root's path must stay short: sockets live below it.
	run, err := os.MkdirTemp("", "pod")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		// runc: crun refuses hybrid control groups. netns none: no network set-up is needed, and none is possible in most sandboxes.
		"CONTAINERS_CONF=" + write("containers.conf", fmt.Sprintf("[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\ntmp_dir = %q\n", filepath.Join(run, "libpod"))+
			"[containers]\nnetns = \"none\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\nlog_driver = \"k8s-file\"\n"),
		"CONTAINERS_STORAGE_CONF=" + write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n",
			filepath.Join(dir, "graph"), run)),
		"CONTAINERS_REGISTRIES_CONF=" + write("registries.conf", "unqualified-search-registries = []\n"),
		"REGISTRY_AUTH_FILE=" + write("auth.json", "{}"),
		"TMPDIR=" + run,
		"XDG_RUNTIME_DIR=" + run,
	}
	t.Cleanup(func() {
		cmd := exec.Command("podman", "rm", "--all", "--force", "--time", "0")
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("podman rm: %v\n%s", err, out)
		}
		for _, root := range []string{run, dir} {
			unmountBelow(root)
			if err := os.RemoveAll(root); err != nil {
				t.Errorf("podman's storage could not be removed: %v", err)
			}
		}
	})
	return env
}

// unmountBelow detaches what a killed container may have left mounted below root, innermost first.
func unmountBelow(root string) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	var points []string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], root+"/") {
			points = append(points, f[1])
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(points)))
	for _, point := range points {
		exec.Command("umount", "--lazy", point).Run()
	}
}

func TestPartsPodman(t *testing.T) {
	env := podmanEnv(t)
	addr, _ := startRegistry(t)
	digest := busyboxImage(t, addr, "team/trainer", "1.4", map[string]string{"etc/content": "from the image\n", "bin/train": "#!/bin/sh\nexit 7\n"})
	podman := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "podman", args...)
		cmd.Env = append(os.Environ(), env...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if stderr.Len() > 0 {
			t.Logf("podman %s: %s", args[0], &stderr)
		}
		return string(out), err
	}
	ref := addr + "/team/trainer@" + digest
	if _, err := podman("pull", "--quiet", "--tls-verify=false", ref); err != nil {
		t.Fatalf("pull by digest: %v", err)
	}
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "x"), []byte("from the mount\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := podman("run", "--rm", "--volume", data+":/data:ro", ref, "sh", "-c", "cat /etc/content /data/x; touch /data/y 2>/dev/null || echo read-only")
	if want := "from the image\nfrom the mount\nread-only\n"; err != nil || out != want {
		t.Errorf("run: %v, %q, want %q", err, out, want)
	}
	_, err = podman("run", "--rm", ref, "train")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exit code: %v, want 7", err)
	}
}
