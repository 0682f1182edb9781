package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// fishCompletion gives the script for fish: a line for each command and each flag, which says what it is for.
func fishCompletion(app *cli.App) string {
	var words, lines []string
	flags := func(seen string, flags []cli.Flag) {
		for _, f := range flags {
			doc, documented := f.(cli.DocGenerationFlag)
			if v, is := f.(cli.VisibleFlag); !documented || !is || !v.IsVisible() {
				continue
			}
			line := fmt.Sprintf("complete -c %s -n '%s' -f -l %s", app.Name, seen, strings.Join(f.Names(), " -s "))
			if doc.TakesValue() {
				line += " -r"
			}
			lines = append(lines, line+fishDescription(doc.GetUsage()))
		}
	}
	var walk func(commands []*cli.Command, seen string)
	walk = func(commands []*cli.Command, seen string) {
		for _, c := range commands {
			if c.Hidden {
				continue
			}
			names := strings.Join(c.Names(), " ")
			words = append(words, names)
			own := "__fish_seen_subcommand_from " + names
			flags(own, []cli.Flag{cli.HelpFlag})
			lines = append(lines, fmt.Sprintf("complete -r -c %s -n '%s' -a '%s'%s", app.Name, seen, names, fishDescription(c.Usage)))
			flags(own, c.Flags)
			walk(c.Subcommands, own)
		}
	}
	bare := "__fish_" + app.Name + "_no_subcommand"
	flags(bare, app.Flags)
	walk(app.Commands, bare)
	return fmt.Sprintf(`# %s fish shell completion

function %s --description 'Test if there has been any subcommand yet'
    for i in (commandline -opc)
        if contains -- $i %s
            return 1
        end
    end
    return 0
end

%s
`, app.Name, bare, strings.Join(words, " "), strings.Join(lines, "\n"))
}

func fishDescription(text string) string {
	if text == "" {
		return ""
	}
	return " -d '" + strings.ReplaceAll(text, "'", `\'`) + "'"
}
