//go:build !unix

package code

import (
	"io"
	"os"
)

func openNoFollow(p string) (*os.File, error) { return os.Open(p) }

// openRegular opens a regular file and tells its size and whether its owner may execute it.
func openRegular(p string) (f io.ReadCloser, size int64, executable bool, err error) {
	file, err := os.Open(p)
	if err != nil {
		return nil, 0, false, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = os.ErrInvalid
	}
	if err != nil {
		file.Close()
		return nil, 0, false, err
	}
	return file, info.Size(), info.Mode()&0o100 != 0, nil
}
