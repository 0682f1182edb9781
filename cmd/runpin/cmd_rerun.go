package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

func rerunCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "rerun", Usage: "run a run again, pinned to exactly what it used", ArgsUsage: "<run>...",
		Description: `Without --execute it prints the pinned job spec and starts nothing; that needs neither network nor data.
With --execute it establishes that everything can still be had, restores code and data into a fresh directory, runs the command, records a new run and
compares: identical is exit code 0, different 13, not comparable 16. When something is gone or changed it refuses with 14 and names it.
Your checkout and the original's outputs are not written to. Data sets over 64 MiB or 2,000 files are links to the original files, unless --copy says otherwise; a
program of the checkout that is no code, such as .venv/bin/python, is the one that is there now.
Several runs (named, from stdin with -, or chosen with --project, --same-as, --parent, --since, --label) are each restored, run and judged, --jobs at a time, and
reported on together; a rerun is not rerun unless it is named. --dry-run says step by step what --execute would do.
It is refused where it would lack a variable that the original had from --env-file or that was withheld as a secret (--without NAME runs it without), or write over
an output of the original that --set gives no other place, and never goes on with the original's run of a tracker.
With --as it writes a run that was recorded from a command in another form: what restores the code, guards the data sets by their digests and starts the command.

` + examples("runpin rerun latest --execute", "runpin rerun 5Q0M8C1A > pinned.yaml", "runpin rerun latest --execute --set lr=0.2", "runpin rerun latest --execute --at train=/mnt/copy/train",
			"runpin rerun latest --execute --dry-run", "runpin rerun --execute --project demo --jobs 4", "runpin list -q --label paper=fig3 | runpin rerun - --execute",
			"runpin rerun latest --as shell > again.sh"),
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "execute", Usage: "restore, run, compare, and record a new run"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the pinned spec to `FILE`"},
			&cli.BoolFlag{Name: "no-stamp", Usage: "do not write the run's id into the pinned spec"},
			&cli.BoolFlag{Name: "resubmit", Usage: "make the spec fit to be submitted again: without what the server set, and under a new name (always so for an object read from a cluster)"},
			&cli.StringFlag{Name: "name", Usage: "submit it again as `NAME` (default: what the server makes of the old name)"},
			&cli.StringSliceFlag{Name: "set", Usage: "change one thing: `K=V`, where K is a param, arg.--FLAG or env.NAME; in a job spec field.PATH, env.NAME or arg.--FLAG"},
			&cli.StringSliceFlag{Name: "at", Usage: "read a data set from elsewhere, proved by its digest: `NAME=URI`"},
			relocateFlag(),
			&cli.StringSliceFlag{Name: "secret", Usage: "give what was withheld from the record: `NAME=@FILE`, with --as for a cluster NAME=secret:OBJECT/KEY"},
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak http with `HOST` (loopback always may)"},
			jsonFlag(),
		}, executeFlags(), selectFlags(), renderFlags()),
		Action: func(c *cli.Context) error {
			mode := forReading
			if c.Bool("execute") && !c.Bool("dry-run") {
				mode = forWriting
			}
			w, err := openWiring(c.Context, env, c, mode)
			if err != nil {
				return err
			}
			defer w.close()
			runs, several, err := rerunSelection(env, c, w)
			if err != nil {
				return err
			}
			if err := checkRerunFlags(c, runs, several); err != nil {
				return err
			}
			switch {
			case c.Bool("dry-run") && c.Bool("execute"):
				return runDryRun(env, c, w, runs, several)
			case several && c.Bool("execute"):
				return runMany(env, c, w, runs)
			case c.Bool("execute"):
				return runExecute(env, c, w, runs[0])
			case several:
				return runPrintSpecs(env, c, w, runs)
			case c.IsSet("as"):
				return runRender(env, c, w, runs[0])
			}
			return runPrintSpec(env, c, w, runs[0])
		},
	}
}

func runPrintSpec(env *Env, c *cli.Context, w *wiring, run schema.Run) error {
	moved, err := relocations(env, c)
	if err != nil {
		return err
	}
	spec, said, err := printedSpec(c, w, run, moved)
	if err != nil {
		return err
	}
	for _, line := range said {
		env.say("%s", line)
	}
	if path := c.String("output"); path != "" {
		return writeFile(path, spec)
	}
	if _, err := env.Out.Write(spec); err != nil {
		return err
	}
	if env.OutTTY {
		env.say("this is the pinned spec; nothing was started")
	}
	return nil
}

func printedSpec(c *cli.Context, w *wiring, run schema.Run, moved rerun.Relocations) (spec []byte, said []string, err error) {
	secrets, err := readSecrets(c)
	if err != nil {
		return nil, nil, err
	}
	settings, err := readSettings(c)
	if err != nil {
		return nil, nil, err
	}
	if run.Job == nil && len(settings) > 0 {
		return nil, nil, usageError("add --execute or --as FORMAT", "--set changes a run that is executed or written in a form; it has no job spec to print")
	}
	stamp := run.ID
	if c.Bool("no-stamp") {
		stamp = ""
	}
	return rerun.PinnedSpec(c.Context, run, w.store, rerun.SpecOptions{Reader: specsReader(), Withheld: secrets["job"], Stamp: stamp, Resubmit: c.Bool("resubmit"), Name: c.String("name"), Set: settings, Relocate: moved})
}

// runPrintSpecs writes the pinned spec of each run to a file in a directory. All are made before the first is written.
func runPrintSpecs(env *Env, c *cli.Context, w *wiring, runs []schema.Run) error {
	dir := c.String("output")
	if dir == "" || c.IsSet("as") {
		return usageError("add --execute, or -o DIR to write the spec of each to a file", "several runs cannot be printed as one spec")
	}
	moved, err := relocations(env, c)
	if err != nil {
		return err
	}
	specs := make([][]byte, len(runs))
	var failures []error
	for i, run := range runs {
		spec, said, err := printedSpec(c, w, run, moved)
		for _, line := range said {
			env.say("%s: %s", run.ID.Short(), line)
		}
		specs[i] = spec
		failures = append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return &schema.Error{Op: "rerun.spec", Kind: schema.Unavailable, Subject: dir, Err: err, Hint: "name a directory that can be written to: -o DIR"}
	}
	for i, run := range runs {
		if err := writeFile(filepath.Join(dir, string(run.ID)+filepath.Ext(string(run.Job.Path.Typed))), specs[i]); err != nil {
			return err
		}
	}
	env.say("wrote %s; nothing was started", plural(int64(len(runs)), "pinned spec"))
	return nil
}

func readSettings(c *cli.Context) (settings []rerun.Setting, err error) {
	for _, s := range c.StringSlice("set") {
		k, v, err := keyValue("set", s)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(k, "arg.") && strings.Count(s, "=") > 1 {
			k, v, _ = strings.Cut(s, "=")
		}
		if redact.Param(k[strings.LastIndexByte(k, '.')+1:], v) {
			return nil, usageError("leave it as it was recorded, or set it in the environment", "--set %s looks like a secret, and settings are recorded", k)
		}
		settings = append(settings, rerun.Setting{Key: k, Value: v})
	}
	return settings, nil
}

// readSecrets reads --secret NAME=@FILE: what was withheld from a record, each from a file, so that no secret stands on a command line.
func readSecrets(c *cli.Context) (map[string]string, error) {
	given, err := keyValues("secret", c.StringSlice("secret"))
	if err != nil {
		return nil, err
	}
	secrets := map[string]string{}
	for name, from := range given {
		path, isFile := strings.CutPrefix(from, "@")
		if !isFile {
			return nil, usageError("put the secret into a file: --secret "+name+"=@FILE", "a secret on the command line can be seen by others")
		}
		data, err := readSmall(path, 4<<20)
		if err != nil {
			return nil, usageError("", "--secret %s: %v", name, err)
		}
		secrets[name] = redact.SecretFromFile(data)
	}
	return secrets, nil
}
