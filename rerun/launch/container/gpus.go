package container

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// gpuArgs gives the arguments for what a container is given of the GPUs: docker has a flag of its own, podman takes them as devices by the Container Device
// Interface, which names them nvidia.com/gpu=all, =0 and so on.
func (l *Launcher) gpuArgs(asked string) []string {
	if asked == "" || asked == "none" {
		return nil
	}
	if l.engine == Docker {
		if strings.HasPrefix(asked, "device=") {
			asked = `"` + asked + `"` // its value is CSV
		}
		return []string{"--gpus", asked}
	}
	devices := []string{asked}
	if ids, ok := strings.CutPrefix(asked, "device="); ok {
		devices = strings.Split(ids, ",")
	} else if n, err := strconv.Atoi(asked); err == nil {
		devices = nil
		for i := range n {
			devices = append(devices, strconv.Itoa(i))
		}
	}
	var args []string
	for _, d := range devices {
		args = append(args, "--device", "nvidia.com/gpu="+d)
	}
	return args
}

// Probe says within seconds whether the engine answers. It changes nothing.
func (l *Launcher) Probe(ctx context.Context) error {
	args := []string{"info", "--format", "{{.Host.Arch}}"}
	if l.engine == Docker {
		args = []string{"version", "--format", "{{.Server.Version}}"}
	}
	if _, err := l.run(ctx, nil, args...); err != nil {
		return &schema.Error{Op: "launch." + l.engine, Kind: schema.Unavailable, Subject: l.engine, Err: err, Hint: "try: " + l.engine + " info"}
	}
	return nil
}

// cdi is where descriptions of devices stand for the Container Device Interface.
var cdi = []string{"/etc/cdi", "/var/run/cdi"}

// CanGPUs reports whether the engine can give GPUs to a container.
func (l *Launcher) CanGPUs(ctx context.Context) bool {
	if l.engine == Docker {
		runtimes, err := l.run(ctx, nil, "info", "--format", "{{json .Runtimes}}")
		if err == nil && strings.Contains(runtimes, `"nvidia"`) {
			return true
		}
	}
	for _, dir := range cdi {
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
				continue
			}
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "nvidia.com/gpu") {
				return true
			}
		}
	}
	return false
}
