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

// shares bounds what all take together, and leaves room for others: nobody has more than what is still free. Who is alone gets a half.
type shares struct {
	total, used int64
	of          map[string]int64
}

func (s *shares) take(who string, n int64) bool {
	if s.of[who]+n > s.total-s.used-n {
		return false
	}
	s.add(who, n)
	return true
}

// add counts what is there anyway, or with a negative n what is gone.
func (s *shares) add(who string, n int64) {
	if s.of == nil {
		s.of = map[string]int64{}
	}
	s.used += n
	if s.of[who] += n; s.of[who] == 0 {
		delete(s.of, who)
	}
}

// budget bounds the memory that requests take together.
type budget struct {
	mu   sync.Mutex
	room shares
}

func (b *budget) take(who string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.room.take(who, n)
}

func (b *budget) give(who string, n int64) {
	b.mu.Lock()
	b.room.add(who, -n)
	b.mu.Unlock()
}

func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.room.used
}
