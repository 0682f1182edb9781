package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// Saver keeps reports, byte for byte: a store. One that also keeps many at once ([BatchSaver]) is given many at once.
type Saver interface {
	SaveEncoded(ctx context.Context, documents [][]byte, blobs []schema.Blob) error
}

// BatchSaver keeps several reports together, all of them or none, and says how many of them brought something that it did not have.
type BatchSaver interface {
	SaveCounted(ctx context.Context, reports ...store.Prepared) (brought int, err error)
}

// ImportOptions of [Import]. The zero value is good.
type ImportOptions struct {
	_        struct{}
	Limit    int             // at most so many reports; 0 for all
	Progress schema.Progress // may be nil
}

// Imported says what an import did.
type Imported struct {
	Reports int  `json:"reports"`            // that the store has now and that are out of the way
	Already *int `json:"already,omitempty"`  // those of them that it had before; nil where the store does not say
	Left    int  `json:"left"`               // files that stay where they are, because they cannot be read, or their turn did not come
	Refused int  `json:"refused,omitempty"`  // files that were moved to the directory refused beside them: they are damaged, or the store refuses what they hold
	InPlace int  `json:"in_place,omitempty"` // of Reports, those whose files stay because the spool cannot be written to
}

const (
	batchReports = 2000
	batchBytes   = 16 << 20 // of documents, and of blobs as they lie in files, about
	aheadBytes   = 64 << 20 // of files that are read before their turn comes
	maxFailures  = 100      // that are told one by one
)

// Import folds the reports of a spool into a store. A report is moved to the directory done below the spool once the
// store has it; whoever wants the space may delete that at any time. Directories in the spool, up to two levels deep, are spools too: one for each node, say. What the store has already changes nothing, so importing again after a crash is safe, and so are two
// imports at once. A file that is damaged or that the store refuses is moved to the directory refused, so that it is in nobody's way, and reported; importing that directory tries
// it again. A file that cannot be read is left where it is and reported. The others are imported all the same, also from a spool that cannot be written to. When the store cannot be reached
// it stops. A directory that does not exist is an error for which errors.Is(err, fs.ErrNotExist) holds.
//
// Files are read on all processors while the store writes: one durable transaction costs the same for one report as for thousands.
func Import(ctx context.Context, dir string, into Saver, options ImportOptions) (Imported, error) {
	files, closed, err := list(dir)
	if err != nil {
		return Imported{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &importing{ctx: ctx, cancel: cancel, dir: dir, into: into, total: len(files), progress: options.Progress}
	if _, counts := into.(BatchSaver); counts {
		m.done.Already = new(int)
	}
	for _, err := range closed {
		m.failed(err)
	}
	for len(files) > 0 && !m.hasStopped() && ctx.Err() == nil {
		n := len(files)
		if options.Limit > 0 { // files that are refused do not count: they would keep the others waiting for ever
			n = min(n, options.Limit-m.done.Reports)
		}
		if n <= 0 {
			break
		}
		m.run(files[:n])
		files = files[n:]
	}
	m.step(true)
	if m.untold > 0 {
		m.failures = append(m.failures, &schema.Error{Op: "spool.import", Kind: schema.KindOf(m.lastUntold), Subject: fmt.Sprintf("%q", dir), Err: fmt.Errorf("%d more files were not imported", m.untold)})
	}
	return m.done, errors.Join(m.failures...)
}

type importing struct {
	ctx      context.Context
	cancel   context.CancelFunc
	dir      string
	into     Saver
	total    int
	progress schema.Progress

	mu       sync.Mutex // guards what follows
	done     Imported
	failures []error
	stopped  bool

	untold     int // failures beyond those
	lastUntold error
}

// waiting is a report that was read and checked.
type waiting struct {
	path   string
	report store.Prepared
	raw    Report
	bytes  int64
	ahead  int64 // what it takes of what may be read ahead
	err    error
}

func (m *importing) run(files []string) {
	// Each file's report comes through a channel of its own, so that the order of the files is kept whoever reads them.
	type job struct {
		path  string
		ahead int64
		read  chan waiting
	}
	ahead := semaphore.NewWeighted(aheadBytes)
	jobs, order := make(chan job), make(chan chan waiting, 256)
	go func() {
		defer close(order)
		defer close(jobs)
		for _, path := range files {
			j := job{path, 1, make(chan waiting, 1)}
			if info, err := os.Lstat(path); err == nil {
				j.ahead = min(max(info.Size(), 1), aheadBytes)
			}
			if ahead.Acquire(m.ctx, j.ahead) != nil {
				return
			}
			select {
			case order <- j.read:
			case <-m.ctx.Done():
				return
			}
			jobs <- j
		}
	}()
	for range max(2, runtime.GOMAXPROCS(0)) {
		go func() {
			for j := range jobs {
				w := m.read(j.path)
				w.ahead = j.ahead
				j.read <- w
			}
		}()
	}
	// Three things go on at once: batches are put together, saved, and set aside.
	batches, kept := make(chan []waiting, 1), make(chan []waiting, 1)
	var stages sync.WaitGroup
	stages.Go(func() {
		defer close(kept)
		for batch := range batches {
			m.save(m.whole(batch), kept)
			m.step(false)
		}
	})
	stages.Go(func() {
		for batch := range kept {
			if err := m.setAside(batch); err != nil {
				m.stop(err)
			}
		}
	})
	var batch []waiting
	var size int64
	for read := range order {
		w := <-read
		ahead.Release(w.ahead)
		if errors.Is(w.err, os.ErrNotExist) {
			continue // somebody else imports too and was faster
		}
		batch = append(batch, w)
		if size += w.bytes; len(batch) >= batchReports || size >= batchBytes {
			batches <- batch
			batch, size = nil, 0
		}
	}
	batches <- batch
	close(batches)
	stages.Wait()
	if err := m.ctx.Err(); err != nil && !m.stopped {
		m.failures = append(m.failures, fail("spool.import", m.dir, err))
	}
}

// whole leaves out what could not be read, and says so.
func (m *importing) whole(batch []waiting) []waiting {
	var out []waiting
	for _, w := range batch {
		if w.err == nil {
			out = append(out, w)
		} else if !m.hasStopped() {
			m.refuse(w.path, w.err)
		}
	}
	return out
}

func (m *importing) hasStopped() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped
}

func (m *importing) read(path string) waiting {
	w := waiting{path: path}
	if w.raw, w.err = Read(path); w.err != nil {
		if w.err = inFile(path, w.err); m.ctx.Err() == nil && !errors.Is(w.err, os.ErrNotExist) {
			w.err = unreadable(w.err)
		}
		return w
	}
	for _, d := range w.raw.Documents {
		w.bytes += int64(len(d))
	}
	for _, b := range w.raw.Blobs {
		w.bytes += b.Ref.Bytes
	}
	if w.report, w.err = store.Prepare(w.raw.Documents, w.raw.Blobs); w.err != nil {
		w.err = inFile(path, w.err)
	}
	return w
}

// inFile names the file in an error; its kind and hint stay.
func inFile(path string, err error) error {
	var own *schema.Error
	if errors.As(err, &own) {
		return &schema.Error{Op: "spool.import", Kind: own.Kind, Subject: fmt.Sprintf("%q", path), Hint: own.Hint, Err: err}
	}
	return fail("spool.import", path, err)
}

// stop is for what makes it pointless to go on.
func (m *importing) stop(err error) {
	m.mu.Lock()
	m.stopped = true
	m.cancel()
	m.mu.Unlock()
	m.failed(err)
}

func (m *importing) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.Left++
	if len(m.failures) >= maxFailures && !m.stopped {
		m.untold, m.lastUntold = m.untold+1, err
		return
	}
	m.failures = append(m.failures, err)
}

// save keeps a batch, and halves it where it is refused, until those that are to blame stand alone.
func (m *importing) save(batch []waiting, kept chan<- []waiting) {
	if len(batch) == 0 || m.hasStopped() {
		return
	}
	brought, err := m.keep(batch)
	if err != nil {
		kind := schema.KindOf(err)
		var rights interface{ Denied() bool }
		if errors.As(err, &rights) && rights.Denied() { // it is not the reports that are wrong
			m.stop(err)
			return
		}
		if len(batch) > 1 && kind != schema.Unavailable && kind != schema.Interrupted {
			m.save(batch[:len(batch)/2], kept)
			m.save(batch[len(batch)/2:], kept)
			return
		}
		if !errors.Is(err, os.ErrNotExist) { // else somebody else imports too and was faster
			m.refuse(batch[0].path, inFile(batch[0].path, err))
		}
		return
	}
	m.mu.Lock()
	if m.done.Already != nil {
		*m.done.Already += len(batch) - brought
	}
	m.mu.Unlock()
	kept <- batch
}

// keep gives how many reports brought something new, where the store says.
func (m *importing) keep(batch []waiting) (brought int, err error) {
	many, ok := m.into.(BatchSaver)
	if !ok {
		return 0, m.keepEach(batch)
	}
	reports := make([]store.Prepared, len(batch))
	for i, w := range batch {
		reports[i] = w.report
	}
	return many.SaveCounted(m.ctx, reports...)
}

// atOnce is how many reports are on their way to a store that takes one at a time: a server puts what arrives together into one transaction.
const atOnce = 32

func (m *importing) keepEach(batch []waiting) error {
	// The first goes alone: a store that cannot be reached is asked once.
	if err := m.into.SaveEncoded(m.ctx, batch[0].raw.Documents, batch[0].raw.Blobs); err != nil {
		return err
	}
	batch = batch[1:]
	errs := make([]error, len(batch))
	var wg sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i, w := range batch {
		turn <- struct{}{}
		wg.Go(func() {
			errs[i] = m.into.SaveEncoded(m.ctx, w.raw.Documents, w.raw.Blobs)
			<-turn
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // which one, halving finds out: what was kept is kept once
		}
	}
	return nil
}

func (m *importing) step(last bool) {
	if m.progress != nil && m.total > 0 {
		m.mu.Lock()
		done := m.done.Reports + m.done.Left + m.done.Refused
		m.mu.Unlock()
		if last {
			done = m.total
		}
		m.progress.Step("import", int64(done), int64(m.total), "")
	}
}
