package environment

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// readPlatform asks the kernel on which processors we may run.
func readPlatform(f *findings) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		f.because("no-affinity", "cpu.usable", "the kernel does not say on which processors the run may go: "+err.Error())
		return
	}
	f.env.CPU.Usable = set.Count()
}

// fileSystems names the magic numbers of statfs(2) that matter to training data.
var fileSystems = map[int64]string{
	0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs", 0x794c7630: "overlay", 0x6969: "nfs", 0x0BD00BD0: "lustre", 0x47504653: "gpfs",
	0x00C36400: "ceph", 0x65735546: "fuse", 0xFF534D42: "cifs", 0xFE534D42: "smb2", 0x2FC12FC1: "zfs", 0xF2F52010: "f2fs", 0x01021997: "9p", 0x858458f6: "ramfs",
	0x19830326: "beegfs", 0x61756673: "aufs", 0x73717368: "squashfs", 0xE0F5E1E2: "erofs", 0x6a656a63: "virtiofs", 0x5346414F: "afs", 0x7461636f: "ocfs2", 0x01161970: "gfs2",
	0xCA451A4E: "bcachefs",
}

func fileSystem(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	magic := int64(uint32(st.Type)) //nolint:unconvert // its size differs between architectures
	if name := fileSystems[magic]; name != "" {
		return name
	}
	return fmt.Sprintf("0x%x", magic)
}

// sharedMemory gives the size in bytes of the file system at dir.
func sharedMemory(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || int64(uint32(st.Type)) != 0x01021994 {
		return 0
	}
	return int64(st.Blocks) * int64(st.Bsize)
}
