//go:build !linux && !darwin && !windows

package store

import (
	"os"
	"sync"

	"github.com/runpin/runpin/schema"
)

// thisProcess names no start time: leases are judged by their beats alone.
var thisProcess = sync.OnceValue(func() schema.Lease {
	lease := schema.Lease{PID: os.Getpid()}
	lease.Host, _ = os.Hostname()
	return lease
})

func processStart(int) (start string, known bool) { return "", false }
