package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// dispatch finds the command that argv names, parses its flags and runs it. The library's own App.Run would do, but for what it links: its help is
// printed by text/template, which calls methods by names known only at run time, so the linker has to keep every exported method of the whole program
// (an eighth of it, docs/decisions/0014). Nothing here may reach App.Run, App.Setup, Command.Run, the Show…Help functions, or ToFishCompletion; .ci/size looks.
func dispatch(ctx context.Context, app *cli.App, argv []string) error {
	var words []string
	if len(argv) > 0 {
		words = argv[1:]
	}
	return runCommand(cli.NewContext(app, nil, &cli.Context{Context: ctx}), rootCommand(app), words)
}

// rootCommand is the program itself as a command.
func rootCommand(app *cli.App) *cli.Command {
	return &cli.Command{
		Name: app.Name, HelpName: app.Name, Usage: app.Usage, Description: app.Description, Flags: app.Flags, Subcommands: app.Commands,
		Before: app.Before, Action: app.Action, OnUsageError: app.OnUsageError,
	}
}

func runCommand(parent *cli.Context, cmd *cli.Command, words []string) error {
	if cmd.HelpName == "" {
		cmd.HelpName = parent.Command.HelpName + " " + cmd.Name
	}
	cmd.Flags = withHelp(cmd.Flags)
	set, err := parseFlags(cmd, words)
	c := cli.NewContext(parent.App, set, parent)
	c.Command = cmd
	if err != nil {
		return cmd.OnUsageError(c, err, true)
	}
	if c.Bool("help") {
		return helpBelow(c.App, cmd, words[len(words)-set.NArg():])
	}
	if cmd.Before != nil {
		if err := cmd.Before(c); err != nil {
			return err
		}
	}
	if next := find(cmd.Subcommands, c.Args().First()); next != nil {
		return runCommand(c, next, c.Args().Tail())
	}
	return cmd.Action(c)
}

// helpBelow prints the help of the command that words lead to from cmd: `runpin store check --help` arrives as `runpin --help store check`.
func helpBelow(app *cli.App, cmd *cli.Command, words []string) error {
	for len(words) > 0 && len(cmd.Subcommands) > 0 {
		word := words[0]
		words = words[1:]
		if word == "--" {
			continue
		}
		if strings.HasPrefix(word, "-") {
			break
		}
		next := find(cmd.Subcommands, word)
		if next == nil && cmd.ArgsUsage != "" {
			break // an argument, not a command
		}
		if next == nil {
			return unknownWord(cmd.Subcommands, strings.TrimPrefix(strings.TrimPrefix(cmd.HelpName, app.Name), " "), word)
		}
		next.HelpName = cmd.HelpName + " " + next.Name
		cmd = next
	}
	return printHelp(app.Writer, cmd)
}

// parseFlags reads the flags at the head of words.
func parseFlags(cmd *cli.Command, words []string) (*flag.FlagSet, error) {
	set := flag.NewFlagSet(cmd.Name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	lists := map[*listValue][]string{} // and the names of their flags
	for _, f := range cmd.Flags {
		if list, is := f.(*cli.StringSliceFlag); is {
			value := &listValue{keepSpace: list.KeepSpace}
			for _, name := range list.Names() {
				set.Var(value, name, list.Usage)
			}
			lists[value] = list.Names()
			continue
		}
		if err := f.Apply(set); err != nil {
			return nil, err
		}
	}
	if err := set.Parse(words); err != nil {
		return nil, err
	}
	for value, names := range lists {
		// Context.StringSlice reads this type alone.
		slice := new(cli.StringSlice)
		if len(value.values) > 0 {
			slice = cli.NewStringSlice(value.values...)
		}
		for _, name := range names {
			set.Lookup(name).Value = slice
		}
	}
	return set, alignAliases(cmd.Flags, set)
}

// alignAliases gives every name of a flag the value that one of them got.
func alignAliases(flags []cli.Flag, set *flag.FlagSet) error {
	given := map[string]*flag.Flag{}
	set.Visit(func(f *flag.Flag) { given[f.Name] = f })
	for _, f := range flags {
		if _, is := f.(*cli.StringSliceFlag); is {
			continue // its names share the value
		}
		names := f.Names()
		at := slices.IndexFunc(names, func(name string) bool { return given[name] != nil })
		if at < 0 {
			continue
		}
		for i, name := range names {
			switch {
			case i == at: // this one
			case given[name] != nil:
				return fmt.Errorf("two forms of the same flag: %s and %s", names[at], name)
			default:
				if err := set.Set(name, given[names[at]].Value.String()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// listValue collects the values of a flag that may be repeated, whole: the library's own type splits them at commas unless App.Setup has told it not to.
type listValue struct {
	values    []string
	keepSpace bool
}

func (l *listValue) String() string { return strings.Join(l.values, ",") }

func (l *listValue) Set(value string) error {
	if !l.keepSpace {
		value = strings.TrimSpace(value)
	}
	l.values = append(l.values, value)
	return nil
}
