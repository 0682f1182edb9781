package store

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/windows"

	"github.com/runpin/runpin/schema"
)

// thisProcess has no boot id here: the start time of a process is absolute and tells two boots apart by itself.
var thisProcess = sync.OnceValue(func() schema.Lease {
	lease := schema.Lease{PID: os.Getpid()}
	lease.Host, _ = os.Hostname()
	if start, known := processStart(lease.PID); known {
		lease.ProcessStart = start
	}
	return lease
})

const stillActive = 259 // STILL_ACTIVE of GetExitCodeProcess

// processStart gives the start time of a process in nanoseconds since 1970, "" for one that does not exist.
func processStart(pid int) (start string, known bool) {
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return "", errors.Is(err, windows.ERROR_INVALID_PARAMETER)
	}
	defer windows.CloseHandle(handle)
	var code uint32
	if err := windows.GetExitCodeProcess(handle, &code); err == nil && code != stillActive {
		return "", true
	}
	var creation, exit, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(handle, &creation, &exit, &kernel, &user); err != nil {
		return "", false
	}
	return fmt.Sprintf("%d", creation.Nanoseconds()), true
}
