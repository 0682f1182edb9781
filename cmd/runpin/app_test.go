package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// The value of --join may be left out. Any word behind it is the run, for record takes no arguments before "--".
func TestPermuteOptionalValues(t *testing.T) {
	for in, want := range map[string]string{
		"runpin record --join -- true":                         "runpin record --join=",
		"runpin record --join":                                 "runpin record --join=",
		"runpin record --join RUN -- true":                     "runpin record --join=RUN",
		"runpin record --join=RUN -- true":                     "runpin record --join=RUN",
		"runpin record --join --output m=m.pt -- true":         "runpin record --join= --output m=m.pt",
		"runpin record --output m=m.pt --join -- true":         "runpin record --output m=m.pt --join=",
		"runpin record -join RUN --json -- true":               "runpin record -join=RUN --json",
		"runpin record --join --store spool:d -- true":         "runpin --store spool:d record --join=",
		"runpin record --join RUN python train.py -- true":     "runpin record --join=RUN -- python train.py",
		"runpin record --join= RUN -- true":                    "runpin record --join= -- RUN",
		"runpin record --name --join -- true":                  "runpin record --name --join",
		"runpin show latest --json":                            "runpin show --json -- latest",
		"runpin record --join RUN --output m=m.pt -- --join x": "runpin record --join=RUN --output m=m.pt",
	} {
		app := newApp(newEnv())
		argv, _, err := permute(app, strings.Fields(in))
		if err != nil || !slices.Equal(argv, strings.Fields(want)) {
			t.Errorf("%s: %q, %v", in, argv, err)
		}
	}
}

// parseFlags reads a flag that may be repeated without the library, which would split its values: such a flag has no default and no variable.
func TestRepeatableFlagsComeFromTheCommandLine(t *testing.T) {
	seen := 0
	var walk func(commands []*cli.Command)
	walk = func(commands []*cli.Command) {
		for _, c := range commands {
			for _, f := range c.Flags {
				list, is := f.(*cli.StringSliceFlag)
				if !is {
					continue
				}
				seen++
				if len(list.EnvVars) > 0 || list.FilePath != "" || list.Value != nil || list.Destination != nil {
					t.Errorf("%s --%s: a default or a variable that would be passed over", c.Name, list.Name)
				}
			}
			walk(c.Subcommands)
		}
	}
	walk(newApp(newEnv()).Commands)
	if seen == 0 {
		t.Error("no flag that may be repeated")
	}
}

func TestParseFlags(t *testing.T) {
	cmd := &cli.Command{Name: "x", Flags: []cli.Flag{
		&cli.StringSliceFlag{Name: "label", Aliases: []string{"l"}}, &cli.StringFlag{Name: "output", Aliases: []string{"o"}}, &cli.StringSliceFlag{Name: "none"},
	}}
	set, err := parseFlags(cmd, strings.Fields("-l a=1,2 --label b -o f -- rest"))
	if err != nil {
		t.Fatal(err)
	}
	c := cli.NewContext(&cli.App{}, set, nil)
	c.Command = cmd
	for _, name := range []string{"label", "l"} {
		if got := c.StringSlice(name); !slices.Equal(got, []string{"a=1,2", "b"}) || !c.IsSet(name) {
			t.Errorf("%s: %q, set: %t", name, got, c.IsSet(name))
		}
	}
	if c.String("output") != "f" || c.String("o") != "f" || c.StringSlice("none") != nil || c.IsSet("none") || c.Args().First() != "rest" {
		t.Errorf("output %q, o %q, none %q, arguments %q", c.String("output"), c.String("o"), c.StringSlice("none"), c.Args().Slice())
	}
}
