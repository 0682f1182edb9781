package rerun

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// A Journal keeps the answers of an audit while it goes on, a line of JSON for each, so that one that is interrupted need not begin anew. It is no cache: an audit
// that ends removes it, a line is believed for an hour, what could not be found out is always asked again, and nothing but an audit reads it. A nil Journal
// keeps nothing.
type Journal struct {
	path  string
	now   func() schema.Time
	known map[string]journalLine
	since schema.Time // of the oldest answer that is used

	mu   sync.Mutex
	file *os.File
	err  error // the first failure to write
}

// journalAge is for how long an answer is believed.
const journalAge = time.Hour

// Limits of a journal that is read: it lies where others may have been.
const (
	maxJournal     = 512 << 20
	maxJournalLine = 64 << 10
)

type journalHead struct {
	Journal string `json:"journal"`
	About   string `json:"about"`
}

type journalLine struct {
	Key   string              `json:"key"`
	At    schema.Time         `json:"at"`
	Found schema.Availability `json:"found"`
}

const journalV1 = "runpin.dev/audit/v1"

// OpenJournal opens the journal at path, or begins one. about says which questions it answers beside their keys: another store, version or directory is another
// journal, and takes this one's place. With fresh what is there is dropped.
func OpenJournal(path, about string, now func() schema.Time, fresh bool) (*Journal, error) {
	fail := func(err error) (*Journal, error) {
		return nil, &schema.Error{Op: "audit.journal", Kind: schema.Unavailable, Subject: path, Err: err, Hint: "remove it, or look at the permissions of its directory"}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	j := &Journal{path: path, now: now, known: map[string]journalLine{}}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fail(err)
	case !info.Mode().IsRegular(): // a pipe or a link in its place must not be opened
		return fail(errors.New("it is not a regular file"))
	case !fresh && info.Size() <= maxJournal:
		if err := j.read(about); err != nil {
			return fail(err)
		}
	}
	if err := j.begin(about); err != nil {
		return fail(err)
	}
	if j.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return fail(err)
	}
	return j, nil
}

// begin writes the journal anew, without what is of no use any more. The old one stays until the new one is whole.
func (j *Journal) begin(about string) error {
	f, err := os.CreateTemp(filepath.Dir(j.path), ".journal-*") // 0600
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	encoder := json.NewEncoder(out)
	err = encoder.Encode(journalHead{journalV1, about})
	for _, line := range j.known {
		if err == nil {
			err = encoder.Encode(line)
		}
	}
	if err == nil {
		err = out.Flush()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), j.path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// read takes in the lines that can be believed. What is torn, foreign, too old or from the future is passed over.
func (j *Journal) read(about string) error {
	f, err := os.Open(j.path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(io.LimitReader(f, maxJournal), maxJournalLine)
	now := j.now().Time()
	for first := true; ; first = false {
		line, err := lines.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) { // no line of ours is so long
			line = nil
			_, err = lines.ReadSlice('\n')
		}
		if err != nil {
			return nil //nolint:nilerr // the end, or a last line without one, which was being written when the writer was killed
		}
		if first {
			var head journalHead
			if json.Unmarshal(line, &head) != nil || head.Journal != journalV1 || head.About != about {
				return nil
			}
			continue
		}
		var l journalLine
		if json.Unmarshal(line, &l) != nil || !schema.Digest(l.Key).Valid() {
			continue
		}
		age := now.Sub(l.At.Time())
		if age < 0 || age > journalAge {
			continue
		}
		switch l.Found.State {
		case schema.StateAvailable, schema.StateKept, schema.StateChanged, schema.StateGone:
			j.known[l.Key] = l
			if j.since.IsZero() || l.At.Time().Before(j.since.Time()) {
				j.since = l.At
			}
		}
	}
}

// Known says how many answers the journal has, and when the oldest of them was found.
func (j *Journal) Known() (n int, since schema.Time) {
	if j == nil {
		return 0, schema.Time{}
	}
	return len(j.known), j.since
}

func (j *Journal) answer(key string) (schema.Availability, bool) {
	if j == nil {
		return schema.Availability{}, false
	}
	line, ok := j.known[key]
	return line.Found, ok
}

// keep writes an answer down at once: the process may be killed at any time.
func (j *Journal) keep(key string, found schema.Availability) {
	if j == nil || found.State == schema.StateUnknown {
		return
	}
	line, err := json.Marshal(journalLine{key, j.now(), found})
	if err != nil || len(line) >= maxJournalLine {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil || j.err != nil {
		return
	}
	_, j.err = j.file.Write(append(line, '\n'))
}

// Close leaves the journal for the audit that goes on. The error is the first failure to write it.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		if err := j.file.Close(); j.err == nil {
			j.err = err
		}
		j.file = nil
	}
	if j.err != nil {
		return fmt.Errorf("%s: %w", j.path, j.err)
	}
	return nil
}

// Finish removes the journal: its audit has come to its end.
func (j *Journal) Finish() error {
	if j == nil {
		return nil
	}
	_ = j.Close()
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
