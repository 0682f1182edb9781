package environment

import (
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// readPlatform asks sysctl(3) for what Linux shows in /proc.
func readPlatform(f *findings) {
	env := &f.env
	env.OS.Name = "macos"
	env.OS.Version, _ = unix.Sysctl("kern.osproductversion")
	env.OS.Kernel, _ = unix.Sysctl("kern.osrelease")
	env.CPU.Model, _ = unix.Sysctl("machdep.cpu.brand_string")
	env.CPU.Vendor, _ = unix.Sysctl("machdep.cpu.vendor")
	if env.CPU.Vendor == "" && strings.HasPrefix(env.CPU.Model, "Apple") {
		env.CPU.Vendor = "Apple"
	}
	if n, err := unix.SysctlUint64("hw.memsize"); err == nil {
		env.MemoryBytes = int64(n)
	}
	env.CPU.Logical, env.CPU.Usable = runtime.NumCPU(), runtime.NumCPU()
	f.because("not-read", "cpu.features", "the features of the processor are not read on this system")
}

func fileSystem(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	return unix.ByteSliceToString(st.Fstypename[:])
}

func sharedMemory(string) int64 { return 0 }
