package slurm

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

// tail follows one file: it may come late, be cut to nothing, be replaced by another of its name, or never come.
type tail struct {
	path    string
	to      *sink
	file    *os.File // nil between two looks where there are many files
	info    os.FileInfo
	offset  int64
	before  []byte // what stands in front of offset, to notice a file that was written anew
	partial []byte // of a line, where the lines of several files must not be mixed
	lines   bool
	head    []byte
	quiet   int // how often nothing was new since its task ended
}

// Bounds of what is kept of a file.
const (
	maxBefore  = 128
	maxPartial = 256 << 10
	maxHead    = 4 << 10
	maxOpen    = 64
)

// sink is a writer whose failure nobody feels.
type sink struct {
	to     io.Writer
	failed bool
}

func (s *sink) Write(b []byte) (int, error) {
	if s.to != nil && !s.failed {
		if _, err := s.to.Write(b); err != nil {
			s.failed = true
		}
	}
	return len(b), nil
}

var errNoFile = errors.New("is not a regular file")

// open opens a regular file without waiting for anybody at the other end of something else.
func open(path string) (*os.File, os.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// poll copies what is new and says how much that was. An error says why there is no file.
func (t *tail) poll() (int64, error) {
	file, info, err := open(t.path)
	if err != nil {
		if t.file != nil { // moved away: what was written before it was
			n := t.copy(t.file)
			return n, nil
		}
		if t.info != nil && errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		return 0, err
	}
	var n int64
	if t.info != nil && !os.SameFile(t.info, info) {
		if t.file != nil {
			n = t.copy(t.file)
		}
		t.restart()
	}
	t.close()
	t.file, t.info = file, info
	if info.Size() < t.offset || !t.same(file) {
		t.restart()
	}
	return n + t.copy(file), nil
}

func (t *tail) restart() { t.offset, t.before = 0, nil }

// same reports whether what stands before the offset is what stood there.
func (t *tail) same(file *os.File) bool {
	if len(t.before) == 0 {
		return true
	}
	now := make([]byte, len(t.before))
	_, err := file.ReadAt(now, t.offset-int64(len(now)))
	return err == nil && bytes.Equal(now, t.before)
}

func (t *tail) copy(file *os.File) (total int64) {
	buf := make([]byte, 64<<10)
	for {
		n, err := file.ReadAt(buf, t.offset)
		if n > 0 {
			t.offset += int64(n)
			total += int64(n)
			t.before = append(t.before, buf[max(0, n-maxBefore):n]...)
			t.before = t.before[max(0, len(t.before)-maxBefore):]
			t.pass(buf[:n])
		}
		if err != nil || n == 0 {
			return total
		}
	}
}

func (t *tail) pass(b []byte) {
	if room := maxHead - len(t.head); room > 0 {
		t.head = append(t.head, b[:min(len(b), room)]...)
	}
	if !t.lines {
		_, _ = t.to.Write(b)
		return
	}
	t.partial = append(t.partial, b...)
	if n := bytes.LastIndexByte(t.partial, '\n') + 1; n > 0 || len(t.partial) > maxPartial {
		if n == 0 {
			n = len(t.partial)
		}
		_, _ = t.to.Write(t.partial[:n])
		t.partial = append(t.partial[:0], t.partial[n:]...)
	}
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

func (t *tail) finish() {
	if len(t.partial) > 0 {
		_, _ = t.to.Write(t.partial)
		t.partial = nil
	}
	t.close()
}

// elsewhere reports Slurm's word that a node does not see the directory of a script, and has started it in another.
func (t *tail) elsewhere() bool {
	for line := range bytes.Lines(t.head) {
		if bytes.HasPrefix(line, []byte("slurmstepd")) && bytes.Contains(line, []byte("error: couldn't chdir to ")) {
			return true
		}
	}
	return false
}
