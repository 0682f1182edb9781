//go:build !unix

package sqlite

import (
	"errors"
	"syscall"
)

// The codes of Windows: ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_WRITE_PROTECT.
func full(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno == 39 || errno == 112)
}

func readOnlyFileSystem(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno == 19
}
