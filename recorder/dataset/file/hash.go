package file

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// A stamp taken so shortly after a file was written that another write might leave the same stamp proves nothing later (git's "racy" rule).
// Two seconds cover the coarsest local clock (FAT); a server's clock may run apart from ours.
const (
	racyLocal  = 2 * time.Second
	racyRemote = 2 * time.Minute
)

// attempts is how often a file that changes while it is read is read before that is an error, and the wait before each.
var attempts = []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond}

// look settles one file: by its stamp where the stat cache knows it, else by its content. A large file is left for later, and its size given.
func (w *walk) look(n *node, e *entry, dir *folder, known *block, s *scratch) (later int64) {
	var m meta
	var err error
	old, isKnown := known.next(e.name)
	switch {
	case e.kind == kindLink:
		if m, err = w.lookLink(e, dir); err != nil {
			w.fail(n.below(e.name), err)
			return 0
		}
		if e.kind != kindFile {
			return 0
		}
	case isKnown && statsTell:
		m, err = dir.stat(e.name, false)
	}
	if isKnown && statsTell && err == nil && m.kind == kindFile && old.matches(m.stamp) {
		e.stamp, e.exec = m.stamp, m.exec
		old.sum(&e.sum)
		s.files++
		s.bytes += m.stamp.size
		return 0
	}
	return w.content(n, e, dir, s, false)
}

// lookLink sees what a link points to: a file, or a directory, of which the text is kept. Anything else is refused.
func (w *walk) lookLink(e *entry, dir *folder) (meta, error) {
	m, err := dir.stat(e.name, true)
	target, linkErr := dir.readlink(e.name)
	switch {
	case linkErr != nil:
		return m, linkErr
	case errors.Is(err, os.ErrNotExist):
		return m, &danglingError{target}
	case err != nil && isLinkLoop(err):
		return m, errLinkLoop
	case err != nil:
		return m, err
	case m.kind == kindDir:
		e.kind, e.target = kindDirLink, target
	case m.kind == kindFile:
		e.kind, e.link = kindFile, true
	default:
		return m, errSpecial
	}
	return m, nil
}

// content reads one file. Unless large is set it leaves a large one unread and gives its size.
func (w *walk) content(n *node, e *entry, dir *folder, s *scratch, large bool) (later int64) {
	var err error
	for _, wait := range attempts {
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-w.ctx.Done():
				return 0
			}
		}
		if later, err = w.contentOnce(n, e, dir, s, large); err == nil {
			return later
		}
		if !errors.Is(err, errChanged) && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.EAGAIN) || w.ctx.Err() != nil {
			break
		}
	}
	w.fail(n.below(e.name), err)
	return 0
}

func (w *walk) contentOnce(n *node, e *entry, dir *folder, s *scratch, large bool) (later int64, err error) {
	started := time.Now()
	if w.fault != nil {
		w.fault("open", n.below(e.name))
	}
	h, err := dir.open(e.name, e.link)
	if err != nil {
		if isSwapped(err) {
			err = errChanged
		}
		return 0, err
	}
	defer h.close()
	m, err := h.stat()
	switch {
	case err != nil:
		return 0, err
	case m.kind != kindFile:
		return 0, errChanged
	case m.stamp.size >= largeFile && !large:
		e.kind = kindFile
		return m.stamp.size, nil
	}
	var size int64
	before := s.bytes
	if w.copyTo != "" {
		size, err = w.copyFile(w.copyTo, n.below(e.name), h, m, e, s)
	} else {
		size, err = w.hashFile(h, m, &e.sum, s)
	}
	if w.fault != nil {
		w.fault("read", n.below(e.name))
	}
	if err == nil {
		var after meta
		if after, err = h.stat(); err == nil && after.stamp != m.stamp {
			err = errChanged
		}
	}
	if err == nil && size != m.stamp.size {
		err = errChanged
	}
	if err != nil {
		s.bytes = before
		return 0, err
	}
	if s.dev != m.stamp.dev || s.read == 0 {
		s.dev, s.slow = m.stamp.dev, w.isRemote(m.stamp.dev, h)
	}
	margin := racyLocal
	if s.slow {
		margin = racyRemote
	}
	e.stamp, e.exec = m.stamp, m.exec
	e.racy = max(m.stamp.mtime, m.stamp.ctime) >= started.Add(-margin).UnixNano()
	s.read++
	s.files++
	return 0, nil
}

// hashFile reads to the end and gives the number of bytes. A file that fits the buffer is read by one call: one that is longer than its stat
// says shows by filling more.
func (w *walk) hashFile(h handle, m meta, sum *[32]byte, s *scratch) (int64, error) {
	if m.stamp.size < int64(len(s.buf)) {
		n := 0
		for {
			k, err := h.read(s.buf[n:])
			n += k
			if err == io.EOF || err == nil && int64(n) >= m.stamp.size {
				break
			}
			if err != nil {
				return int64(n), err
			}
		}
		*sum = sha256.Sum256(s.buf[:n])
		s.bytes += int64(n)
		return int64(n), nil
	}
	h.willReadAll()
	return w.hashStream(h, sum, s, nil)
}

// hashStream hashes what is left of h, and writes it to out where there is one.
func (w *walk) hashStream(h handle, sum *[32]byte, s *scratch, out io.Writer) (int64, error) {
	return w.hashReader(h.read, sum, s, out)
}

func (w *walk) hashReader(read func([]byte) (int, error), sum *[32]byte, s *scratch, out io.Writer) (int64, error) {
	digest := sha256.New()
	total := int64(0)
	for {
		n, err := read(s.buf)
		if n > 0 {
			digest.Write(s.buf[:n])
			total += int64(n)
			if out != nil {
				if _, err := out.Write(s.buf[:n]); err != nil {
					return total, &writeError{err}
				}
			}
			s.bytes += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return total, err
		}
		if s.bytes >= 8<<20 {
			if err := w.ctx.Err(); err != nil {
				return total, err
			}
			w.progress.add(s, true)
		}
	}
	finish(digest, sum)
	return total, nil
}

func finish(digest hash.Hash, sum *[32]byte) { digest.Sum(sum[:0]) }

// joinShown gives a path for people.
func joinShown(base, rel string) string {
	if rel == "" {
		return base
	}
	return strings.TrimSuffix(base, "/") + "/" + rel
}
