//go:build !linux && !darwin

package environment

import "runtime"

// readPlatform says what the standard library knows, and that the rest is not read here.
func readPlatform(f *findings) {
	f.env.CPU.Logical, f.env.CPU.Usable = runtime.NumCPU(), runtime.NumCPU()
	f.because("not-read", "cpu", "the processor, the kernel and the memory are not read on this system")
}

func fileSystem(string) string { return "" }

func sharedMemory(string) int64 { return 0 }
