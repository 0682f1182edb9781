package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// Prepared is a report whose documents have been read and checked, so that what is left to do under the write lock is little.
type Prepared struct {
	records []record
	blobs   []schema.Blob
	bytes   int
}

// Prepare checks the documents of a report, byte for byte as they were written.
func Prepare(documents [][]byte, blobs []schema.Blob) (Prepared, error) {
	p := Prepared{blobs: blobs, records: make([]record, len(documents))}
	for i, b := range documents {
		d, err := schema.DecodeDocument(b)
		if err != nil {
			return p, err
		}
		p.records[i] = record{d, b, sha256.Sum256(b)}
		p.bytes += len(b)
	}
	for _, b := range blobs {
		p.bytes += int(min(b.Ref.Bytes, maxBatchBytes))
	}
	return p, nil
}

// Documents gives what was read.
func (p Prepared) Documents() []schema.Document {
	out := make([]schema.Document, len(p.records))
	for i, r := range p.records {
		out[i] = r.doc
	}
	return out
}

// SavePrepared saves reports in one transaction: all of them or none. See [Store.Save].
func (s *Store) SavePrepared(ctx context.Context, reports ...Prepared) error {
	_, err := s.SaveCounted(ctx, reports...)
	return err
}

// SaveCounted is SavePrepared, and says how many of the reports held a document that was not there yet.
func (s *Store) SaveCounted(ctx context.Context, reports ...Prepared) (brought int, err error) {
	var records []record
	var blobs []schema.Blob
	for _, p := range reports {
		records = append(records, p.records...)
		blobs = append(blobs, p.blobs...)
	}
	fresh, err := s.saveFresh(ctx, records, blobs)
	if err != nil {
		return 0, err
	}
	ids := map[schema.DocumentID]bool{}
	for _, docs := range fresh.docs {
		for _, d := range docs {
			ids[d.ID] = true
		}
	}
	for _, p := range reports {
		if slices.ContainsFunc(p.records, func(r record) bool { return ids[r.doc.ID] }) {
			brought++
		}
	}
	return brought, nil
}

const (
	maxBatchReports = 256
	maxBatchBytes   = 4 << 20
	batchTimeout    = 2 * time.Minute
)

// Batcher saves reports that come from many sides at once. A durable transaction costs the same for one report as for many, so those that arrive while
// one is being written go into the next together. Each is still kept whole or not at all, and one that is refused takes no other with it.
type Batcher struct {
	save   func(ctx context.Context, reports ...Prepared) error
	queue  chan *waiting
	done   chan struct{}
	mu     sync.RWMutex // guards closed against a Save that is about to send
	closed bool
}

type waiting struct {
	report Prepared
	result chan error // of one
}

// NewBatcher begins to save into a store. Close it before the store.
func NewBatcher(s *Store) *Batcher { return newBatcher(s.SavePrepared) }

func newBatcher(save func(ctx context.Context, reports ...Prepared) error) *Batcher {
	b := &Batcher{save: save, queue: make(chan *waiting, maxBatchReports), done: make(chan struct{})}
	go b.work()
	return b
}

// Save returns once the report is durable, or with the error that it alone has caused. When ctx is done before, the report may be stored all the same:
// saving it again is harmless.
func (b *Batcher) Save(ctx context.Context, report Prepared) error {
	w := &waiting{report, make(chan error, 1)}
	b.mu.RLock()
	if b.closed {
		b.mu.RUnlock()
		return &schema.Error{Op: "store.save", Kind: schema.Unavailable, Subject: "report", Err: errors.New("the store is being closed"), Hint: "try again"}
	}
	select {
	case b.queue <- w:
		b.mu.RUnlock()
	case <-ctx.Done():
		b.mu.RUnlock()
		return interrupted(ctx)
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return interrupted(ctx)
	}
}

func interrupted(ctx context.Context) error {
	return &schema.Error{Op: "store.save", Kind: schema.Interrupted, Subject: "report", Err: ctx.Err(), Hint: "do it again: saving twice is saving once"}
}

// Close waits for what was accepted.
func (b *Batcher) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	b.mu.Unlock()
	<-b.done
}

func (b *Batcher) work() {
	defer close(b.done)
	var next *waiting // was taken from the queue and does not fit any more
	for {
		first := next
		next = nil
		if first == nil {
			var open bool
			if first, open = <-b.queue; !open {
				return
			}
		}
		batch := []*waiting{first}
		for size := first.report.bytes; len(batch) < maxBatchReports; {
			var more *waiting
			select {
			case more = <-b.queue: // nil once it is closed
			default:
			}
			if more == nil {
				break
			}
			if size += more.report.bytes; size > maxBatchBytes {
				next = more
				break
			}
			batch = append(batch, more)
		}
		ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
		b.saveAll(ctx, batch)
		cancel()
	}
}

// saveAll saves a batch, and halves it where it is refused until those that are to blame stand alone. A store that cannot write at all is asked no more often
// than needed: then every report of the batch gets that answer.
func (b *Batcher) saveAll(ctx context.Context, batch []*waiting) {
	reports := make([]Prepared, len(batch))
	for i, w := range batch {
		reports[i] = w.report
	}
	err := b.save(ctx, reports...)
	if kind := schema.KindOf(err); len(batch) > 1 && err != nil && kind != schema.Unavailable && kind != schema.Interrupted {
		b.saveAll(ctx, batch[:len(batch)/2])
		b.saveAll(ctx, batch[len(batch)/2:])
		return
	}
	if schema.KindOf(err) == schema.Interrupted { // not by the one who waits
		err = &schema.Error{Op: "store.save", Kind: schema.Unavailable, Subject: "report", Err: err, Hint: "try again"}
	}
	for _, w := range batch {
		w.result <- err
	}
}
