package file

import (
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// meter tells how far the walk is, at most ten times a second. The total is known once every directory has been listed.
type meter struct {
	to     schema.Progress
	what   string
	mu     sync.Mutex
	bytes  int64
	files  int64
	large  int64 // bytes of large files still to come
	total  int64
	count  int64 // of files, where it is known before
	spoken time.Time
}

const meterInterval = 100 * time.Millisecond

func (m *meter) expect(size int64) {
	m.mu.Lock()
	m.large += size
	m.mu.Unlock()
}

// settled is told that only large files are left.
func (m *meter) settled() {
	m.mu.Lock()
	m.total = m.bytes + m.large
	m.mu.Unlock()
}

// add takes over what a worker has done.
func (m *meter) add(s *scratch, large bool) {
	m.mu.Lock()
	m.bytes += s.bytes
	m.files += s.files
	if large {
		m.large -= s.bytes
	}
	s.bytes, s.files = 0, 0
	due := m.to != nil && time.Since(m.spoken) >= meterInterval
	if due {
		m.spoken = time.Now()
	}
	bytes, files, total := m.bytes, m.files, m.total
	m.mu.Unlock()
	if due {
		m.say(bytes, files, total)
	}
}

func (m *meter) say(bytes, files, total int64) {
	if bytes > 0 {
		m.to.Step(m.what, bytes, total, "B")
	} else {
		m.to.Step(m.what, files, m.count, "files")
	}
}

// end makes a bar full that has been shown.
func (m *meter) end() {
	if m.to != nil && !m.spoken.IsZero() {
		m.say(m.bytes, m.files, m.bytes)
	}
}
