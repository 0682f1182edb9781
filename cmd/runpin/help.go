package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// withHelp adds --help to the flags of a command.
func withHelp(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		if f == cli.HelpFlag {
			return flags
		}
	}
	return append(flags[:len(flags):len(flags)], cli.HelpFlag)
}

// printHelp prints what a command is for and how it is called.
func printHelp(out io.Writer, cmd *cli.Command) error {
	const indent = 3
	root := !strings.Contains(cmd.HelpName, " ")
	options, heading := "[command options]", "OPTIONS"
	if root {
		options, heading = "[global options] command [command options]", "GLOBAL OPTIONS"
	}
	w := tabwriter.NewWriter(out, 1, 8, 2, ' ', 0)
	fmt.Fprintf(w, "NAME:\n   %s - %s\n\nUSAGE:\n   %s %s", cmd.HelpName, cmd.Usage, cmd.HelpName, options)
	if cmd.ArgsUsage != "" {
		fmt.Fprint(w, " "+cmd.ArgsUsage)
	}
	if cmd.Description != "" {
		fmt.Fprint(w, "\n\nDESCRIPTION:\n   "+hanging(cmd.Description, indent))
	}
	if below := cmd.VisibleCommands(); len(below) > 0 {
		fmt.Fprint(w, "\n\nCOMMANDS:")
		width := 0
		for _, c := range below {
			width = max(width, len(strings.Join(c.Names(), ", ")))
		}
		for _, c := range below {
			fmt.Fprintf(w, "\n   %-*s  %s", width, strings.Join(c.Names(), ", "), hanging(c.Usage, indent+width+2))
		}
	}
	fmt.Fprintf(w, "\n\n%s:", heading)
	for _, f := range withHelp(cmd.Flags) {
		if v, is := f.(cli.VisibleFlag); is && v.IsVisible() {
			fmt.Fprint(w, "\n   "+hanging(f.String(), 2*indent))
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// hanging indents every line of text but the first and the empty ones.
func hanging(text string, by int) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		if i > 0 && lines[i] != "" {
			lines[i] = strings.Repeat(" ", by) + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}
