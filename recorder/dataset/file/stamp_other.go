//go:build !linux && !darwin && !freebsd && !netbsd

package file

import (
	"errors"
	"io/fs"
)

// Without a change time a file that was edited and given its old time back looks unchanged: nothing is taken from the stat cache here
// (Windows keeps a change time, which os.FileInfo does not show).
const (
	statsTell   = false
	nonBlocking = 0
)

var errNotDirectory = errors.New("it is no longer what it was when it was listed")

func addStamp(*meta, fs.FileInfo) {}

func isSwapped(err error) bool { return errors.Is(err, errNotDirectory) }

func isLinkLoop(error) bool { return false }
