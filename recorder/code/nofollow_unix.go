//go:build unix

package code

import (
	"os"
	"syscall"
)

// openNoFollow opens a file that must not be a link, and does not wait for a writer should it have become a FIFO.
func openNoFollow(p string) (*os.File, error) {
	return os.OpenFile(p, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}
