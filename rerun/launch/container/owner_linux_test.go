package container

import (
	"os"
	"syscall"
)

func owner(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
