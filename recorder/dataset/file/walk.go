package file

import (
	"container/heap"
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"

	"github.com/runpin/runpin/recorder/dataset"
)

const (
	chunkFiles = 256     // files of one directory that a worker takes at once: a directory of a million files keeps all busy
	largeFile  = 1 << 20 // from this size a file is a task of its own, the largest first, so that all processors end together
	readBuffer = 512 << 10
	maxFailed  = 100 // failures after which the walk gives up
)

// walk reads a data set with several workers. What it finds does not depend on how many there are or on who comes first: each task fills
// in its own entries.
type walk struct {
	ctx      context.Context
	base     string // for messages
	root     *folder
	sel      dataset.Selection
	before   *snapshot // nil: read everything
	copyTo   string    // "": only read
	fault    func(stage, path string)
	progress meter

	mu      sync.Mutex
	cond    *sync.Cond
	queue   []task // taken from the end: what was listed last is read first, so that few directories are open at a time
	large   largest
	active  int // workers at a task
	finding int // of them, at one that may bring more
	stopped bool
	failed  []failure
	read    int64
	remote  map[uint64]bool // by device
}

// task is a directory to list (dir is nil), or some of its files to look at.
type task struct {
	n      *node
	dir    *folder
	lo, hi int
	known  block // what the stat cache says about these files
}

// largeTask is one large file. Its directory is opened again: many may wait.
type largeTask struct {
	n    *node
	i    int
	size int64
}

// largest is a heap.
type largest []largeTask

func (l largest) Len() int           { return len(l) }
func (l largest) Less(i, j int) bool { return l[i].size > l[j].size }
func (l largest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *largest) Push(x any)        { *l = append(*l, x.(largeTask)) }
func (l *largest) Pop() any {
	old := *l
	last := old[len(old)-1]
	*l = old[:len(old)-1]
	return last
}

// run reads everything below n, whose own entries are read already when it is a single file.
func (w *walk) run(n *node, workers int) error {
	w.cond = sync.NewCond(&w.mu)
	w.remote = map[uint64]bool{}
	if n.entries == nil {
		w.queue = append(w.queue, task{n: n})
	} else {
		w.root.share(1)
		w.queue = append(w.queue, task{n: n, dir: w.root, hi: len(n.entries), known: w.before.block(n.path)})
	}
	stop := context.AfterFunc(w.ctx, w.stop)
	defer stop()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { w.work() })
	}
	group.Wait()
	w.progress.end()
	if err := w.ctx.Err(); err != nil {
		return interrupted(w.base, err)
	}
	return failuresError(w.failed)
}

// workersFor gives the number of workers: hashing keeps the processors busy, but a cold disk or a server answers many questions at once.
func workersFor(asked int, remote bool) int {
	switch procs := runtime.GOMAXPROCS(0); {
	case asked > 0:
		return asked
	case remote:
		return max(2*procs, 16)
	default:
		return max(procs, 4)
	}
}

func (w *walk) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.cond.Broadcast()
}

func (w *walk) push(tasks ...task) {
	w.mu.Lock()
	w.queue = append(w.queue, tasks...)
	w.mu.Unlock()
	if len(tasks) == 1 {
		w.cond.Signal()
	} else {
		w.cond.Broadcast()
	}
}

func (w *walk) pushLarge(t largeTask) {
	w.mu.Lock()
	heap.Push(&w.large, t)
	w.mu.Unlock()
	w.progress.expect(t.size)
	w.cond.Signal()
}

// work takes tasks until there are none and nobody is at one that could bring more.
func (w *walk) work() {
	s := &scratch{buf: make([]byte, readBuffer)}
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case w.stopped:
			for _, t := range w.queue {
				if t.dir != nil {
					t.dir.release()
				}
			}
			w.queue = nil
			w.cond.Broadcast()
			return
		case len(w.queue) > 0:
			t := w.queue[len(w.queue)-1]
			w.queue = w.queue[:len(w.queue)-1]
			w.finding++
			w.perform(s, func() { w.do(t, s) })
			w.finding--
		case len(w.large) > 0:
			t := heap.Pop(&w.large).(largeTask)
			if w.finding == 0 {
				w.progress.settled()
			}
			w.perform(s, func() { w.doLarge(t, s) })
		case w.active == 0:
			w.cond.Broadcast()
			return
		default:
			w.cond.Wait()
		}
	}
}

// perform runs a task without the lock.
func (w *walk) perform(s *scratch, f func()) {
	w.active++
	w.mu.Unlock()
	f()
	w.mu.Lock()
	w.active--
	w.read += s.read
	s.read = 0
	if w.active == 0 {
		w.cond.Broadcast()
	}
}

func (w *walk) do(t task, s *scratch) {
	if t.dir == nil {
		w.list(t.n, s)
		return
	}
	defer t.dir.release()
	for i := t.lo; i < t.hi; i++ {
		e := &t.n.entries[i]
		if e.kind != kindFile && e.kind != kindLink {
			continue
		}
		if w.ctx.Err() != nil {
			return
		}
		size := w.look(t.n, e, t.dir, &t.known, s)
		if size >= largeFile {
			w.pushLarge(largeTask{t.n, i, size})
		}
	}
	w.progress.add(s, false)
}

func (w *walk) doLarge(t largeTask, s *scratch) {
	dir, err := w.open(t.n)
	if err != nil {
		w.fail(t.n.path, err)
		return
	}
	defer dir.release()
	w.content(t.n, &t.n.entries[t.i], dir, s, true)
	w.progress.add(s, true)
}

func (w *walk) open(n *node) (*folder, error) {
	if n.path == "" {
		return openAgain(w.root)
	}
	return w.root.sub(n.path)
}

// openAgain shares the root, whose position nobody but its lister moves.
func openAgain(root *folder) (*folder, error) {
	root.share(1)
	return root, nil
}

// list reads the names of a directory, sets its directories aside as tasks and looks at its files.
func (w *walk) list(n *node, s *scratch) {
	dir, err := w.open(n)
	if err != nil {
		if isSwapped(err) {
			err = errChanged
		}
		w.fail(n.path, err)
		return
	}
	defer dir.release()
	names, err := dir.list(s.listBuffer())
	if err == nil && w.copyTo != "" && n.path != "" {
		err = makeDirectory(w.copyTo, n.path)
	}
	if err != nil {
		w.fail(n.path, err)
		return
	}
	n.entries = make([]entry, 0, len(names))
	var below []task
	files := 0
	for _, name := range names {
		e := entry{name: name.name, kind: name.kind}
		selected, excluded := true, false
		if !w.sel.All() {
			selected, excluded = w.sel.Selected(n.below(e.name), n.selected)
		}
		if excluded {
			continue
		}
		if e.kind == kindUnknown {
			m, err := dir.stat(e.name, false)
			if err != nil {
				w.fail(n.below(e.name), err)
				continue
			}
			e.kind = m.kind
		}
		switch {
		case e.kind == kindDir:
			e.sub = &node{path: n.below(e.name), selected: selected}
			below = append(below, task{n: e.sub})
		case !selected:
			continue
		case e.kind == kindSpecial:
			w.fail(n.below(e.name), errSpecial)
			continue
		default:
			files++
		}
		n.entries = append(n.entries, e)
	}
	n.sort()
	if len(below) > 0 {
		w.push(below...)
	}
	if files == 0 || w.ctx.Err() != nil {
		return
	}
	known := w.before.block(n.path)
	chunks := []task{}
	for lo := 0; lo < len(n.entries); lo += chunkFiles {
		t := task{n: n, dir: dir, lo: lo, hi: min(lo+chunkFiles, len(n.entries))}
		if t.known = known; lo > 0 {
			t.known.seek(n.entries[lo:t.hi])
			known = t.known
		}
		chunks = append(chunks, t)
	}
	dir.share(len(chunks))
	if len(chunks) > 1 {
		w.push(chunks[1:]...)
	}
	w.do(chunks[0], s)
}

// fail notes a path that cannot be taken in. The data set itself exists, so what is not there has vanished.
func (w *walk) fail(path string, err error) {
	var write *writeError
	if errors.Is(err, fs.ErrNotExist) && !errors.As(err, &write) {
		err = errVanished
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = append(w.failed, failure{joinShown(w.base, path), err})
	if len(w.failed) >= maxFailed {
		w.stopped = true
		w.cond.Broadcast()
	}
}

// isRemote remembers which devices are network file systems.
func (w *walk) isRemote(dev uint64, h handle) bool {
	w.mu.Lock()
	remote, known := w.remote[dev]
	w.mu.Unlock()
	if !known {
		remote = h.remote()
		w.mu.Lock()
		w.remote[dev] = remote
		w.mu.Unlock()
	}
	return remote
}

// scratch is what one worker keeps between files.
type scratch struct {
	buf   []byte
	dents []byte
	dev   uint64 // of the last file read, and whether it is remote
	slow  bool
	read  int64 // files read and not yet reported
	files int64
	bytes int64
}

func (s *scratch) listBuffer() []byte {
	if s.dents == nil && listBuffer > 0 {
		s.dents = make([]byte, listBuffer)
	}
	return s.dents
}
