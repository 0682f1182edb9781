//go:build unix

package sqlite

import (
	"errors"
	"syscall"
)

func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func readOnlyFileSystem(err error) bool { return errors.Is(err, syscall.EROFS) }
