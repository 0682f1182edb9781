package environment

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

func gpuNode() map[string]string {
	files := node()
	maps.Copy(files, map[string]string{
		"proc/driver/nvidia/version":                       "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 12\n",
		"proc/driver/nvidia/gpus/0000:07:00.0/information": "Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ:   \t\t 1\nGPU UUID: \t GPU-11\nVideo BIOS: \t 92.00\nBus Location: \t 0000:07:00.0\nDevice Minor: \t 1\n",
		"proc/driver/nvidia/gpus/0000:0a:00.0/information": "Model: \t\t NVIDIA A100-SXM4-80GB\nGPU UUID: \t GPU-????\nDevice Minor: \t 0\n",
		"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "",
	})
	return files
}

// smi makes a stand-in for nvidia-smi that also counts its starts.
func smi(t *testing.T, script string) (path, log string) {
	t.Helper()
	dir := t.TempDir()
	path, log = filepath.Join(dir, "nvidia-smi"), filepath.Join(dir, "log")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$1\" >> "+log+"\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, log
}

const answer = `case "$1" in
--version) echo "NVIDIA-SMI version  : 535.104.05"; echo "CUDA Version        : 12.2"; exit;;
esac
`

func TestGPUs(t *testing.T) {
	onLinux(t)
	full := schema.GPU{Index: 0, UUID: "GPU-1", Model: "NVIDIA A100-SXM4-80GB", ComputeCapability: "8.0", MemoryMiB: 81920, ECC: "enabled", MIG: "disabled", VBIOS: "92.00.45.00.03", PCI: "00000000:07:00.0"}
	for _, c := range []struct {
		why, script  string
		driver, cuda string
		gpus         []schema.GPU
		reason       string
	}{
		{"an answer", answer + `echo "0, GPU-1, NVIDIA A100-SXM4-80GB, 535.104.05, 8.0, 92.00.45.00.03, 81920, Enabled, Disabled, 00000000:07:00.0"`, "535.104.05", "12.2", []schema.GPU{full}, ""},
		{"not available", answer + `echo "0, GPU-2, Tesla T4, 535.104.05, 7.5, [N/A], 15360, [N/A], N/A, [Unknown Error]"`, "535.104.05", "12.2",
			[]schema.GPU{{UUID: "GPU-2", Model: "Tesla T4", ComputeCapability: "7.5", MemoryMiB: 15360}}, ""},
		{"old columns", answer + `case "$1" in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;; *mig.mode*) echo 'Field "mig.mode.current" is not a valid field to query.'; exit 2;; esac
echo "0, GPU-3, Tesla K80, 418.1, 80.21, 11441, Disabled, 0000:01:00.0"`, "418.1", "12.2", []schema.GPU{{UUID: "GPU-3", Model: "Tesla K80", MemoryMiB: 11441, ECC: "disabled", VBIOS: "80.21", PCI: "0000:01:00.0"}}, ""},
		{"the version in the table", `case "$1" in --version) exit 2;; "") echo "| NVIDIA-SMI 470   Driver Version: 470   CUDA Version: 11.4  |"; exit;; esac
echo "0, GPU-4, V100, 470.1, 7.0, 1, 2, [N/A], [N/A], x"`, "470.1", "11.4", []schema.GPU{{UUID: "GPU-4", Model: "V100", ComputeCapability: "7.0", VBIOS: "1", MemoryMiB: 2, PCI: "x"}}, ""},
		{"no devices", answer + `echo "No devices were found"`, "", "12.2", nil, ""},
		{"failure", `echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9`, "535.104.05", "", procGPUs, "exit status 9"},
		{"garbage", answer + `echo "what, is, this"`, "535.104.05", "", procGPUs, "3 columns where 10"},
		{"an unknown column that was not asked for", `echo 'Field "nonsense" is not a valid field to query.'; exit 2`, "535.104.05", "", procGPUs, "exit status 2"},
	} {
		path, _ := smi(t, c.script)
		f := New(Options{Root: tree(t, gpuNode()), SMI: path, CacheDir: "-"}).readGPUs(t.Context())
		if diff := cmp.Diff(c.gpus, f.env.GPUs); diff != "" || f.env.GPUDriver != c.driver && c.driver != "" || f.env.CUDA != c.cuda {
			t.Errorf("%s: %s driver %q, CUDA %q, %+v", c.why, diff, f.env.GPUDriver, f.env.CUDA, f.reasons)
		}
		if c.reason == "" && len(f.reasons) > 0 || c.reason != "" && !slices.ContainsFunc(f.reasons, func(r schema.Reason) bool { return strings.Contains(r.Text, c.reason) }) {
			t.Errorf("%s: %+v", c.why, f.reasons)
		}
	}
}

// procGPUs is what the kernel of gpuNode shows.
var procGPUs = []schema.GPU{{Index: 0, Model: "NVIDIA A100-SXM4-80GB", PCI: "0000:0a:00.0"}, {Index: 1, Model: "NVIDIA A100-SXM4-80GB", UUID: "GPU-11", VBIOS: "92.00", PCI: "0000:07:00.0"}}

func TestGPUsThatDoNotAnswer(t *testing.T) {
	onLinux(t)
	path, _ := smi(t, "sleep 60\n")
	start := time.Now()
	f := New(Options{Root: tree(t, gpuNode()), SMI: path, CacheDir: "-"}).readGPUs(t.Context())
	if diff := cmp.Diff(procGPUs, f.env.GPUs); diff != "" || f.env.GPUDriver != "535.104.05" {
		t.Errorf("%s %+v", diff, f)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestGPUFactsAreCached(t *testing.T) {
	onLinux(t)
	path, log := smi(t, answer+`echo "0, GPU-1, A100, 535.104.05, 8.0, 1, 81920, Enabled, Disabled, x"`)
	root, cache := tree(t, gpuNode()), t.TempDir()
	starts := func() int {
		t.Helper()
		f := New(Options{Root: root, SMI: path, CacheDir: cache}).readGPUs(t.Context())
		if len(f.env.GPUs) != 1 || f.env.CUDA != "12.2" || len(f.reasons) > 0 {
			t.Fatalf("%+v", f)
		}
		b, _ := os.ReadFile(log)
		return strings.Count(string(b), "--query")
	}
	if first, second := starts(), starts(); first != 1 || second != 1 {
		t.Error("the second answer must come from the cache")
	}
	write := func(name, content string) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, change := range []struct{ name, content string }{
		{"proc/sys/kernel/random/boot_id", "another\n"},
		{"dev/nvidia2", ""},
		{"proc/driver/nvidia/capabilities/gpu0/mig/gi1/access", ""},
		{"proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\n"},
	} {
		write(change.name, change.content)
		if got := starts(); got != i+2 {
			t.Errorf("after %s it was asked %d times", change.name, got)
		}
	}
	write("proc/sys/kernel/random/boot_id", "")
	before := starts()
	if starts() != before+1 {
		t.Error("without a boot id there is nothing to tell a stale answer by")
	}
}

func TestNoGPU(t *testing.T) {
	onLinux(t)
	path, log := smi(t, answer)
	f := New(Options{Root: tree(t, node()), SMI: path, CacheDir: "-"}).readGPUs(t.Context())
	if len(f.env.GPUs) > 0 || len(f.reasons) > 0 {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("nvidia-smi was started on a machine without a driver")
	}
}

func TestAMD(t *testing.T) {
	onLinux(t)
	files := node()
	nodes := "sys/class/kfd/kfd/topology/nodes/"
	maps.Copy(files, map[string]string{nodes + "0/properties": "cpu_cores_count 64\nsimd_count 0\n", nodes + "1/properties": "simd_count 440\ngfx_target_version 90010\nunique_id 4660\n",
		nodes + "1/name": "aldebaran\n", "sys/module/amdgpu/version": "6.3.6\n"})
	f := New(Options{Root: tree(t, files), CacheDir: "-"}).readGPUs(t.Context())
	if diff := cmp.Diff([]schema.GPU{{Model: "aldebaran", ComputeCapability: "gfx90a", UUID: "0000000000001234"}}, f.env.GPUs); diff != "" || f.env.GPUDriver != "6.3.6" {
		t.Errorf("%s %q", diff, f.env.GPUDriver)
	}
}

func FuzzParseSMI(f *testing.F) {
	f.Add([]byte("0, GPU-1, A100, 535.1, 8.0, 1, 81920, Enabled, Disabled, x\n"))
	f.Add([]byte("\"a\n[N/A], b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := parseSMI(b, smiColumns)
		if err != nil {
			return
		}
		if _, err := (schema.Environment{GPUs: facts.GPUs, GPUDriver: facts.Driver}).Identity(); err != nil {
			t.Fatal(err)
		}
	})
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

// askPython gives the real path, the version and the normalised names of the distributions that Python itself sees.
func askPython(t *testing.T) (path, version string, names []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "-c", `
import os, platform, re, sys, importlib.metadata as m
print(os.path.realpath(sys.executable)); print(platform.python_version())
print(*sorted({re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower() for d in m.distributions() if d.metadata["Name"]}))`)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(strings.TrimSpace(string(out)), "\n", 3)
	if len(lines) < 3 {
		lines = append(lines, "")
	}
	return lines[0], lines[1], strings.Fields(lines[2])
}

// A variable that a file gave to the command is used to find its program, and its value is not recorded.
func TestUnsaidVariablesAreNotRecorded(t *testing.T) {
	r := New(Options{Root: t.TempDir(), CacheDir: "-"})
	req := recorder.EnvironmentRequest{Env: []string{"OMP_NUM_THREADS=4", "CUDA_VISIBLE_DEVICES=hunter2"}, Extra: []string{"CUDA_VISIBLE_DEVICES"}, Unsaid: []string{"CUDA_VISIBLE_DEVICES"}}
	env, err := r.ReadEnvironment(t.Context(), req)
	if err != nil || len(env.Variables) != 1 || env.Variables["OMP_NUM_THREADS"] != "4" {
		t.Errorf("%v %v", err, env.Variables)
	}
	if gpus, driver := r.GPUs(t.Context()); len(gpus) > 0 || driver != "" {
		t.Errorf("an empty machine has %v %q", gpus, driver)
	}
}
