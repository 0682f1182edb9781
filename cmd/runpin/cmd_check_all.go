package main

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// runsAtOnce is how many runs of a history are in memory as they come from the store.
const runsAtOnce = 200

// checkedRuns gives the runs that are looked at, read from the store as they are needed.
func checkedRuns(env *Env, c *cli.Context, w *wiring) (iter.Seq2[schema.Run, error], error) {
	if !c.Bool("all") {
		ids, err := w.runIDs(c, 1, -1)
		if err != nil {
			return nil, err
		}
		return func(yield func(schema.Run, error) bool) {
			for _, id := range ids {
				if run, err := w.store.Run(c.Context, id); !yield(run, err) {
					return
				}
			}
		}, nil
	}
	filter := store.Filter{Project: c.String("project"), Status: schema.Status(c.String("status")), Limit: runsAtOnce}
	if since := c.String("since"); since != "" {
		var err error
		if filter.Since, err = parseSince(env.Now(), since); err != nil {
			return nil, err
		}
	}
	return func(yield func(schema.Run, error) bool) {
		for {
			runs, err := w.store.List(c.Context, filter)
			if err != nil {
				yield(schema.Run{}, err)
				return
			}
			for _, run := range runs {
				if !yield(run, nil) {
					return
				}
			}
			if len(runs) < runsAtOnce {
				return
			}
			filter.Before = runs[len(runs)-1].ID
		}
	}, nil
}

// openJournal opens what an interrupted check of the same store left, and says so. Without a place for it the check goes on without.
func openJournal(env *Env, c *cli.Context, w *wiring) *rerun.Journal {
	dir := env.cacheDir()
	if dir == "" {
		return nil
	}
	wd, err := os.Getwd()
	if err != nil {
		wd = ""
	}
	// What is asked, beside the pins: how this version asks, where paths that are relative lead, and which hosts may be spoken to.
	about := schema.SHA256([]byte(strings.Join(append([]string{version, w.location, wd}, insecure(c)...), "\x00")))
	name := filepath.Join(dir, "check", schema.SHA256([]byte(w.location)).Hex()[:16]+".jsonl")
	journal, err := rerun.OpenJournal(name, string(about), func() schema.Time { return schema.At(env.Now()) }, c.Bool("fresh"))
	if err != nil {
		env.warn("this check cannot be resumed if it is interrupted: %v", err)
		return nil
	}
	if n, since := journal.Known(); n > 0 {
		env.say("going on from the check that was interrupted: %s found out since %s; --fresh asks anew", plural(int64(n), "answer"), since)
	}
	return journal
}

// summaryJSON is what `check --summary --json` prints.
type summaryJSON struct {
	Runs       int           `json:"runs"`
	Rerunnable int           `json:"rerunnable"`
	Needs      int           `json:"needs"`
	Lost       int           `json:"lost"`
	Unknown    int           `json:"unknown"`
	DidNotEnd  int           `json:"did_not_end"`
	Asked      int           `json:"asked"`
	Resumed    int           `json:"resumed,omitempty"`
	Losses     []rerun.Loss  `json:"losses"`
	Causes     []rerun.Cause `json:"causes"`
}

func (e *Env) showSummary(s *rerun.Summary, tally rerun.Tally, asJSON bool) error {
	if asJSON {
		return e.printJSON(summaryJSON{s.Runs, s.Rerunnable, s.Needs, s.Lost, s.Unknown, s.DidNotEnd, tally.Asked, tally.Known, s.Losses(), s.Causes()})
	}
	row := func(what string, n int) []string {
		share := ""
		if s.Runs > 0 {
			share = fmt.Sprintf("%.1f %%", 100*float64(n)/float64(s.Runs))
		}
		return []string{what, rerun.Thousands(n), share}
	}
	rows := [][]string{row("can be run again", s.Rerunnable), row("with something given", s.Needs), row("lost something", s.Lost), row("could not be found out", s.Unknown)}
	for _, l := range s.Losses() {
		rows = append(rows, row(l.Kind+" "+string(l.State), l.Runs))
	}
	rows = append(rows, row("runs", s.Runs))
	if s.DidNotEnd > 0 {
		rows = append(rows, []string{"did not end", rerun.Thousands(s.DidNotEnd), ""})
	}
	e.table([]string{"RUNS", "NUMBER", "SHARE"}, rows)
	fmt.Fprintf(e.Out, "\n%s\n", s.Sentence())
	for _, cause := range s.Causes() {
		e.showCause(cause)
	}
	e.say("%s asked about, each once", plural(int64(tally.Asked), "pin"))
	return nil
}

// showCause shows one reason, what it is true of, and what can be done.
func (e *Env) showCause(c rerun.Cause) {
	color, what, label := red, c.Kind+" "+string(c.State), "pin:   "
	if c.Needed {
		what, label = c.Kind+" needed", "where: "
	}
	if c.State == schema.StateUnknown {
		color = yellow
	}
	line := func(format string, args ...any) { fmt.Fprintln(e.Out, oneLine(fmt.Sprintf(format, args...))) }
	fmt.Fprintln(e.Out)
	line("%s: %s", plural(int64(c.Runs), "run"), e.paint(e.Out, color, what))
	line("  why:    %s", c.Reason)
	if c.Remedy != "" {
		line("  remedy: %s", c.Remedy)
	}
	for _, pin := range c.Pins {
		value := string(pin.Value)
		if e.OutTTY {
			value = shortValue(value)
		}
		line("  %s %s (%s)", label, strings.TrimSpace(string(pin.Ref)+" "+value), plural(int64(pin.Runs), "run"))
	}
	if c.MorePins > 0 {
		line("  and %d more pins", c.MorePins)
	}
	var ids []string
	for _, id := range c.Examples {
		if e.OutTTY {
			ids = append(ids, id.Short())
		} else {
			ids = append(ids, string(id))
		}
	}
	more := ""
	if c.Runs > len(ids) {
		more = " …"
	}
	line("  runs:   %s%s", strings.Join(ids, " "), more)
}

// shortValue shortens a digest or a commit for people.
func shortValue(v string) string {
	if d := schema.Digest(v); d.Valid() {
		return d.Short()
	}
	if id, err := schema.ParseObjectID(v); err == nil {
		return id.Short()
	}
	return v
}
