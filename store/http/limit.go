package http

import (
	"sync"
	"time"
)

// rates bounds how often each of many may ask: a bucket for each, which fills at the rate and holds what comes in two seconds.
type rates struct {
	rate float64
	now  func() time.Time
	mu   sync.Mutex
	of   map[string]*bucket
}

type bucket struct {
	full float64
	at   time.Time
}

// maxBuckets bounds the memory for those who ask.
const maxBuckets = 10_000

func newRates(rate float64, now func() time.Time) *rates {
	return &rates{rate: rate, now: now, of: map[string]*bucket{}}
}

// take reports whether who may ask now, and if not, when again.
func (r *rates) take(who string) (ok bool, after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, room := r.now(), max(1, 2*r.rate)
	b := r.of[who]
	if b == nil {
		if len(r.of) >= maxBuckets {
			r.forget(now, room)
		}
		b = &bucket{full: room, at: now}
		r.of[who] = b
	}
	b.full = min(room, b.full+max(0, now.Sub(b.at).Seconds())*r.rate)
	b.at = now
	if b.full < 1 {
		return false, time.Duration((1 - b.full) / r.rate * float64(time.Second))
	}
	b.full--
	return true, 0
}

// forget drops those whose bucket is full again, which loses nothing; when all are busy, all begin anew.
func (r *rates) forget(now time.Time, room float64) {
	for who, b := range r.of {
		if b.full+now.Sub(b.at).Seconds()*r.rate >= room {
			delete(r.of, who)
		}
	}
	if len(r.of) >= maxBuckets {
		clear(r.of)
	}
}

// budget bounds the memory that requests take together.
type budget struct {
	mu   sync.Mutex
	free int64
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.free {
		return false
	}
	b.free -= n
	return true
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	b.free += n
	b.mu.Unlock()
}
