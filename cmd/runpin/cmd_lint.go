package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun/jobspec/lint"
	"github.com/runpin/runpin/rerun/jobspec/specfiles"
	"github.com/runpin/runpin/schema"
)

func lintCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "lint", Usage: "check job specs against the rules that make a run repeatable and safe", ArgsUsage: "<file|directory>...",
		Description: `Says, with file, line and column, which image is not named by a digest or follows latest, which digest no registry has any more, which tag has moved
away from the digest beside it, which code or data can move, and which variable holds a secret. docs/lint.md explains each rule. Exit code 13 when something
weighs as much as --fail-on or more; 15 when a registry did not answer.

A finding is accepted by a comment on its line or above it, with a reason, or in runpin.yaml:

   # runpin:ignore digest-required built from this very repository

   lint: {preset: production, rules: {dataset-unpinned: off}, ignore: [{rule: template, path: "charts/**", reason: checked after rendering}]}

` + examples("runpin lint job.yaml", "runpin lint --preset production deploy/", "runpin lint --offline --format github .", "runpin lint --format sarif . > runpin.sarif", "runpin lint --require digest,code --rule tag-moved=error train.sbatch"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "preset", Usage: "severities of the rules: `NAME` training or production (default: training)"},
			&cli.StringSliceFlag{Name: "rule", Usage: "severity of one rule: `RULE=SEVERITY`, error, warning, note or off"},
			&cli.StringSliceFlag{Name: "require", Usage: "make `WHAT` an error: a rule, or digest, no-latest, exists, index, code, dataset, no-secret (repeat, or separate by commas)"},
			&cli.StringFlag{Name: "fail-on", Usage: "exit with 13 at `SEVERITY` error, warning or note", Value: "error"},
			&cli.StringFlag{Name: "format", Usage: "print as `FORMAT` text, json, sarif or github", Value: "text"},
			&cli.BoolFlag{Name: "offline", Usage: "leave out the rules that only a registry can answer"},
			&cli.StringSliceFlag{Name: "field", Usage: "a place that runpin does not know: image=`PATH`, code=PATH, dataset.NAME=PATH"},
			&cli.BoolFlag{Name: "any-image", Usage: "take every key called image for an image, wherever it stands"},
			&cli.IntFlag{Name: "jobs", Usage: "ask for `N` references at the same time", Value: 16},
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak http with `HOST` (loopback always may)"},
			&cli.BoolFlag{Name: "json", Usage: "the same as --format json (docs/json.md)"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, -1, "<file|directory>")
			if err != nil {
				return err
			}
			return runLint(env, c, args)
		},
	}
}

// lintSettings are the rules that runpin.yaml sets.
type lintSettings struct {
	Preset string                   `yaml:"preset"`
	Rules  map[string]lint.Severity `yaml:"rules"`
	Ignore []lint.Ignore            `yaml:"ignore"`
}

func lintConfig(c *cli.Context, settings Settings) (lint.Config, error) {
	config := lint.Config{Preset: choose(c, "preset", settings.Lint.Preset), Rules: settings.Lint.Rules, Ignore: settings.Lint.Ignore}
	if err := config.Check(); err != nil {
		return config, err
	}
	for _, text := range c.StringSlice("rule") {
		if err := config.Set(text); err != nil {
			return config, err
		}
	}
	for _, words := range c.StringSlice("require") {
		if err := config.Require(words); err != nil {
			return config, err
		}
	}
	return config, nil
}

func runLint(env *Env, c *cli.Context, args []string) error {
	settings, err := loadSettings(env, ".")
	if err != nil {
		return err
	}
	config, err := lintConfig(c, settings)
	if err != nil {
		return err
	}
	failOn, err := lint.ParseSeverity(c.String("fail-on"))
	if err == nil && failOn == lint.Off {
		err = usageError("error, warning or note", "--fail-on off would never fail")
	}
	if err != nil {
		return err
	}
	format := c.String("format")
	if c.Bool("json") {
		format = "json"
	}
	if !strings.Contains(" text json sarif github ", " "+format+" ") {
		return usageError("text, json, sarif or github", "--format %q", format)
	}
	if c.Int("jobs") < 1 {
		return usageError("give 1 or more", "--jobs %d", c.Int("jobs"))
	}
	fields := c.StringSlice("field")
	if !c.IsSet("field") {
		fields = settings.fields()
	}
	linter := &lint.Linter{Config: config, Reader: specsReader(), Secret: secretLiteral, Jobs: c.Int("jobs"), Progress: newProgress(env)}
	linter.Reader.AnyImage = c.Bool("any-image")
	if linter.Reader.Fields, err = parseFields(fields); err != nil {
		return err
	}
	if !c.Bool("offline") {
		reg := registry.New(registry.Options{Version: version, CacheDir: under(env.cacheDir(), "registry"), InsecureRegistries: insecure(c), Budget: duration(env, "RUNPIN_RETRY_BUDGET"), PerHost: c.Int("jobs"), Now: env.Now})
		linter.Registry = lintRegistry{reg, image.New(image.Options{Registry: reg, Now: env.Now})}
	}
	files, err := lintFiles(env, args)
	if err != nil {
		return err
	}
	result := linter.Lint(c.Context, files)
	if p, ok := linter.Progress.(*progress); ok {
		p.clear()
	}
	if result.Files == 0 {
		return &schema.Error{Op: "lint", Kind: schema.Unpinnable, Subject: strings.Join(args, ", "), Err: errors.New("holds no job spec"), Hint: "`runpin help formats` lists what runpin reads"}
	}
	if err := printFindings(env, format, result, config); err != nil {
		return err
	}
	if result.Err != nil {
		return result.Err
	}
	for _, f := range result.Findings {
		if f.Ignored == "" && f.Severity.AtLeast(failOn) {
			return &statusOnly{exitDifferent}
		}
	}
	return nil
}

// secretLiteral says whether a literal of a spec is a secret. A name of a file or of a key that holds one is not.
func secretLiteral(name, value string) bool {
	for _, suffix := range []string{"_FILE", "_PATH", "_NAME", "_file", "_path", "-file", "-path", "_ID", "_KEY_ID"} {
		if strings.HasSuffix(name, suffix) {
			name = ""
		}
	}
	return redact.Variable(name, value)
}

func lintFiles(env *Env, args []string) ([]lint.File, error) {
	var paths []string
	var files []lint.File
	named := map[string]bool{}
	for _, a := range args {
		if a == "-" {
			data, err := io.ReadAll(io.LimitReader(env.In, maxJobBytes+1))
			if err == nil && len(data) > maxJobBytes {
				err = fmt.Errorf("larger than %d bytes", maxJobBytes)
			}
			if err != nil {
				return nil, &schema.Error{Op: "lint", Kind: schema.Unpinnable, Subject: "standard input", Err: err}
			}
			files = append(files, lint.File{Name: "-", Data: data})
			continue
		}
		paths, named[a] = append(paths, a), true
	}
	found, err := specfiles.Find(paths)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, path := range found {
		data, isSpec, err := loadSpec("lint", path, !named[path])
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if !isSpec {
			continue
		}
		files = append(files, lint.File{Name: relativeToHere(path), Data: data, Walked: !named[path]})
	}
	return files, errors.Join(failures...)
}

// relativeToHere is the path that code scanners and annotations want: below the working directory, where it lies there.
func relativeToHere(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

// lintJSON is what `lint --format json` prints.
type lintJSON struct {
	Files    int            `json:"files"`
	Findings []lint.Finding `json:"findings"`
}

func printFindings(env *Env, format string, result lint.Result, config lint.Config) error {
	switch format {
	case "json":
		if result.Findings == nil {
			result.Findings = []lint.Finding{}
		}
		return env.printJSON(lintJSON{result.Files, result.Findings})
	case "sarif":
		return env.printJSON(lint.SARIF(result, config, version))
	}
	counts := map[lint.Severity]int64{}
	var ignored int64
	for _, f := range result.Findings {
		if f.Ignored != "" {
			ignored++
			continue
		}
		counts[f.Severity]++
		if format == "github" {
			fmt.Fprintln(env.Out, lint.GitHub(f))
			continue
		}
		place := fmt.Sprintf("%s:%d", f.File, f.Line)
		if f.Column > 0 {
			place += fmt.Sprintf(":%d", f.Column)
		}
		color := map[lint.Severity]string{lint.Error: red, lint.Warning: yellow, lint.Note: cyan}[f.Severity]
		fmt.Fprintf(env.Out, "%s: %s: %s %s\n", oneLine(place), env.paint(env.Out, color, string(f.Severity)), oneLine(f.Message), env.paint(env.Out, dim, "["+f.Rule+"]"))
	}
	summary := plural(int64(result.Files), "file")
	for _, s := range []lint.Severity{lint.Error, lint.Warning, lint.Note} {
		if counts[s] > 0 {
			summary += ", " + plural(counts[s], string(s))
		}
	}
	if ignored > 0 {
		summary += fmt.Sprintf(", %d ignored", ignored)
	}
	if len(counts) == 0 {
		summary += ", nothing found"
	}
	env.say("%s", summary)
	return nil
}

// lintRegistry lets recorder serve lint.
type lintRegistry struct {
	client *registry.Client
	images *image.Resolver
}

func (r lintRegistry) Digest(ctx context.Context, ref string) (schema.Digest, error) {
	parsed, err := registry.ParseReference(ref)
	if err != nil {
		return "", err
	}
	found, err := r.client.Head(ctx, parsed)
	return found.Digest, err
}

func (r lintRegistry) Children(ctx context.Context, ref string) ([]schema.Digest, error) {
	_, children, err := r.images.DescribeImage(ctx, ref, "")
	return children, err
}

// lintPage is the table of rules, from the data that checks them.
func lintPage() string {
	var b strings.Builder
	b.WriteString("# Rules of `runpin lint`\n\nGenerated by `make docs` from the table in `rerun/jobspec/lint/rules.go`.\n\n| rule | a spec that keeps it | training | production | asks a registry | remedy |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range lint.Rules {
		network := ""
		if r.Network {
			network = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", r.ID, r.Says, r.Training, r.Production, network, r.Remedy)
	}
	b.WriteString(`
A finding is accepted with a reason: by a comment on its line, or alone above it,

    image: team/trainer:dev   # runpin:ignore digest-required built in the same pipeline

or in ` + "`runpin.yaml`" + `:

    lint:
      preset: production
      rules: {dataset-unpinned: off}
      ignore:
      - {rule: template, path: "charts/**", reason: checked after rendering}

` + "`--preset`, `--rule RULE=SEVERITY` and `--require WHAT`" + ` of the command line come last. ` + "`--fail-on`" + ` says from which severity on the exit code is 13.
`)
	return b.String()
}
