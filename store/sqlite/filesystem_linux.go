package sqlite

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// networkFileSystems are those on which the locks and the shared memory of SQLite cannot be relied upon, by the magic number of statfs(2).
var networkFileSystems = map[uint32]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xff534d42: "cifs",
	0xfe534d42: "smb2",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x00c36400: "ceph",
	0x01021997: "9p",
	0x5346414f: "afs",
	0x6b414653: "afs",
	0x73757245: "coda",
	0x19830326: "beegfs",
	0xaad7aaea: "panfs",
	0x013111a8: "ibrix",
	0x01161970: "gfs2",
	0x7461636f: "ocfs2",
	0x564c:     "ncp",
	0x20030528: "orangefs",
	0x7c7c6673: "prl_fs",
	0x786f4256: "vboxsf",
	0xbacbacbc: "vmhgfs",
}

// ephemeralFileSystems are gone when the machine or the container is.
var ephemeralFileSystems = map[uint32]string{
	0x01021994: "tmpfs",
	0x858458f6: "ramfs",
	0x794c7630: "overlay",
	0x61756673: "aufs",
}

// fuse stands for any file system that a program serves; which one, only the mount table tells.
const fuse = 0x65735546

// localFUSE serve local disks. What else there is (sshfs, s3fs, gcsfuse, …) counts as a network.
var localFUSE = []string{"fuseblk", "fuse.gocryptfs", "fuse.encfs", "fuse.mergerfs", "fuse.ntfs-3g", "fuse.bindfs", "fuse.fuse-overlayfs", "fuse.lxcfs"}

// OnNetworkFileSystem reports whether path, or the nearest directory above it that exists, lies on a network file system, and its name. SQLite
// must not be used there: use a spool.
func OnNetworkFileSystem(path string) (fsName string, yes bool) {
	return fileSystem(path, networkFileSystems)
}

// OnEphemeral reports whether path, or the nearest directory above it that exists, lies on a file system that does not outlive the machine or
// the container, and its name.
func OnEphemeral(path string) (fsName string, yes bool) {
	return fileSystem(path, ephemeralFileSystems)
}

const maxLinks = 40

func fileSystem(path string, known map[uint32]string) (string, bool) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	for links := 0; ; {
		var s unix.Statfs_t
		if err := unix.Statfs(path, &s); err == nil {
			if uint32(s.Type) == fuse {
				name := mountedType(path)
				if name == "fuse.fuse-overlayfs" {
					return name, known[0x794c7630] != ""
				}
				return name, known[0x6969] != "" && !slices.Contains(localFUSE, name)
			}
			name, yes := known[uint32(s.Type)]
			return name, yes
		}
		// A link to what does not exist yet: it will exist where the link leads.
		if target, err := os.Readlink(path); err == nil && links < maxLinks {
			if links++; !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(path), target)
			}
			path = filepath.Clean(target)
			continue
		}
		up := filepath.Dir(path)
		if up == path {
			return "", false
		}
		path = up
	}
}

// mountedType gives the type of the file system at path as the mount table names it, "fuse" when it does not tell (proc(5), mountinfo).
func mountedType(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "fuse"
	}
	found, longest := "fuse", -1
	for _, line := range strings.Split(string(table), "\n") {
		mount, rest, ok := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if !ok || len(fields) < 5 {
			continue
		}
		at := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
		if at != "/" && path != at && !strings.HasPrefix(path, at+"/") || len(at) < longest {
			continue
		}
		if kind := strings.Fields(rest); len(kind) > 0 {
			found, longest = kind[0], len(at)
		}
	}
	return found
}
