package store

import (
	"context"
	"time"

	"github.com/runpin/runpin/schema"
)

// Beat renews the lease of a running run. An earlier time than the last one changes nothing.
func (s *Store) Beat(ctx context.Context, run schema.RunID, at schema.Time) error {
	return s.write(ctx, "store.beat", "run "+string(run), func(t *tx) error {
		_, err := t.exec("INSERT INTO leases (run, beat) VALUES ($1, $2) ON CONFLICT (run) DO UPDATE SET beat = excluded.beat WHERE excluded.beat > leases.beat",
			string(run), at.String())
		return err
	})
}

// missedBeats is after how many intervals without a beat a run whose process cannot be seen from here counts as lost, and minSilence the least time.
const (
	missedBeats = 3
	minSilence  = 2 * time.Minute
)

// Alive reports whether the process behind a lease may still be there. In the same boot and process namespace of the same host the process is
// looked at; from elsewhere only the age of the last beat can be judged.
func Alive(lease schema.Lease, beat schema.Time, now time.Time) bool {
	if here := thisProcess(); lease.PID > 0 && lease.ProcessStart != "" && lease.Host != "" &&
		lease.Host == here.Host && lease.BootID == here.BootID && lease.PIDNamespace == here.PIDNamespace {
		if start, known := processStart(lease.PID); known {
			return start == lease.ProcessStart
		}
	}
	silence := max(missedBeats*time.Duration(max(0, lease.Interval))*time.Second, minSilence)
	return !beat.IsZero() && now.Sub(beat.Time()) <= silence
}

// CurrentLease describes this process, which is going to beat at the given interval (whole seconds).
func CurrentLease(interval time.Duration) schema.Lease {
	lease := thisProcess()
	lease.Interval = int(interval / time.Second)
	return lease
}
