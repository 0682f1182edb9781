package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// What came of one run of a list, beside the verdicts.
const (
	stateRefused     = "refused"
	stateDetached    = "running"
	stateInterrupted = "interrupted"
	stateNotStarted  = "not started"
)

// oneOfMany is what came of one run of a list.
type oneOfMany struct {
	of    schema.Run
	id    schema.RunID // of the new run, "" where there is none
	log   string       // "" where the command never ran
	state string       // a verdict, or one of the states above
	err   error
	took  time.Duration
	rerun.Result
}

// many reruns a list of runs.
type many struct {
	env  *Env
	c    *cli.Context
	w    *wiring
	runs []oneOfMany
	mu   sync.Mutex // held while a line is written
	stop bool       // with --fail-fast, after the first that was not the same
}

// runMany runs each of the runs again, --jobs at a time, and reports on all of them. What each prints goes to a file in its directory.
func runMany(env *Env, c *cli.Context, w *wiring, runs []schema.Run) error {
	defer survivePipe()()
	if c.IsSet("name") && len(runs) > 1 {
		return usageError("leave out --name", "several jobs cannot have one name")
	}
	if len(runs) == 0 {
		env.say("no runs match")
		return nil
	}
	if _, err := executeRequest(env, c, w, runs[0]); err != nil { // a mistake in the command line is one for all
		return err
	}
	if err := w.store.writable(c.Context); err != nil {
		return err
	}
	m := &many{env: env, c: c, w: w}
	for _, run := range runs {
		m.runs = append(m.runs, oneOfMany{of: run, state: stateNotStarted})
	}
	if !c.IsSet("workdir") {
		if base, err := freshBase(env); err == nil {
			w.rerunner.Prune(base, abandonedAfter)
		}
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(c.Int("jobs"), len(runs)) {
		workers.Go(func() {
			for i := range next {
				m.one(i)
			}
		})
	}
	for i := range m.runs {
		if c.Context.Err() != nil || m.stopped() {
			break
		}
		select {
		case next <- i:
		case <-c.Context.Done():
		}
	}
	close(next)
	workers.Wait()
	return m.report()
}

func (m *many) stopped() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stop
}

// say writes a line about one of the runs.
func (m *many) say(i int, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.env.say("%d of %d: %s %s", i+1, len(m.runs), m.runs[i].of.ID.Short(), fmt.Sprintf(format, args...))
}

// one reruns one of the runs, in a world of its own: what is printed before its command runs is held back, and shown when it is refused.
func (m *many) one(i int) {
	if m.c.Context.Err() != nil || m.stopped() {
		return
	}
	o := &m.runs[i]
	begun := m.env.Now()
	held := &bytes.Buffer{}
	env := *m.env
	env.In, env.Out, env.Err, env.OutTTY, env.ErrTTY, env.Color, env.forceColor = nil, held, held, false, false, false, false
	w := m.w.apart(&env, m.c)
	dir, made, err := rerunDir(m.env, m.c, w, o.of, true)
	if err == nil && m.before(i, w, dir) {
		return
	}
	if err == nil {
		w.inPlace = func() error {
			log, err := openLog(dir)
			if err != nil {
				return err
			}
			_, _ = log.Write(held.Bytes())
			held.Reset()
			env.Out, env.Err, o.log = log, log, log.Name()
			m.say(i, "runs; its output goes to %s", o.log)
			return nil
		}
		w.written = func(id schema.RunID) { o.id = id }
		var req rerun.Request
		req, err = executeRequest(&env, m.c, w, o.of)
		if req.Dir = dir; err == nil && req.Detach && isCommand(o.of) {
			err = usageError("name it alone: runpin rerun "+o.of.ID.Short()+" --execute --detach", "a command of a list cannot be left running")
		}
		if err == nil {
			m.say(i, "is looked at and restored into %s", dir)
			o.Result, err = w.rerunner.Execute(m.c.Context, req)
		}
		o.Result.Dir = dir
		tidy(m.c, o.Result, made, err)
	}
	if log, ok := env.Err.(*os.File); ok && o.log != "" {
		_ = log.Close()
	}
	o.took = m.env.Now().Sub(begun)
	o.settle(err)
	m.mu.Lock()
	if held.Len() > 0 {
		for line := range strings.Lines(held.String()) {
			fmt.Fprintf(m.env.Err, "%s| %s\n", o.of.ID.Short(), oneLine(line))
		}
	}
	m.stop = m.stop || m.c.Bool("fail-fast") && !o.fine()
	m.mu.Unlock()
	m.say(i, "%s", o.sentence())
}

// before finds what an earlier rerun into the same directory came to: a list that was cut short is gone on with by the same command.
func (m *many) before(i int, w *wiring, dir string) bool {
	o := &m.runs[i]
	id := rerun.Before(dir, o.of.ID)
	if id == "" {
		return false
	}
	run, err := w.store.Run(m.c.Context, id)
	if err != nil || run.RerunOf != o.of.ID || run.Verdict == nil || run.Verdict.Against != o.of.ID {
		return false // refused by who restores, and says why
	}
	o.id, o.Result = id, rerun.Result{Run: run, Verdict: run.Verdict, Dir: dir}
	o.settle(nil)
	m.say(i, "was run before, as %s: %s", id.Short(), o.state)
	return true
}

func (o *oneOfMany) settle(err error) {
	o.err = err
	switch {
	case schema.IsKind(err, schema.Interrupted):
		o.state = stateInterrupted
	case err != nil:
		o.state = stateRefused
		if o.id != "" {
			o.state = "failed"
		}
	case o.Verdict == nil:
		o.state = stateDetached
	default:
		o.state = string(o.Verdict.Result)
	}
	if o.id == "" {
		o.id = o.Run.ID
	}
}

func (o *oneOfMany) fine() bool {
	return o.state == string(schema.Identical) || o.state == string(schema.Equivalent) || o.state == stateDetached
}

func (o *oneOfMany) sentence() string {
	text := o.state
	if cause := o.cause(); cause != "" {
		text += ": " + cause
	}
	return text + fmt.Sprintf(" (%.1f s)", o.took.Seconds())
}

// cause is why it is not identical, in one line.
func (o *oneOfMany) cause() string {
	if o.Verdict != nil {
		return o.Verdict.Cause
	}
	var texts []string
	for _, failure := range schema.Failures(unwrapCoded(o.err)) {
		texts = append(texts, failure.Error())
	}
	return strings.Join(texts, "; ")
}

// failure is what counts for the exit code.
func (o *oneOfMany) failure() error {
	switch {
	case o.err != nil:
		return unwrapCoded(o.err)
	case o.state == string(schema.Differs):
		return &schema.Error{Kind: schema.Different}
	case o.state == string(schema.CannotBeCompared):
		return &schema.Error{Kind: schema.NotComparable}
	}
	return nil
}

// report writes what came of all runs, in the order in which they were named.
func (m *many) report() error {
	var failures []error
	var rows [][]string
	counts := map[string]int64{}
	for i := range m.runs {
		o := &m.runs[i]
		counts[o.state]++
		failures = append(failures, o.failure())
		if m.c.Bool("json") {
			if err := m.env.printJSON(o.json()); err != nil {
				return err
			}
			continue
		}
		of, id := string(o.of.ID), string(o.id)
		if m.env.OutTTY {
			of = o.of.ID.Short()
			if id != "" {
				id = o.id.Short()
			}
		}
		rows = append(rows, []string{of, id, o.state, strconv.FormatFloat(o.took.Seconds(), 'f', 1, 64), o.cause()})
	}
	if !m.c.Bool("json") {
		m.env.table([]string{"RUN", "RERUN", "VERDICT", "SECONDS", "CAUSE"}, rows)
	}
	var parts []string
	for _, state := range []string{string(schema.Identical), string(schema.Equivalent), string(schema.Differs), string(schema.CannotBeCompared), "failed", stateRefused, stateDetached, stateInterrupted, stateNotStarted} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	m.env.say("of %s: %s", plural(int64(len(m.runs)), "run"), strings.Join(parts, ", "))
	for i := range m.runs {
		if hint := schema.HintOf(m.runs[i].failure()); hint != "" && m.runs[i].state == stateRefused && !m.c.Bool("json") {
			m.env.say("hint for %s: %s", m.runs[i].of.ID.Short(), hint)
		}
	}
	if m.c.Context.Err() != nil {
		failures = append(failures, &schema.Error{Kind: schema.Interrupted})
	}
	failures = slices.DeleteFunc(failures, func(err error) bool { return err == nil })
	if len(failures) > 0 {
		return &statusOnly{exitCode(errors.Join(failures...))}
	}
	return nil
}

func (o *oneOfMany) json() rerunJSON {
	out := rerunJSON{Run: o.id, Of: o.of.ID, Verdict: o.Verdict, Pins: o.Preflight, Dir: o.Dir, Seconds: o.took.Seconds(), Log: o.log, State: o.state}
	if out.Pins == nil {
		out.Pins = []schema.Availability{}
	}
	if o.err != nil {
		failure := failureJSON(o.err).Error
		out.Error = &failure
	}
	return out
}
