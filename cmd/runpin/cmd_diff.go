package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
)

func diffCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "what differs between two runs?", ArgsUsage: "<run> <run>",
		Description: `Lists the differences between what two runs used and gave, the most consequential first.

` + examples("runpin diff latest~1 latest", "runpin diff 5Q0M8C1A 9D2KX0PT --exit-code"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "exit-code", Usage: "exit with 13 when an input differs"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			w, err := openWiring(c.Context, env, c, forReading)
			if err != nil {
				return err
			}
			defer w.close()
			runs, err := w.runs(c, 2, 2)
			if err != nil {
				return err
			}
			comparison, err := schema.Compare(runs[0], runs[1], w.store)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = env.printJSON(comparison)
			} else {
				env.showComparison(comparison)
			}
			inputs := slices.ContainsFunc(comparison.Differences, func(d schema.Difference) bool { return d.Input && !d.Unproven })
			if err == nil && c.Bool("exit-code") && inputs {
				return &statusOnly{exitDifferent}
			}
			return err
		},
	}
}

func (e *Env) showComparison(c schema.Comparison) {
	var rows [][]string
	for _, d := range c.Differences {
		field := d.Field
		if d.Unproven {
			field += " (not proved equal)"
		}
		rows = append(rows, []string{string(d.Class), d.Subject, field, string(d.A), string(d.B)})
		for _, item := range d.Items {
			rows = append(rows, []string{"", "", item.Change, string(item.Name), ""})
		}
		if d.More > 0 {
			rows = append(rows, []string{"", "", "", fmt.Sprintf("and %d more", d.More), ""})
		}
	}
	if len(rows) > 0 {
		e.table([]string{"CLASS", "WHAT", "FIELD", "FIRST", "SECOND"}, rows)
	}
	if c.Summary != "" && e.OutTTY {
		fmt.Fprintln(e.Out, c.Summary)
	}
}
