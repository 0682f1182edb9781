package rerun

import "golang.org/x/sys/unix"

// sharesBlocks reports whether a copy from one place to the other is likely to take no space: both lie on one file system that can share blocks.
func sharesBlocks(from, to string) bool {
	var a, b unix.Stat_t
	var st unix.Statfs_t
	if unix.Stat(from, &a) != nil || unix.Stat(existing(to), &b) != nil || a.Dev != b.Dev || unix.Statfs(from, &st) != nil {
		return false
	}
	return int64(uint32(st.Type)) == unix.BTRFS_SUPER_MAGIC || int64(uint32(st.Type)) == unix.XFS_SUPER_MAGIC
}
