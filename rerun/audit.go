package rerun

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// AuditOptions say how a history is looked at.
type AuditOptions struct {
	PreflightOptions
	Ended   bool     // leave out runs that did not come to their end, and count them: see DidNotEnd
	Jobs    int      // questions that are asked at the same time; 32 when 0
	Journal *Journal // what an interrupted audit found out, and where this one leaves what it does; nil for none
}

// Audited is one run of a history, with everything that was found out about it.
type Audited struct {
	Run      schema.RunID
	Name     string
	Pins     []schema.Availability
	InTheWay []schema.Availability // those of Pins that keep it from being run again
	ToGive   []schema.Availability // those of Pins that a rerun is refused without until the user gives them
}

// CanRerun is the answer for one run.
type CanRerun string

// The answers. Yes is said of what a rerun would start as it stands, where the place to run answers. No beats unknown: what is lost stays lost, whatever else there is to find
// out; and both beat needs.
const (
	RerunYes     CanRerun = "yes"
	RerunNeeds   CanRerun = "needs" // nothing is lost, and something has to be given: a secret, another place for an output
	RerunNo      CanRerun = "no"
	RerunUnknown CanRerun = "unknown"
)

// Answer says whether the run can be run again.
func (a Audited) Answer() CanRerun {
	answer := RerunYes
	if len(a.ToGive) > 0 {
		answer = RerunNeeds
	}
	for _, pin := range a.InTheWay {
		if pin.State != schema.StateUnknown {
			return RerunNo
		}
		answer = RerunUnknown
	}
	return answer
}

// Tally counts the questions of an audit.
type Tally struct {
	Asked int // pins that were asked about, each once however many runs have it
	Known int // what the journal of an interrupted audit answered

	DidNotEnd int // runs that were left out because they did not come to their end
}

// inTheWay picks from what was found what keeps a run from being run again as it was; optional are the pins that it runs without.
func inTheWay(found []schema.Availability, optional map[string]bool) []schema.Availability {
	var stand []schema.Availability
	for _, a := range found {
		if a.Kind() != "" && !optional[a.Pin] {
			stand = append(stand, a)
		}
	}
	return stand
}

// Optional names the pins of a run without which it can be run again as it was: an image beside a command that ran on the host was only claimed, a checkout beside
// a job for a cluster is not put back.
func (r *Rerunner) Optional(run schema.Run) map[string]bool {
	p := Prepared{Of: run, Images: run.Images}
	if len(run.CommandTemplate) == 0 && run.Job != nil {
		p.Job, p.Launcher = run.Job, run.Launcher
	} else if err := chooseLauncher(&p, ""); err != nil {
		return nil
	}
	needed, optional := r.needs(run, p), map[string]bool{}
	for _, i := range run.Images {
		if pin := "image:" + i.Name; !needed[pin] {
			optional[pin] = true
		}
	}
	for _, c := range run.Code {
		if pin := "code:" + c.Name; !needed[pin] {
			optional[pin] = true
		}
	}
	return optional
}

// Audit finds out for each of many runs whether it can still be run again, by the rule that a rerun goes by, and hands them to each in their order. A question that
// several runs share is asked once. Memory is bounded by the number of different questions, not of runs. An error of runs about one of them is kept, the others
// are looked at all the same; an error of each ends the audit. When ctx ends it returns at once, with an error of kind Interrupted: the journal has what was
// found out until then. runs is never read after Audit has returned, so that its store can be closed; it should give up when ctx does.
func (r *Rerunner) Audit(ctx context.Context, runs iter.Seq2[schema.Run, error], opts AuditOptions, each func(Audited) error) (Tally, error) {
	ctx, stop := context.WithCancel(ctx)
	a := newAudit(ctx, r, opts)
	var reader sync.WaitGroup
	defer func() {
		stop()
		reader.Wait()
		a.settle()
	}()
	waiting := make(chan auditedSoon, 1024)
	var failures []error
	reader.Go(func() {
		defer close(waiting)
		for run, err := range runs {
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				failures = append(failures, err)
				continue
			}
			if opts.Ended && DidNotEnd(run) {
				a.leaveOut()
				continue
			}
			soon := auditedSoon{run: run.ID, name: run.Name, optional: r.Optional(run), refused: refusedWithout(run)}
			for _, q := range r.Questions(run, opts.PreflightOptions) {
				soon.questions = append(soon.questions, asked{q.Pin, q.Ref, a.ask(q)})
			}
			select {
			case waiting <- soon:
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		var soon auditedSoon
		select {
		case <-ctx.Done():
			return a.tally(), interrupted()
		case next, more := <-waiting:
			if !more {
				if ctx.Err() != nil {
					return a.tally(), interrupted()
				}
				return a.tally(), errors.Join(failures...)
			}
			soon = next
		}
		done, err := soon.wait(ctx)
		if err != nil {
			return a.tally(), err
		}
		if err := each(done); err != nil {
			return a.tally(), err
		}
	}
}

// auditedSoon is a run whose questions have been asked.
type auditedSoon struct {
	run       schema.RunID
	name      string
	optional  map[string]bool
	refused   func(pin string) bool
	questions []asked
}

// asked is a question in the words of one run.
type asked struct {
	pin    string
	ref    schema.Text
	answer *answer
}

// answer is shared by every run with the same question. found may be read when done is closed.
type answer struct {
	done  chan struct{}
	found schema.Availability
}

func (s auditedSoon) wait(ctx context.Context) (Audited, error) {
	out := Audited{Run: s.run, Name: s.name, Pins: make([]schema.Availability, 0, len(s.questions))}
	for _, q := range s.questions {
		select {
		case <-q.answer.done:
		case <-ctx.Done():
			return out, interrupted()
		}
		out.Pins = append(out.Pins, Question{Pin: q.pin, Ref: q.ref}.Answered(q.answer.found))
	}
	out.InTheWay, out.ToGive = inTheWay(out.Pins, s.optional), toGive(out.Pins, s.refused)
	return out, nil
}

// audit asks questions, each once.
type audit struct {
	ctx   context.Context
	r     *Rerunner
	opts  AuditOptions
	slots chan struct{}
	slow  slowHosts

	mu      sync.Mutex
	groups  map[string]chan struct{}
	answers map[string]*answer
	counts  Tally
	begun   int
	done    int

	over     bool // nothing more is asked
	underWay sync.WaitGroup
}

// settle gives questions that were cut short a moment to clean up behind themselves: to end their processes, to remove what is temporary.
func (a *audit) settle() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	settled := make(chan struct{})
	go func() {
		a.underWay.Wait()
		close(settled)
	}()
	select {
	case <-settled:
	case <-time.After(settleTime):
	}
}

const settleTime = 500 * time.Millisecond

// isPin: beside the pins there are questions that the record alone answers.
func isPin(name string) bool {
	kind, _, named := strings.Cut(name, ":")
	return named && (kind == "image" || kind == "code" || kind == "dataset")
}

func newAudit(ctx context.Context, r *Rerunner, opts AuditOptions) *audit {
	if opts.Jobs <= 0 {
		opts.Jobs = 32
	}
	return &audit{ctx: ctx, r: r, opts: opts, slots: make(chan struct{}, opts.Jobs), groups: map[string]chan struct{}{}, answers: map[string]*answer{}}
}

func (a *audit) tally() Tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts
}

func (a *audit) leaveOut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.DidNotEnd++
}

// ask gives the place where the answer will be, and has the question asked unless it was before.
func (a *audit) ask(q Question) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.answers[q.Key]; known != nil {
		return known
	}
	out := &answer{done: make(chan struct{})}
	a.answers[q.Key] = out
	if found, ok := a.opts.Journal.answer(q.Key); ok {
		a.counts.Known++
		out.found = found
		close(out.done)
		return out
	}
	if a.over {
		return out
	}
	a.begun++
	if isPin(q.Pin) {
		a.counts.Asked++
	}
	group := a.group(q)
	a.underWay.Go(func() {
		for _, slots := range []chan struct{}{group, a.slots} {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-a.ctx.Done():
				return
			}
		}
		found := a.r.putQuestion(a.ctx, q, &a.slow)
		if a.ctx.Err() != nil {
			return // what was cut short is no answer
		}
		out.found = found
		a.opts.Journal.keep(q.Key, found)
		close(out.done)
		a.progress()
	})
	return out
}

// group gives the slots of those whom a question is put to: a slow server must not hold up the others, nor be asked by too many at once.
func (a *audit) group(q Question) chan struct{} {
	kind, _, _ := strings.Cut(q.Pin, ":")
	name, limit := kind+" "+q.Host, 8
	switch {
	case kind == "dataset" && q.Host == "":
		limit = 2 // hashing uses every processor by itself
	case q.Host == "":
		limit = 2 * runtime.NumCPU()
	}
	if a.groups[name] == nil {
		a.groups[name] = make(chan struct{}, limit)
	}
	return a.groups[name]
}

func (a *audit) progress() {
	a.mu.Lock()
	a.done++
	done, total := a.done, a.begun
	a.mu.Unlock()
	if a.r.Progress != nil {
		a.r.Progress.Step("asking what can still be had", int64(done), int64(max(total, done+1)), "") // more may come: the end is not here
	}
}
