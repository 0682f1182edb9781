//go:build unix

package launchtest

import (
	"os"
	"syscall"
)

func isOurs(info os.FileInfo) bool { return int(info.Sys().(*syscall.Stat_t).Uid) == os.Getuid() }
