package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
)

func versionCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version", ArgsUsage: " ",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if c.Bool("json") {
				return env.printJSON(map[string]string{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "revision": revision()})
			}
			fmt.Fprintf(env.Out, "runpin %s %s/%s %s\n", version, runtime.GOOS, runtime.GOARCH, revision())
			return nil
		},
	}
}

func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// envCommand shows every setting with its value and where it comes from.
func envCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "env", Usage: "show settings, their values and where they come from", ArgsUsage: " ",
		Action: func(c *cli.Context) error {
			settings, err := loadSettings(env, ".")
			if err != nil {
				return err
			}
			location, source, err := storeLocation(env, c)
			if err != nil {
				location, source = "(none)", err.Error()
			}
			rows := [][]string{
				{"store", shownLocation(location), source},
				{"cache", orNone(env.cacheDir()), "default"},
				{"user", orNone(env.user()), "environment"},
				{"settings", orNone(settings.path), "found upward from the working directory"},
				{"own settings", orNone(env.ownSettings()), "default"},
				{"project", orNone(pick(env.Getenv("RUNPIN_PROJECT"), settings.Project)), from(env.Getenv("RUNPIN_PROJECT") != "", settings.Project != "")},
				{"platform", orNone(pick(env.Getenv("RUNPIN_PLATFORM"), settings.Platform)), from(env.Getenv("RUNPIN_PLATFORM") != "", settings.Platform != "")},
			}
			env.table([]string{"SETTING", "VALUE", "SOURCE"}, rows)
			return nil
		},
	}
}

func pick(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func from(variable, file bool) string {
	switch {
	case variable:
		return "environment"
	case file:
		return settingsFile
	}
	return "default"
}

// helpCommand prints the help of a command, or a topic.
func helpCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "help for a command or a topic: " + strings.Join(topicNames(), ", "), ArgsUsage: "[<command>|<topic>]",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 0, -1, "")
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return printHelp(env.Out, rootCommand(c.App))
			}
			if text, ok := topics()[args[0]]; ok {
				fmt.Fprintln(env.Out, text)
				return nil
			}
			commands, path := c.App.Commands, ""
			for i, word := range args {
				cmd := find(commands, word)
				if cmd == nil {
					return unknownWord(commands, path, word)
				}
				if i == len(args)-1 {
					return runHelp(env, c, args)
				}
				commands, path = cmd.Subcommands, path+" "+word
			}
			return nil
		},
	}
}

func runHelp(env *Env, c *cli.Context, args []string) error {
	return helpBelow(c.App, rootCommand(newApp(env)), args)
}

func topicNames() []string {
	return []string{"environment", "exit-codes", "formats", "runs", "settings"}
}

func topics() map[string]string {
	return map[string]string{
		"exit-codes": "Exit codes\n\n" + exitCodesText(),
		"environment": `Environment variables

  RUNPIN_STORE           where runs are kept, like --store
  RUNPIN_PROJECT         project of new runs, like --project
  RUNPIN_PLATFORM        platform of images, like --platform
  RUNPIN_BEST_EFFORT     like --best-effort
  RUNPIN_USER            the name that runs are recorded under
  RUNPIN_COLOR           like --color; NO_COLOR is honoured too
  RUNPIN_REGISTRY_HOSTNAME_0, …_USERNAME_0, …_PASSWORD_0
                         credentials of a registry, before those of docker and podman
  RUNPIN_RETRY_BUDGET    how long a registry that answers badly is tried, such as 30s (default 2m)
  RUNPIN_TOKEN, RUNPIN_TOKEN_FILE
                         what lets runpin into a store behind ` + "`runpin serve`" + `, or a file that holds it
  RUNPIN_CA_FILE         certificates to trust for such a store, instead of the system's
  RUNPIN_INSECURE_STORE  1: a store over http:// on another machine will do
  RUNPIN_MLFLOW          off: do not tell MLflow's client of the run, and do not read back what it logged
  RUNPIN_COMPARE_TIMEOUT how long a command that compares outputs may take (default 10m)
  RUNPIN_BUSY_TIMEOUT    how long to wait for a store that another process has locked (default 30s)
  XDG_DATA_HOME          the default store is runpin/runpin.db below it
  XDG_CACHE_HOME         caches, and the directories of reruns, are below it

A command that runpin starts sees RUNPIN_RUN_ID, RUNPIN_STORE, RUNPIN_PIN_<KIND>_<NAME> and RUNPIN_PATH_<KIND>_<NAME>,
and MLFLOW_RUN_CONTEXT with tags for the runs that it logs with MLflow.
Flags that act (--execute, --deep, …) and pins (--dataset, --image, …) are never read from variables.`,
		"runs": `How a run is named

  a full id                     01KD3S5ZV8T0F5Q0M8C1A7HXYZ
  its head, or its random tail  01KD3S5Z, A7HXYZ; short displays show the tail
  a unique name                 given with record --name
  mlflow:ID                     the id of its run in MLflow, or eight characters of that
  latest, latest~N              the newest run of this user, or the N-th before it
  -                             ids on stdin, one on each line

An ambiguous name is refused with exit code 11 and the candidates.`,
		"settings": `runpin.yaml

Looked for in the working directory and upward. A flag beats a variable beats this file.

  project: vision
  platform: linux/amd64
  metrics: metrics.json
  dataset: {train: data/train}
  model: {base: models/base}
  output: {model: out/model.pt}
  tolerance: {loss: 1e-3, accuracy: 1%}   # of metrics
  compare: {log: ignore, table: "tolerance:1e-6"}   # of outputs; a command only with --compare
  param: {epochs: "3"}
  env: [MY_SEED]
  require: [clean]
  label: {team: vision}
  fields: {image: "spec.workers[].runtime", dataset.train: spec.data.version}   # of job specs; see help formats

Paths are relative to the file. A file in a repository is not trusted: it cannot set the store, insecure registries, images, relocations, or anything that acts.

Your own file, runpin/runpin.yaml below $XDG_CONFIG_HOME or ~/.config (see ` + "`runpin env`" + `), is trusted. It can hold one table, of what moved:

  relocate:
    registry.old/team: registry.new/ml
    https://git.old: "git@git.new:"
    /mnt/old: /mnt/new`,
		"formats": `Formats

  Tables have a header and relative times on a terminal; in a pipe they are tab-separated, with full digests and RFC 3339 times in UTC.
  --json prints the fields that docs/json.md documents; fields are only ever added.
  Job specs (docs/job-specs.md says where each holds what):
` + specsTopic() + `  For anything else: --field image=PATH, code=PATH, dataset.NAME=PATH, where [] is every element of a list, [NAME] one of it, * every key.
  Metrics: a JSON object, lines of k=v or k: v, or CSV with a header (the last row counts).
  Params: a JSON or YAML object; nested names are joined with dots.`,
	}
}
