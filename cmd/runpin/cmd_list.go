package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

func listCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list runs: which used this image, commit, data set, file or param; which made this output?", ArgsUsage: " ",
		Description: examples("runpin list", "runpin list --image sha256:4f2a91", "runpin list --commit 9fceb02 --status failed", "runpin list --dataset train --metric 'loss<0.1' --sort metric:loss",
			"runpin list -q --label paper=fig3 | runpin check -"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "project", Usage: "of this `PROJECT`"},
			&cli.StringFlag{Name: "status", Usage: "with `STATUS`: planned, running, succeeded, failed, lost"},
			&cli.StringFlag{Name: "image", Usage: "that used the image `DIGEST|REF`"},
			&cli.StringFlag{Name: "commit", Usage: "that used the commit or tree `SHA`, or its first digits"},
			&cli.StringFlag{Name: "dataset", Usage: "that used the data set `NAME|DIGEST`"},
			&cli.StringFlag{Name: "file", Usage: "that used the file `SHA256|PATH`"},
			&cli.StringFlag{Name: "output", Usage: "that made the output `DIGEST`"},
			&cli.StringSliceFlag{Name: "param", Usage: "with the param `K=V`"},
			&cli.StringSliceFlag{Name: "metric", Usage: "with a metric `'K<V'` (<, <=, =, >=, >)"},
			&cli.StringSliceFlag{Name: "label", Usage: "with the label `K=V`"},
			&cli.StringFlag{Name: "same-as", Usage: "with the same inputs as `RUN`"},
			&cli.StringFlag{Name: "verdict", Usage: "whose verdict is `RESULT`: identical, equivalent, different, not-comparable"},
			&cli.StringFlag{Name: "parent", Usage: "that are steps or members of `RUN`"},
			&cli.StringFlag{Name: "since", Usage: "created at or after `TIME`, like 2026-11-23 or 7d"},
			&cli.StringFlag{Name: "sort", Usage: "by `KEY`: created, started, finished, name, param:K, metric:K; a leading - turns it round"},
			&cli.IntFlag{Name: "limit", Usage: "at most `N` runs", Value: 50},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print full ids only"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0, ""); err != nil {
				return err
			}
			w, err := openWiring(c.Context, env, c, forReading)
			if err != nil {
				return err
			}
			defer w.close()
			filter, err := listFilter(env, c, w)
			if err != nil {
				return err
			}
			runs, err := w.listByVerdict(c.Context, filter, schema.Result(c.String("verdict")))
			if err != nil {
				return err
			}
			return env.showList(runs, c.Bool("quiet"), c.Bool("json"))
		},
	}
}

func (e *Env) showList(runs []schema.Run, quiet, asJSON bool) error {
	switch {
	case asJSON:
		if runs == nil {
			runs = []schema.Run{}
		}
		return e.printJSON(runs)
	case quiet:
		for _, run := range runs {
			fmt.Fprintln(e.Out, run.ID)
		}
		return nil
	case len(runs) == 0:
		if e.OutTTY {
			fmt.Fprintln(e.Out, "No runs match.")
		}
		return nil
	}
	header := []string{"RUN", "STATUS", "CREATED", "NAME", "USED", "OUTCOME"}
	judged := slices.ContainsFunc(runs, func(r schema.Run) bool { return r.Verdict != nil })
	if judged {
		header = append(header, "VERDICT")
	}
	var rows [][]string
	for _, run := range runs {
		id := string(run.ID)
		if e.OutTTY {
			id = run.ID.Short()
		}
		row := []string{id, string(run.Status), e.when(run.Created), run.Name, e.listInputs(run), e.listOutcome(run)}
		if judged {
			row = append(row, listVerdict(run))
		}
		rows = append(rows, row)
	}
	e.table(header, rows)
	return nil
}

func listVerdict(run schema.Run) string {
	if run.Verdict == nil {
		return ""
	}
	return fmt.Sprintf("%s to %s", run.Verdict.Result, run.Verdict.Against.Short())
}

// listByVerdict lists the runs whose verdict is result, or all where that is "". No index holds verdicts: runs are read page by page until there are enough.
func (w *wiring) listByVerdict(ctx context.Context, filter store.Filter, result schema.Result) ([]schema.Run, error) {
	if result == "" {
		return w.store.List(ctx, filter)
	}
	if !slices.Contains([]schema.Result{schema.Identical, schema.Equivalent, schema.Differs, schema.CannotBeCompared}, result) {
		return nil, usageError("one of identical, equivalent, different, not-comparable", "--verdict %q", string(result))
	}
	const page = 500
	var found []schema.Run
	for wanted := filter.Limit; ; filter.Offset += page {
		filter.Limit = page
		runs, err := w.store.List(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			if run.Verdict != nil && run.Verdict.Result == result {
				found = append(found, run)
			}
			if wanted > 0 && len(found) == wanted {
				return found, nil
			}
		}
		if len(runs) < page {
			return found, nil
		}
	}
}

func (e *Env) listInputs(run schema.Run) string {
	var parts []string
	for _, i := range run.Images {
		parts = append(parts, string(i.Ref))
	}
	for _, c := range run.Code {
		at := c.Commit.Short()
		if c.Dirty {
			at += "+"
		}
		if c.Kind == schema.CodeScript && c.Script != nil {
			at = string(c.Script.Path.Typed)
		}
		parts = append(parts, at)
	}
	for _, d := range run.Datasets {
		parts = append(parts, d.Name)
	}
	return strings.Join(parts, " ")
}

func (e *Env) listOutcome(run schema.Run) string {
	var parts []string
	for _, k := range sortedKeys(run.Metrics) {
		if len(parts) == 3 {
			break
		}
		parts = append(parts, k+"="+string(run.Metrics[k]))
	}
	for _, o := range run.Outputs {
		if len(parts) < 3 && o.Identity() != "" {
			parts = append(parts, o.Name+"="+o.Identity().Short())
		}
	}
	return strings.Join(parts, " ")
}
