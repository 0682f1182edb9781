//go:build unix

package environment

import (
	"fmt"
	"io/fs"
	"syscall"
)

// statID tells a directory from another that was put in its place.
func statID(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d:%d", st.Dev, st.Ino, st.Nlink)
	}
	return ""
}
