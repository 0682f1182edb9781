//go:build unix

package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestProbe(t *testing.T) {
	for name, verb := range map[string]string{Podman: "info", Docker: "version"} {
		l, log := engine(t, name, map[string]string{verb: "echo 1"})
		if err := l.Probe(t.Context()); err != nil || !strings.HasPrefix(log(), verb+" --format") {
			t.Errorf("%s: %v, asked %q", name, err, log())
		}
		l, _ = engine(t, name, map[string]string{verb: "echo cannot connect to the daemon >&2; exit 1"})
		if err := l.Probe(t.Context()); schema.KindOf(err) != schema.Unavailable || !strings.Contains(err.Error(), "cannot connect") || schema.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCanGPUs(t *testing.T) {
	dir := t.TempDir()
	was := cdi
	cdi = []string{dir, filepath.Join(dir, "none")}
	t.Cleanup(func() { cdi = was })
	podman, _ := engine(t, Podman, nil)
	docker, _ := engine(t, Docker, map[string]string{"info": `echo '{"runc":{"path":"runc"}}'`})
	nvidia, _ := engine(t, Docker, map[string]string{"info": `echo '{"nvidia":{"path":"nvidia-container-runtime"},"runc":{}}'`})
	if podman.CanGPUs(t.Context()) || docker.CanGPUs(t.Context()) || !nvidia.CanGPUs(t.Context()) {
		t.Error("an engine without a description of GPUs, or docker without NVIDIA's runtime, cannot; docker with it can")
	}
	if err := os.WriteFile(filepath.Join(dir, "nvidia.yaml"), []byte("cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !podman.CanGPUs(t.Context()) || !docker.CanGPUs(t.Context()) {
		t.Error("a description of GPUs is not found")
	}
}
