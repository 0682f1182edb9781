//go:build linux || darwin

package rerun

import "golang.org/x/sys/unix"

func freeSpace(dir string) (free int64, known bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
