package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/runpin/runpin/schema"
)

// thisProcess identifies this process: proc(5) gives the boot, the process namespace and, as field 22 of stat, the start time in clock ticks since boot.
var thisProcess = sync.OnceValue(func() schema.Lease {
	lease := schema.Lease{PID: os.Getpid()}
	lease.Host, _ = os.Hostname()
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		lease.BootID = strings.TrimSpace(string(b))
	}
	lease.PIDNamespace, _ = os.Readlink("/proc/self/ns/pid")
	if start, known := processStart(lease.PID); known {
		lease.ProcessStart = start
	}
	return lease
})

// processStart gives the start time of a process, "" for one that does not exist or has ended and only waits to be reaped. known is false where
// this cannot be found out.
func processStart(pid int) (start string, known bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		// Other users' processes can be hidden from /proc, not from kill(2).
		return "", errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	}
	// The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
	at := bytes.LastIndexByte(b, ')')
	if err != nil || at < 0 {
		return "", false
	}
	fields := strings.Fields(string(b[at+1:])) // from the third on
	if len(fields) < 20 {
		return "", false
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", true
	}
	return fields[19], true
}
