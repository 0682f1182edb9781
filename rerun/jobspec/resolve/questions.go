package resolve

import (
	"context"
	"sync"
)

// questions are the distinct references of all files. Each is asked for once, as soon as a file names it; turn bounds how many are asked for at a time.
type questions struct {
	r    *Resolver
	ctx  context.Context
	turn chan struct{}

	mu       sync.Mutex
	all      map[want]*question
	answered int64
}

type question struct {
	written  string // the first of its spellings, in the order of the alphabet: for the lock, which must not depend on who was read first
	answered chan struct{}
	answer   answer // once answered is closed
}

// of asks for what a file that was read names, and gives the questions that it has to wait for. A file that fails anyway asks for nothing.
func (q *questions) of(result *Result) (mine []*question) {
	if result.Err != nil || len(result.Spec.Problems) > 0 && !q.r.AllowUnpinned {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, ref := range result.Spec.References {
		w, ok := q.r.wanted(ref)
		if !ok {
			continue
		}
		known := q.all[w]
		if known == nil {
			known = &question{written: ref.Value, answered: make(chan struct{})}
			q.all[w] = known
			go q.ask(w, known, ref.Value)
		}
		known.written = min(known.written, ref.Value)
		mine = append(mine, known)
	}
	return mine
}

func (q *questions) ask(w want, asked *question, written string) {
	defer close(asked.answered)
	select {
	case q.turn <- struct{}{}:
	case <-q.ctx.Done():
		asked.answer.err = q.ctx.Err()
		return
	}
	defer func() { <-q.turn }()
	asked.answer = q.r.one(q.ctx, w, written)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answered++
	if q.r.Progress != nil {
		q.r.Progress.Step("asking for references", q.answered, max(int64(len(q.all)), q.answered+1), "")
	}
}

// answer gives what was found; nothing where nothing was asked.
func (q *questions) answer(w want) answer {
	q.mu.Lock()
	asked := q.all[w]
	q.mu.Unlock()
	if asked == nil {
		return answer{}
	}
	<-asked.answered
	return asked.answer
}

// keep puts what was found into the lock, when all is answered.
func (q *questions) keep() {
	for _, asked := range q.all {
		<-asked.answered
		if found := asked.answer.image; found != nil {
			found.Reference = asked.written
			q.r.Lock.putImage(*found)
		}
	}
}
