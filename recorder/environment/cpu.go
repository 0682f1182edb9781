package environment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// x86Features and otherFeatures are the processor flags by which numeric libraries (MKL, oneDNN, OpenBLAS, PyTorch, NumPy, Eigen) choose their kernels,
// as Linux spells them; a * at the end makes a prefix. Another set of them can mean another order of additions. There are two lists because
// sme is a matrix extension on ARM and memory encryption on x86.
var (
	x86Features   = strings.Fields("sse4_1 sse4_2 ssse3 popcnt avx avx2 avx512* avx_* avx10* fma fma4 f16c bmi1 bmi2 amx* sha_ni vaes vpclmulqdq gfni")
	otherFeatures = strings.Fields("asimd asimd* fphp sve sve* sme sme* bf16 i8mm f32mm f64mm fp fcma jscvt sha2 sha3 sha512 neon vfpv4 vsx altivec vx vxe*")
)

// readCPU reads the first processor of /proc/cpuinfo: on a large machine the whole file takes the kernel milliseconds to write.
func (r *Reader) readCPU(f *findings) {
	cpu := &f.env.CPU
	b, err := readSmall(r.at("/proc/cpuinfo"), 8<<10)
	if err != nil {
		f.because("no-cpuinfo", "cpu", "/proc/cpuinfo cannot be read")
	}
	text, _, whole := strings.Cut(string(b), "\n\n")
	if !whole && len(b) == 8<<10 {
		text = text[:strings.LastIndexByte(text, '\n')+1]
	}
	var implementer, part string
	for _, line := range strings.Split(text, "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "vendor_id":
			cpu.Vendor = value
		case "model name":
			cpu.Model = value
		case "flags":
			cpu.Features = chosenFeatures(value, x86Features)
		case "Features", "features":
			cpu.Features = chosenFeatures(value, otherFeatures)
		case "CPU implementer":
			implementer = value
		case "CPU part":
			part = value
		}
	}
	if cpu.Vendor == "" && implementer != "" {
		cpu.Vendor = armImplementers[implementer]
		if cpu.Vendor == "" {
			cpu.Vendor = "implementer " + implementer
		}
		if cpu.Model == "" && part != "" {
			cpu.Model = fmt.Sprintf("%s part %s", cpu.Vendor, part)
		}
	}
	if n := countList(strings.TrimSpace(r.system("/sys/devices/system/cpu/present"))); n > 0 {
		cpu.Logical = n
	}
	if len(cpu.Features) == 0 && err == nil {
		f.because("no-cpu-features", "cpu.features", "/proc/cpuinfo lists no features of the processor")
	}
}

var armImplementers = map[string]string{"0x41": "ARM", "0x42": "Broadcom", "0x43": "Cavium", "0x46": "Fujitsu", "0x48": "HiSilicon", "0x4e": "NVIDIA", "0x50": "APM", "0x51": "Qualcomm",
	"0x61": "Apple", "0x6d": "Microsoft", "0xc0": "Ampere"}

func chosenFeatures(flags string, chosen []string) []string {
	var out []string
	for _, flag := range strings.Fields(flags) {
		for _, f := range chosen {
			prefix, isPrefix := strings.CutSuffix(f, "*")
			if flag == f || isPrefix && strings.HasPrefix(flag, prefix) {
				out = append(out, flag)
				break
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// countList counts a kernel list such as "0-3,8-11", 0 if it is none.
func countList(s string) int {
	n := 0
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil || a < 0 {
			return 0
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(to); err != nil || b < a || b > 1<<20 {
				return 0
			}
		}
		n += b - a + 1
	}
	return n
}

// readLimits reads the processor quota and the memory limit of our control group and those above it, of version 2 and of version 1.
func (r *Reader) readLimits(f *findings) {
	var quota float64
	memory := int64(0)
	lower := func(q float64) {
		if q > 0 && (quota == 0 || q < quota) {
			quota = q
		}
	}
	lowerMemory := func(text string) {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 && (memory == 0 || n < memory) {
			memory = n
		}
	}
	for _, line := range strings.Split(r.system("/proc/self/cgroup"), "\n") {
		_, rest, _ := strings.Cut(line, ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		for _, dir := range upwards(path) {
			switch {
			case controllers == "":
				if q, period, ok := strings.Cut(strings.TrimSpace(r.system("/sys/fs/cgroup"+dir+"/cpu.max")), " "); ok {
					lower(ratio(q, period))
				}
				lowerMemory(r.system("/sys/fs/cgroup" + dir + "/memory.max"))
			case slices.Contains(strings.Split(controllers, ","), "cpu"):
				base := "/sys/fs/cgroup/cpu" + dir
				lower(ratio(strings.TrimSpace(r.system(base+"/cpu.cfs_quota_us")), strings.TrimSpace(r.system(base+"/cpu.cfs_period_us"))))
			case slices.Contains(strings.Split(controllers, ","), "memory"):
				lowerMemory(r.system("/sys/fs/cgroup/memory" + dir + "/memory.limit_in_bytes"))
			}
		}
	}
	if quota > 0 {
		f.env.CPU.Quota = strconv.FormatFloat(quota, 'f', -1, 64)
		if whole, decimals, ok := strings.Cut(f.env.CPU.Quota, "."); ok && len(decimals) > 3 {
			f.env.CPU.Quota = whole + "." + decimals[:3]
		}
	}
	// An unlimited group of version 1 shows the largest page-aligned number.
	if memory > 0 && memory < 1<<62 && (f.env.MemoryBytes == 0 || memory < f.env.MemoryBytes) {
		f.env.MemoryLimit = memory
	}
}

// upwards lists a control group and those above it, "" for the root. At most 32: deeper ones are nobody's.
func upwards(path string) []string {
	path = strings.TrimSuffix(path, "/")
	if strings.Contains(path, "..") || path != "" && path[0] != '/' {
		path = ""
	}
	var out []string
	for len(out) < 32 {
		out = append(out, path)
		if path == "" {
			break
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return out
}

func ratio(quota, period string) float64 {
	q, err := strconv.ParseInt(quota, 10, 64)
	p, err2 := strconv.ParseInt(period, 10, 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0
	}
	return float64(q) / float64(p)
}
