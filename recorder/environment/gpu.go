package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

const (
	smiTimeout = 3 * time.Second
	maxGPUs    = 1024
)

// gpuFacts is what is cached.
type gpuFacts struct {
	GPUs   []schema.GPU
	Driver string
	CUDA   string
}

// GPUs says what this machine has, and the driver. It implements rerun.Hardware.
func (r *Reader) GPUs(ctx context.Context) ([]schema.GPU, string) {
	f := r.readGPUs(ctx)
	return f.env.GPUs, f.env.GPUDriver
}

// readGPUs asks nvidia-smi, which may take seconds when the driver is not loaded, and falls back to what the kernel shows. Its answer holds for
// as long as the machine has not been restarted and driver, devices and MIG partitions stay as they are, which /proc and /dev tell at once.
func (r *Reader) readGPUs(ctx context.Context) findings {
	var f findings
	driver, state, present := r.gpuState()
	if !present {
		if driver, gpus := r.readAMD(); len(gpus) > 0 {
			f.env.GPUDriver, f.env.GPUs = driver, gpus
		}
		return f
	}
	name := "gpus-" + driver
	if b, ok := r.readCache(name, state); ok {
		var facts gpuFacts
		if json.Unmarshal(b, &facts) == nil {
			f.env.GPUs, f.env.GPUDriver, f.env.CUDA = facts.GPUs, facts.Driver, facts.CUDA
			return f
		}
	}
	facts, err := r.askSMI(ctx)
	if err == nil {
		if b, err := json.Marshal(facts); err == nil && state != "" {
			r.writeCache(name, state, b)
		}
	} else {
		f.because("no-nvidia-smi", "gpus", "nvidia-smi gave no answer: "+err.Error()+"; the list is the kernel's")
		facts = gpuFacts{GPUs: r.readProcGPUs(), Driver: driver}
		f.because("not-read", "cuda", "only nvidia-smi says which CUDA version the driver supports")
	}
	f.env.GPUs, f.env.GPUDriver, f.env.CUDA = facts.GPUs, facts.Driver, facts.CUDA
	return f
}

var driverVersion = regexp.MustCompile(`Kernel Module\D*(?:x86_64|aarch64)?\s+([0-9]+\.[0-9]+(?:\.[0-9]+)?)\s`)

// gpuState says whether there is an NVIDIA driver, which one, and a text that changes when anything that nvidia-smi would say could.
func (r *Reader) gpuState() (driver, state string, present bool) {
	version := r.system("/proc/driver/nvidia/version")
	if m := driverVersion.FindStringSubmatch(version); m != nil {
		driver = m[1]
	}
	if version == "" && !r.exists("/dev/nvidiactl") && !r.exists("/dev/dxg") && runtime.GOOS != "windows" {
		return "", "", false
	}
	boot := strings.TrimSpace(r.system("/proc/sys/kernel/random/boot_id"))
	if boot == "" || driver == "" {
		return driver, "", true // nothing to tell a stale answer by: not cached
	}
	var devices []string
	for _, name := range r.entries("/dev", 10_000) {
		if strings.HasPrefix(name, "nvidia") {
			devices = append(devices, name)
		}
	}
	devices = append(devices, r.entries("/dev/nvidia-caps", 10_000)...)
	for _, gpu := range r.entries("/proc/driver/nvidia/capabilities", maxGPUs) {
		for _, slice := range r.entries("/proc/driver/nvidia/capabilities/"+gpu+"/mig", maxGPUs) {
			devices = append(devices, gpu+"/"+slice)
		}
	}
	slices.Sort(devices)
	return driver, fmt.Sprintf("gpu 1 %s %s %s", boot, strings.TrimSpace(version), strings.Join(devices, " ")), true
}

// readProcGPUs reads what the driver shows without nvidia-smi.
func (r *Reader) readProcGPUs() []schema.GPU {
	var gpus []schema.GPU
	slots := r.entries("/proc/driver/nvidia/gpus", maxGPUs)
	slices.Sort(slots)
	for i, slot := range slots {
		g := schema.GPU{Index: i, PCI: slot}
		for _, line := range strings.Split(r.system("/proc/driver/nvidia/gpus/"+slot+"/information"), "\n") {
			key, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if strings.Contains(value, "?") {
				continue // "GPU-????????-…": the driver has not initialised the device
			}
			switch strings.TrimSpace(key) {
			case "Model":
				g.Model = value
			case "GPU UUID":
				g.UUID = value
			case "Video BIOS":
				g.VBIOS = value
			case "Device Minor":
				if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < maxGPUs {
					g.Index = n
				}
			}
		}
		gpus = append(gpus, g)
	}
	slices.SortStableFunc(gpus, func(a, b schema.GPU) int { return a.Index - b.Index })
	return gpus
}

// readAMD reads the topology that the amdgpu driver shows; nodes without SIMD units are processors.
func (r *Reader) readAMD() (driver string, gpus []schema.GPU) {
	nodes := r.entries("/sys/class/kfd/kfd/topology/nodes", maxGPUs)
	slices.SortFunc(nodes, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	})
	for _, node := range nodes {
		base := "/sys/class/kfd/kfd/topology/nodes/" + node
		properties := map[string]int64{}
		for _, line := range strings.Split(r.system(base+"/properties"), "\n") {
			if k, v, ok := strings.Cut(line, " "); ok {
				if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
					properties[k] = n
				}
			}
		}
		if properties["simd_count"] == 0 {
			continue
		}
		g := schema.GPU{Index: len(gpus), Model: strings.TrimSpace(r.system(base + "/name"))}
		if v := properties["gfx_target_version"]; v > 0 {
			g.ComputeCapability = fmt.Sprintf("gfx%d%d%x", v/10000, v/100%100, v%100)
		}
		if id := properties["unique_id"]; id != 0 {
			g.UUID = fmt.Sprintf("%016x", uint64(id))
		}
		gpus = append(gpus, g)
	}
	return strings.TrimSpace(r.system("/sys/module/amdgpu/version")), gpus
}

// smiPath gives the program to ask. On a real machine it is looked for in PATH and where WSL puts it.
func (r *Reader) smiPath() string {
	if r.smi != "" {
		return r.smi
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin", "/usr/lib/wsl/lib") {
		path := filepath.Join(dir, "nvidia-smi")
		if runtime.GOOS == "windows" {
			path += ".exe"
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}
