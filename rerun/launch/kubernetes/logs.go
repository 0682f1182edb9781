package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// merged is the output of a job: the lines of its pods as they come, with the pod's name before each once there are several pods.
type merged struct {
	mu     sync.Mutex
	to     io.Writer
	last   string // the pod whose line is not at its end
	pods   atomic.Int32
	bytes  atomic.Int64
	closed atomic.Bool // nothing is written any more
}

// write writes a piece of a pod's line; begins says that it is the first one of the line. What the reader of the output cannot take is lost to it, never to the job.
func (m *merged) write(pod string, piece []byte, begins bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() || len(piece) == 0 {
		return
	}
	var out []byte
	if m.last != "" && (m.last != pod || begins) {
		out = append(out, '\n')
	}
	if begins && m.pods.Load() > 1 || m.last != pod && !begins {
		out = append(append(append(out, '['), pod...), "] "...)
	}
	out = append(out, piece...)
	m.last = pod
	if piece[len(piece)-1] == '\n' {
		m.last = ""
	}
	_, _ = m.to.Write(out)
	m.bytes.Add(int64(len(out)))
}

// tail copies the log of one container to the output.
type tail struct {
	l         *Launcher
	namespace string
	pod       string
	container string
	out       *merged
	ended     chan struct{} // closed when the container has ended for good, or its pod is gone
	done      chan struct{} // closed when all of the log was copied, or cannot be had

	last   string // the moment of the line that was copied last
	same   int    // how many whole lines of that moment were copied
	part   int    // bytes copied of the line that comes next
	moment string // of that line
}

const (
	maxPiece = 64 << 10 // of a line that is written at once
	maxTries = 5        // to read the end of a log
)

// run reads the log until the container has ended and all of it was copied. A stream that breaks off goes on behind the last line that was copied.
func (t *tail) run(ctx context.Context) {
	defer close(t.done)
	pause := firstPause
	for failures := 0; ctx.Err() == nil; {
		final := false
		select {
		case <-t.ended:
			final = true
		default:
		}
		before := t.out.bytes.Load()
		err := t.stream(ctx, !final)
		if err == nil && final || ctx.Err() != nil || isNotFound(err) {
			return
		}
		if t.out.bytes.Load() != before {
			failures, pause = 0, firstPause
		}
		if err != nil && !notStarted(err) {
			failures++
		}
		if refused(err) || final && failures >= maxTries {
			t.l.warn("the log of pod %s cannot be read: %s", t.pod, t.l.why(err))
			return
		}
		ended := t.ended
		if final {
			ended = nil // it is known
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-ended:
		}
		pause = min(2*pause, longPause)
	}
}

// notStarted reports a kubelet's answer that there is no log yet.
func notStarted(err error) bool { return apierrors.IsBadRequest(err) }

// stream copies what the log holds behind the last line that was copied.
func (t *tail) stream(ctx context.Context, follow bool) error {
	request := t.l.rest.Get().AbsPath("/api/v1/namespaces", t.namespace, "pods", t.pod, "log").Param("container", t.container).Param("timestamps", "true")
	if follow {
		request = request.Param("follow", "true")
	}
	if since := t.since(); since != "" {
		request = request.Param("sinceTime", since)
	}
	body, err := request.Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	return t.copy(body)
}

// since gives the moment to go on from, in the whole seconds that the API takes.
func (t *tail) since() string {
	at, err := time.Parse(time.RFC3339Nano, t.last)
	if err != nil {
		return ""
	}
	return at.UTC().Truncate(time.Second).Format(time.RFC3339)
}

// copy reads lines, each with its moment before it, and passes over those that were copied before.
func (t *tail) copy(from io.Reader) error {
	r := bufio.NewReaderSize(from, maxPiece)
	again := 0 // lines of the last moment that this stream has shown again
	resumed := t.last != ""
	for {
		piece, err := r.ReadSlice('\n')
		if len(piece) > 0 {
			moment, rest := splitMoment(piece)
			skip := false
			if resumed && moment != "" {
				switch order(moment, t.last) {
				case -1:
					skip = true
				case 0:
					again++
					skip = again <= t.same
				default:
					resumed = false
				}
			}
			if rerr := t.line(r, moment, rest, err, skip); rerr != nil {
				err = rerr
			} else if errors.Is(err, bufio.ErrBufferFull) {
				err = nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// line copies one line, of which first was read already; err is how that reading ended.
func (t *tail) line(r *bufio.Reader, moment string, first []byte, err error, skip bool) error {
	have := 0
	if !skip {
		if moment != t.moment || moment == "" {
			t.part = 0
		}
		t.moment = moment
	}
	piece := first
	for {
		if !skip && len(piece) > 0 {
			if fresh := piece[min(len(piece), max(0, t.part-have)):]; len(fresh) > 0 {
				t.out.write(t.pod, fresh, have == 0 && t.part == 0)
				t.part = have + len(piece)
			}
		}
		have += len(piece)
		if !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		piece, err = r.ReadSlice('\n')
	}
	if err != nil { // the line has no end: it is the last one of the log, or the stream broke off in it
		return err
	}
	if !skip {
		t.part = 0
		if moment == t.last {
			t.same++
		} else if moment != "" {
			t.last, t.same = moment, 1
		}
	}
	return nil
}

// splitMoment takes the moment from the beginning of a line.
func splitMoment(line []byte) (moment string, rest []byte) {
	before, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(before) > 40 {
		return "", line
	}
	if _, err := time.Parse(time.RFC3339Nano, string(before)); err != nil {
		return "", line
	}
	return string(before), rest
}

// order compares two moments.
func order(a, b string) int {
	x, err1 := time.Parse(time.RFC3339Nano, a)
	y, err2 := time.Parse(time.RFC3339Nano, b)
	if err1 != nil || err2 != nil {
		return 1
	}
	return x.Compare(y)
}
