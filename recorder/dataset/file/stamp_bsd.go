//go:build darwin || freebsd || netbsd

package file

import (
	"errors"
	"io/fs"
	"syscall"
)

const (
	statsTell   = true
	nonBlocking = syscall.O_NONBLOCK
)

var errNotDirectory error = syscall.ENOTDIR

func addStamp(m *meta, info fs.FileInfo) {
	m.exec = info.Mode()&0o100 != 0
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		m.stamp.dev, m.stamp.ino, m.stamp.ctime = uint64(st.Dev), uint64(st.Ino), st.Ctimespec.Nano()
	}
}

func isSwapped(err error) bool {
	return errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENXIO)
}

func isLinkLoop(err error) bool { return errors.Is(err, syscall.ELOOP) }
