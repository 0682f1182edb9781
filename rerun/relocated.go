package rerun

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/runpin/runpin/schema"
)

// moves notes which pins were found where --relocate points.
type moves struct {
	mu sync.Mutex
	at map[string]string // by pin: the new place
}

func (m *moves) note(pin, at string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == nil {
		m.at = map[string]string{}
	}
	m.at[pin] = at
}

func (m *moves) found(pin string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at[pin] != ""
}

// movedImage asks for an image where it lies now, then where it was recorded; the digest proves either.
func (r *Rerunner) movedImage(pin schema.ImagePin, opts PreflightOptions) Question {
	asked := r.aboutImage(pin)
	moved, at, ok := opts.Relocate.image(pin)
	if !ok {
		return asked
	}
	return first(r.aboutImage(moved), asked, at, opts.moves, nil)
}

// movedCode is movedImage for code. What the clone or the record itself still has did not move.
func (r *Rerunner) movedCode(pin schema.CodePin, opts PreflightOptions) Question {
	asked := r.aboutCode(pin)
	moved, at, ok := opts.Relocate.code(pin)
	if !ok {
		return asked
	}
	inPlace := []string{"bundle", "blobs", "image"}
	if pin.Root != nil && moved.Root.Located == pin.Root.Located {
		inPlace = append(inPlace, "object-present")
	}
	return first(r.aboutCode(moved), asked, at, opts.moves, inPlace)
}

// movedDataset is movedImage for a data set. A place that is named for this data set alone comes before all others.
func (r *Rerunner) movedDataset(pin schema.DatasetPin, opts PreflightOptions) Question {
	asked := r.aboutDataset(pin, opts)
	at, ok := opts.Relocate.dataset(pin)
	if !ok || opts.At[pin.Name] != "" {
		return asked
	}
	there := opts
	there.At = maps.Clone(opts.At)
	if there.At == nil {
		there.At = map[string]string{}
	}
	there.At[pin.Name] = at
	return first(r.aboutDataset(pin, there), asked, at, opts.moves, nil)
}

// first asks one question and, where the answer is not that all is well, the other. The better answer counts. inPlace are the ways of finding out that do not look
// at the new place.
func first(moved, recorded Question, at string, noted *moves, inPlace []string) Question {
	q := recorded
	q.Key = keyOf("relocated", moved.Key, recorded.Key, at)
	q.Ask = func(ctx context.Context) schema.Availability {
		a := moved.Ask(ctx)
		if rank(a.State) == 0 {
			if !slices.Contains(inPlace, a.How) {
				a.Reason = join("found at "+at, a.Reason)
				noted.note(recorded.Pin, at)
			}
			return a
		}
		b := recorded.Ask(ctx)
		if a.State == schema.StateGone && rank(b.State) > 0 && b.Reason != "" {
			b.Reason += "; nor is it at " + at
			return b
		}
		if rank(b.State) < rank(a.State) {
			return b
		}
		a.Reason = join("at "+at, a.Reason)
		return a
	}
	return q
}

func join(head, tail string) string {
	if tail == "" {
		return head
	}
	return head + ": " + tail
}

// rank orders answers: what can be had, what perhaps can, what is something else now, what is gone.
func rank(s schema.State) int {
	if s == schema.StateKept {
		return 0
	}
	return max(0, slices.Index([]schema.State{schema.StateAvailable, schema.StateUnknown, schema.StateChanged, schema.StateGone}, s))
}

// relocate takes over what the preflight found elsewhere: it is had from there, and the record of the new run says so.
func (p *Prepared) relocate(req *Request, found *moves) {
	p.relocated = map[string]bool{}
	note := func(pin, at string) {
		p.relocated[pin] = true
		p.Relaxed = append(p.Relaxed, relocated(pin, at))
	}
	for i, pin := range p.Images {
		if moved, at, ok := req.Relocate.image(pin); ok && found.found("image:"+pin.Name) {
			p.Images[i] = moved
			note("image:"+pin.Name, at)
		}
	}
	for i, pin := range p.Code {
		if moved, at, ok := req.Relocate.code(pin); ok && found.found("code:"+pin.Name) {
			p.Code[i] = moved
			note("code:"+pin.Name, at)
		}
	}
	at := maps.Clone(req.At)
	for _, pin := range p.Datasets {
		if place, ok := req.Relocate.dataset(pin); ok && found.found("dataset:"+pin.Name) {
			if at == nil {
				at = map[string]string{}
			}
			at[pin.Name] = place
			note("dataset:"+pin.Name, place)
		}
	}
	req.At = at
}
