package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/code"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

func checkCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "can a run, or a whole history, still be run again?", ArgsUsage: "<run>...",
		Description: `Asks for every pin whether it can still be had, and how that was found out. Nothing is changed and nothing is started.
Behind the pins stands what a rerun needs beside them (secrets, outputs, GPUs, the place to run), as advice; what a rerun would be refused without is "needed".
The exit code is 14 when something that a run needs is gone or changed, 15 when it could not be found out. An image that was only claimed, beside a command
that ran on the machine, is asked for and does not count.
With --all every run of the store that came to its end is looked at: what many of them share is asked for once, as fast as registries and git servers allow. An interrupted
check --all goes on where it was when it is begun again within an hour. With --summary it ends in a table and a list of causes.

` + examples("runpin check latest", "runpin check latest --deep", "runpin check --all --summary", "runpin check --all --project vision --since 26w --json",
			"runpin list -q --status succeeded | runpin check - --summary"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "every run of the store"},
			&cli.StringFlag{Name: "project", Usage: "with --all: of this `PROJECT`"},
			&cli.StringFlag{Name: "since", Usage: "with --all: created at or after `TIME`, like 2026-11-23 or 7d"},
			&cli.StringFlag{Name: "status", Usage: "with --all: with `STATUS`: planned, running, succeeded, failed, lost (default: what ended, and planned jobs)"},
			&cli.BoolFlag{Name: "fresh", Usage: "with --all: ask anew what an interrupted check found out within the last hour"},
			&cli.BoolFlag{Name: "summary", Usage: "how many runs can be run again, and why the others cannot"},
			&cli.IntFlag{Name: "jobs", Usage: "ask at most `N` questions at the same time", Value: 32},
			&cli.BoolFlag{Name: "deep", Usage: "read every byte of every data set, also where its files look untouched"},
			&cli.StringSliceFlag{Name: "at", Usage: "look for a data set elsewhere: `NAME=URI`"},
			relocateFlag(),
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak http with `HOST` (loopback always may)"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := checkCheckFlags(c); err != nil {
				return err
			}
			moved, err := relocations(env, c)
			if err != nil {
				return err
			}
			w, err := openWiring(c.Context, env, c, forReading)
			if err != nil {
				return err
			}
			defer w.close()
			at, err := w.readPlaces(c)
			if err != nil {
				return err
			}
			// Runs share commits and remotes: each is asked about once in the life of this command.
			w.rerunner.Code = code.New(code.Options{Now: env.Now, Remember: true})
			return runCheck(env, c, w, rerun.AuditOptions{PreflightOptions: rerun.PreflightOptions{At: at, Deep: c.Bool("deep"), Relocate: moved, Here: w.rerunner.Here(env.Environ())}, Jobs: c.Int("jobs")})
		},
	}
}

func checkCheckFlags(c *cli.Context) error {
	if c.Int("jobs") < 1 {
		return usageError("give at least 1", "--jobs %d", c.Int("jobs"))
	}
	if c.Bool("all") {
		_, err := arguments(c, 0, 0, "")
		return err
	}
	for _, flag := range []string{"project", "since", "status", "fresh"} {
		if c.IsSet(flag) {
			return usageError("add --all, or `runpin list -q` with the filter and `| runpin check -`", "--%s is for --all", flag)
		}
	}
	return nil
}

// runCheck looks at the runs and shows them as they come.
func runCheck(env *Env, c *cli.Context, w *wiring, opts rerun.AuditOptions) error {
	runs, err := checkedRuns(env, c, w)
	if err != nil {
		return err
	}
	if c.Bool("all") {
		opts.Ended = c.String("status") == ""
		opts.Journal = openJournal(env, c, w)
		defer func() { _ = opts.Journal.Close() }()
	}
	var summary rerun.Summary
	var rows [][]string // of a terminal, whose columns are as wide as the widest
	tally, err := w.rerunner.Audit(c.Context, runs, opts, func(a rerun.Audited) error {
		summary.Add(a)
		switch {
		case c.Bool("summary"):
			return nil
		case c.Bool("json"):
			return env.printJSON(checkJSON{Run: a.Run, Name: a.Name, Rerunnable: a.Answer() == rerun.RerunYes, Answer: a.Answer(), Needs: pinNames(a.ToGive), Pins: a.Pins})
		case !c.Bool("all"):
			w.progress.clear()
			env.showCheck(a)
		case env.OutTTY:
			rows = append(rows, env.checkRow(a))
		default:
			env.table(checkHeader, [][]string{env.checkRow(a)})
		}
		return nil
	})
	summary.DidNotEnd = tally.DidNotEnd
	w.progress.clear()
	if schema.KindOf(err) == schema.Interrupted {
		return interruptedCheck(env, opts.Journal)
	}
	if err != nil {
		return err
	}
	if err := opts.Journal.Finish(); err != nil {
		env.warn("the journal of this check is left behind: %v", err)
	}
	switch {
	case c.Bool("summary"):
		if err := env.showSummary(&summary, tally, c.Bool("json")); err != nil {
			return err
		}
	case c.Bool("all"):
		if len(rows) > 0 {
			env.table(checkHeader, rows)
		}
		env.say("%s", summary.Sentence())
	}
	switch {
	case summary.Lost > 0:
		return &statusOnly{exitGone}
	case summary.Unknown > 0:
		return &statusOnly{exitUnavailable}
	}
	return nil
}

// checkJSON is what `check --json` prints for each run.
type checkJSON struct {
	Run        schema.RunID          `json:"run"`
	Name       string                `json:"name,omitempty"`
	Rerunnable bool                  `json:"rerunnable"`
	Answer     rerun.CanRerun        `json:"answer"`
	Needs      []string              `json:"needs,omitempty"` // the names of the rows that have to be given
	Pins       []schema.Availability `json:"pins"`
}

func pinNames(rows []schema.Availability) (names []string) {
	for _, a := range rows {
		names = append(names, a.Pin)
	}
	return names
}

// stateText marks what does not keep the run from being run again.
func stateText(a schema.Availability, needed bool) string {
	if needed {
		return "needed"
	}
	if a.Advisory && a.State != schema.StateAvailable {
		return string(a.State) + " (advice)"
	}
	return string(a.State)
}

func (e *Env) showCheck(checked rerun.Audited) {
	var rows [][]string
	needed := pinNames(checked.ToGive)
	for _, a := range checked.Pins {
		why := a.Reason
		if a.Remedy != "" && a.State != schema.StateAvailable {
			why += "; " + a.Remedy
		}
		rows = append(rows, []string{checked.Run.Short(), a.Pin, stateText(a, slices.Contains(needed, a.Pin)), a.How, string(a.Ref), why})
	}
	if len(rows) == 0 {
		e.say("run %s has no pins to check", checked.Run.Short())
		return
	}
	e.table([]string{"RUN", "PIN", "STATE", "HOW", "REFERENCE", "WHY"}, rows)
}

var checkHeader = []string{"RUN", "NAME", "RERUNNABLE", "WHY"}

// checkRow is the one line of a run among many.
func (e *Env) checkRow(a rerun.Audited) []string {
	id := string(a.Run)
	if e.OutTTY {
		id = a.Run.Short()
	}
	why := ""
	switch answer := a.Answer(); answer {
	case rerun.RerunYes:
	case rerun.RerunNeeds:
		why = a.ToGive[0].Pin + ": " + a.ToGive[0].Reason
		if remedy := a.ToGive[0].Remedy; remedy != "" {
			why += "; " + remedy
		}
	default:
		first := a.InTheWay[0]
		for _, pin := range a.InTheWay {
			if answer == rerun.RerunNo && pin.State != schema.StateUnknown {
				first = pin
				break
			}
		}
		why = first.Pin + " " + string(first.State) + ": " + first.Reason
	}
	return []string{id, a.Name, string(a.Answer()), why}
}

func interruptedCheck(env *Env, journal *rerun.Journal) error {
	hint := ""
	if journal != nil {
		hint = "what was found out is kept for an hour: the same command goes on from there"
		if err := journal.Close(); err != nil {
			hint = ""
			env.warn("what was found out could not be kept: %v", err)
		}
	}
	return &schema.Error{Op: "check", Kind: schema.Interrupted, Err: errInterrupted, Hint: hint}
}
