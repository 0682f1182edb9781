package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/schema"
)

// run is the whole program but the process: it parses args, does what they say and gives the exit code.
func run(ctx context.Context, args []string, env *Env) int {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, ends...)
	defer stop()
	app := newApp(env)
	argv, rest, err := permute(app, args)
	asJSON := wantsJSON(argv)
	if err == nil {
		app.Metadata["rest"] = rest
		err = dispatch(ctx, app, argv)
	}
	if err == nil {
		return exitOK
	}
	var done *statusOnly
	if errors.As(err, &done) {
		return done.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = &schema.Error{Op: "run", Kind: schema.Interrupted, Err: fmt.Errorf("interrupted")}
	}
	env.complain(err, asJSON)
	return exitCode(err)
}

// statusOnly ends a verb with an exit code after it has said everything itself.
type statusOnly struct{ code int }

func (s *statusOnly) Error() string { return fmt.Sprintf("exit status %d", s.code) }

func usageError(hint, format string, args ...any) error {
	return &schema.Error{Op: "usage", Kind: schema.Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
}

func newApp(env *Env) *cli.App {
	app := &cli.App{
		Name:        "runpin",
		Usage:       "records exactly what a training run used, and runs it again, exactly",
		Description: "Tags move, branches are force-pushed, data sets are edited in place, registries collect garbage.\nDigests, commits and content hashes do not move. runpin keeps both.",
		Version:     version,
		Writer:      env.Out,
		ErrWriter:   env.Err,
		Metadata:    map[string]any{},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "store", Usage: "where runs are kept: `PATH` of a database, spool:DIR, or https://HOST", EnvVars: []string{"RUNPIN_STORE"}},
			cli.HelpFlag, // its place in the reference
			&cli.StringFlag{Name: "color", Usage: "`WHEN` to use colour: auto, always, never", Value: "auto", EnvVars: []string{"RUNPIN_COLOR"}},
		},
		Before: func(c *cli.Context) error {
			switch c.String("color") {
			case "never":
				env.Color = false
			case "always":
				env.Color, env.forceColor = true, true
			case "auto":
			default:
				return usageError("use auto, always or never", "--color %q", c.String("color"))
			}
			return nil
		},
		Commands: []*cli.Command{
			recordCommand(env), finishCommand(env), collectCommand(env), listCommand(env), showCommand(env), labelCommand(env), noteCommand(env), diffCommand(env), checkCommand(env),
			rerunCommand(env), verifyCommand(env), pinCommand(env), lintCommand(env), importCommand(env), serveCommand(env), storeCommand(env), demoCommand(env), envCommand(env), versionCommand(env),
			helpCommand(env), completionCommand(env), docsCommand(env),
		},
	}
	harden(app)
	return app
}

// harden gives every command what the contract of DESIGN §5 asks of it: a usage error says where help is, and a group refuses a word that it does not know.
func harden(app *cli.App) {
	onUsage := func(c *cli.Context, err error, _ bool) error {
		return usageError(c.Command.HelpName+" --help", "%s", err)
	}
	app.OnUsageError = onUsage
	app.Action = func(c *cli.Context) error {
		if c.Args().Present() {
			return unknownWord(app.Commands, "", c.Args().First())
		}
		return printHelp(app.Writer, c.Command)
	}
	var walk func(commands []*cli.Command, path string)
	walk = func(commands []*cli.Command, path string) {
		for _, cmd := range commands {
			full := strings.TrimSpace(path + " " + cmd.Name)
			cmd.OnUsageError = onUsage
			if len(cmd.Subcommands) > 0 && cmd.Action == nil {
				group := cmd
				cmd.Action = func(c *cli.Context) error {
					if c.Args().Present() {
						return unknownWord(group.Subcommands, full, c.Args().First())
					}
					return usageError("runpin "+full+" --help", "say what to do: %s", names(group.Subcommands))
				}
			}
			walk(cmd.Subcommands, full)
		}
	}
	walk(app.Commands, "")
}

func unknownWord(commands []*cli.Command, path, word string) error {
	hint := "runpin " + strings.TrimSpace(path+" --help")
	if near := nearest(word, commands); near != "" {
		hint = "did you mean `runpin " + strings.TrimSpace(path+" "+near) + "`?"
	}
	return usageError(hint, "%q is not a command", word)
}

func names(commands []*cli.Command) string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return strings.Join(out, ", ")
}

// nearest gives the command whose name differs from word by at most two letters.
func nearest(word string, commands []*cli.Command) string {
	best, at := 3, ""
	for _, c := range commands {
		if d := process.Distance(word, c.Name); d < best && !c.Hidden {
			best, at = d, c.Name
		}
	}
	return at
}

// permute lets flags stand before or after arguments, up to "--": the library alone would take a late flag for an argument. What follows "--" is
// returned apart.
func permute(app *cli.App, args []string) (argv, rest []string, err error) {
	if len(args) == 0 {
		return nil, nil, nil
	}
	argv = []string{args[0]}
	words := args[1:]
	if at := slices.Index(words, "--"); at >= 0 {
		words, rest = words[:at], append([]string{}, words[at+1:]...)
	}
	flags := flagTable(app.Flags)
	optional := map[string]bool{}
	commands := app.Commands
	var level, positional []string // flags of the command reached so far; arguments of the last
	for i := 0; i < len(words); i++ {
		word := words[i]
		if len(word) > 1 && word[0] == '-' {
			name, _, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if optional[name] && !inline {
				word += "="
				if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
					i++
					word += words[i]
				}
				inline = true
			}
			level = append(level, word)
			if takesValue, known := flags[name]; known && takesValue && !inline {
				if i+1 >= len(words) {
					return nil, rest, usageError("", "flag %s needs a value", word)
				}
				i++
				level = append(level, words[i])
			}
			continue
		}
		if next := find(commands, word); next != nil && len(positional) == 0 {
			argv = append(append(argv, level...), word)
			level, commands = nil, next.Subcommands
			flags = flagTable(append(slices.Clone(next.Flags), app.Flags...))
			optional = optionalValues(next.Flags)
			continue
		}
		positional = append(positional, word)
		commands = nil
	}
	level, globals := splitGlobals(app, level)
	argv = append(argv, level...)
	argv = slices.Insert(argv, 1, globals...)
	if len(positional) > 0 {
		argv = append(append(argv, "--"), positional...)
	}
	return argv, rest, nil
}

// splitGlobals takes the global flags out of a sub-command's: `runpin list --store X` works as `runpin --store X list` does.
func splitGlobals(app *cli.App, level []string) (own, globals []string) {
	table := flagTable(app.Flags)
	for i := 0; i < len(level); i++ {
		name, _, inline := strings.Cut(strings.TrimLeft(level[i], "-"), "=")
		takesValue, global := table[name]
		if !global || !strings.HasPrefix(level[i], "-") { // a value can be called like a flag: --output h=h.txt
			own = append(own, level[i])
			continue
		}
		globals = append(globals, level[i])
		if takesValue && !inline && i+1 < len(level) {
			i++
			globals = append(globals, level[i])
		}
	}
	return own, globals
}

func find(commands []*cli.Command, word string) *cli.Command {
	for _, c := range commands {
		if c.HasName(word) {
			return c
		}
	}
	return nil
}

// flagTable says of each flag name whether it takes a value.
func flagTable(flags []cli.Flag) map[string]bool {
	table := map[string]bool{"help": false, "h": false}
	for _, f := range flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			table[name] = !isBool
		}
	}
	return table
}

// optionalFlag is a flag whose value may be left out: before another flag, before "--" or at the end it is "", and any other word behind it is its value.
type optionalFlag struct{ *cli.StringFlag }

func optionalValues(flags []cli.Flag) map[string]bool {
	names := map[string]bool{}
	for _, f := range flags {
		if o, yes := f.(optionalFlag); yes {
			for _, name := range o.Names() {
				names[name] = true
			}
		}
	}
	return names
}

func wantsJSON(argv []string) bool {
	for _, a := range argv {
		if a == "--json" || a == "--json=true" {
			return true
		}
		if a == "--" {
			break
		}
	}
	return false
}

// restOf gives what stood after "--", and whether there was a "--" at all.
func restOf(c *cli.Context) ([]string, bool) {
	rest, _ := c.App.Metadata["rest"].([]string)
	return rest, rest != nil
}

// arguments gives the arguments of a verb, those after "--" included, and refuses a number that does not fit. max < 0 means any number.
func arguments(c *cli.Context, min, max int, what string) ([]string, error) {
	rest, _ := restOf(c)
	args := append(c.Args().Slice(), rest...)
	hint := c.Command.HelpName + " --help"
	if len(args) < min {
		return nil, usageError(hint, "give %s", what)
	}
	if max >= 0 && len(args) > max {
		return nil, usageError(hint, "too many arguments: %q", args[max])
	}
	return args, nil
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON (docs/json.md)"}
}

// examples formats worked examples for a command's help.
func examples(lines ...string) string { return "Examples:\n   " + strings.Join(lines, "\n   ") }

func closeQuietly(c io.Closer) { _ = c.Close() }
