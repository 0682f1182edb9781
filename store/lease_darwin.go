package store

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/runpin/runpin/schema"
)

var thisProcess = sync.OnceValue(func() schema.Lease {
	lease := schema.Lease{PID: os.Getpid()}
	lease.Host, _ = os.Hostname()
	if boot, err := unix.SysctlTimeval("kern.boottime"); err == nil {
		lease.BootID = fmt.Sprintf("%d", boot.Sec)
	}
	if start, known := processStart(lease.PID); known {
		lease.ProcessStart = start
	}
	return lease
})

// processStart gives the start time of a process in microseconds since 1970, "" for one that does not exist.
func processStart(pid int) (start string, known bool) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(info.Proc.P_pid) != pid {
		return "", errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	}
	return fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec), true
}
