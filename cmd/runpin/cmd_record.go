package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

func recordCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name:      "record",
		Usage:     "run a command, or plan a job, and record exactly what it uses",
		ArgsUsage: "[-- <command> [<argument>...]]",
		Description: `Resolves every input first, writes the plan down, starts the command by those very values, and records how it ended.
The command's input, output, signals and exit code pass through. The run's id goes to stdout, or to stderr where stdout is the command's.
{name} in an argument stands for a param, or for the path of a data set or an output.

With --join the command is one rank of a run that was planned elsewhere: it starts at once, whatever has become of the store, and what this rank adds is
reported: its node's environment, the try, its exit code and, by rank 0, outputs and metrics. {rank} in the path of an output stands for the rank, and makes
it every rank's. Without RUN the run is the one that $RUNPIN_RUN_ID names. The rank is RANK, OMPI_COMM_WORLD_RANK, PMIX_RANK, PMI_RANK, SLURM_PROCID,
JOB_COMPLETION_INDEX, NODE_RANK, PET_NODE_RANK, GROUP_RANK or SLURM_NODEID, whichever of them is found first.

` + examples(
			`runpin record --dataset train=./data --output model=model.pt -- python3 train.py`,
			`runpin record --param lr=0.1 --output model=m.pt -- python3 train.py --lr {lr} --out {model}`,
			`runpin record --output model=m.pt --metrics metrics.json --tolerance loss=1e-3 -- python3 train.py`,
			`runpin record --in podman --image team/trainer:1.4 --dataset train=./data --output model=m.pt -- python train.py`,
			`runpin record --job job.yaml --pinned pinned.yaml`,
			`runpin record --join --output model=model.pt -- python3 train.py`,
			`runpin record --join 01JD8ZK3V5N4Q7R2T9W6X0Y1AB --output shard=shard-{rank}.pt -- torchrun train.py`),
		Flags: []cli.Flag{
			optionalFlag{&cli.StringFlag{Name: "join", Usage: "report to `[RUN]`, which was planned elsewhere, as one of its ranks (default: $RUNPIN_RUN_ID)"}},
			&cli.StringFlag{Name: "in", Usage: "run the command in the image, with `ENGINE` podman or docker"},
			&cli.StringSliceFlag{Name: "env-file", Usage: "give the container the variables of `FILE` (lines NAME=value, or NAME for this environment's); their values are not recorded"},
			&cli.StringFlag{Name: "gpus", Usage: "give the container `GPUS`: all, none, a number or device=0,1; needs --in"},
			&cli.StringSliceFlag{Name: "image", Usage: "image of the run: [NAME=]`REF`; claimed only, unless the command runs --in it"},
			&cli.StringFlag{Name: "platform", Usage: "`OS/ARCH` of the images (default: linux on this machine's architecture)", EnvVars: []string{"RUNPIN_PLATFORM"}},
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak http with `HOST` (loopback always may)"},
			&cli.StringFlag{Name: "job", Usage: "plan the job that `FILE` describes instead of running a command"},
			&cli.StringFlag{Name: "pinned", Usage: "write the pinned job spec to `FILE`, or - for stdout"},
			&cli.StringSliceFlag{Name: "field", Usage: "a place of the job spec that runpin does not know: image=`PATH`, code=PATH, dataset.NAME=PATH"},
			&cli.BoolFlag{Name: "no-stamp", Usage: "do not write the run's id into the pinned spec"},
			&cli.StringSliceFlag{Name: "code", Usage: "code of the run: [NAME=]`DIR`|git+URL@REV (default: the checkout you are in)"},
			&cli.BoolFlag{Name: "no-code", Usage: "record no code"},
			&cli.StringSliceFlag{Name: "dataset", Usage: "data set that the run reads: `NAME=URI`"},
			&cli.StringSliceFlag{Name: "model", Usage: "model that the run starts from: `NAME=URI`"},
			&cli.StringSliceFlag{Name: "param", Usage: "parameter of the run: `K=V`"},
			&cli.StringFlag{Name: "params", Usage: "read parameters from `FILE` (JSON or YAML)"},
			&cli.StringSliceFlag{Name: "output", Usage: "file or directory that the run writes: [NAME=]`PATH`"},
			&cli.StringFlag{Name: "metrics", Usage: "read metrics from `FILE` when the run has ended (JSON, k=v lines or CSV)"},
			&cli.StringSliceFlag{Name: "tolerance", Usage: "a rerun's metric may be off: `METRIC=1e-3`, or METRIC=1% of the original's value"},
			&cli.StringSliceFlag{Name: "compare", Usage: "how an output is compared with a rerun's: " + compareUsage},
			&cli.StringSliceFlag{Name: "env", Usage: "environment variable `NAME` that determines the result, besides the usual ones"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the run"},
			&cli.StringFlag{Name: "project", Usage: "`PROJECT` of the run", EnvVars: []string{"RUNPIN_PROJECT"}},
			&cli.StringFlag{Name: "parent", Usage: "`RUN` that this one is a step or a member of"},
			&cli.StringFlag{Name: "pins-from", Usage: "reuse what `RUN` found its data sets to be, where name and URI are the same and a spot check finds nothing changed"},
			&cli.StringSliceFlag{Name: "label", Usage: "label of the run: `K=V`"},
			&cli.StringSliceFlag{Name: "require", Usage: "refuse unless the run is `WHAT`: clean, pushed, pinned, durable, comparable (repeat, or separate by commas)"},
			&cli.BoolFlag{Name: "best-effort", Usage: "record what cannot be pinned, with the reason, instead of refusing", EnvVars: []string{"RUNPIN_BEST_EFFORT"}},
			&cli.StringFlag{Name: "id-file", Usage: "write the run's id to `FILE`"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if c.IsSet("join") {
				return runJoin(c.Context, env, c)
			}
			req, err := recordRequest(env, c)
			if err != nil {
				return refused(req, err)
			}
			return runRecord(c.Context, env, c, req)
		},
	}
}

// refused gives errors that kept a command from starting the exit code 125; what has a code of its own (126, 127) keeps it.
func refused(req recorder.Request, err error) error {
	var coded *codedError
	if len(req.Command) == 0 || errors.As(err, &coded) || schema.IsKind(err, schema.Interrupted) {
		return err
	}
	return &codedError{exitRefused, err}
}

// commandAfterDashes gives what is to be run; nil where there is no "--".
func commandAfterDashes(c *cli.Context) ([]string, error) {
	rest, dashes := restOf(c)
	if args := c.Args().Slice(); len(args) > 0 {
		return rest, usageError("put -- before the command: runpin record [flags] -- "+strings.Join(append(args, rest...), " "), "%q stands before --", args[0])
	}
	if dashes && len(rest) == 0 {
		return rest, usageError("runpin record --help", "there is no command after --")
	}
	return rest, nil
}

func recordRequest(env *Env, c *cli.Context) (req recorder.Request, err error) {
	if req.Command, err = commandAfterDashes(c); err != nil {
		return req, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return req, usageError("change to a directory that exists", "the working directory: %v", err)
	}
	settings, err := loadSettings(env, dir)
	if err != nil {
		return req, err
	}
	req.WorkDir, req.Environ, req.User = dir, env.Environ(), env.user()
	req.Stdin, req.Stdout, req.Stderr = env.In, env.Out, env.Err
	req.In, req.Name, req.NoCode, req.BestEffort = c.String("in"), c.String("name"), c.Bool("no-code"), c.Bool("best-effort")
	req.Project, req.Platform, req.Metrics = choose(c, "project", settings.Project), choose(c, "platform", settings.Platform), choose(c, "metrics", settings.Metrics)
	req.Env = append(settings.Env, c.StringSlice("env")...)
	for _, r := range append(settings.Require, c.StringSlice("require")...) {
		for _, one := range strings.Split(r, ",") {
			req.Require = append(req.Require, strings.TrimSpace(one))
		}
	}
	if req.In != "" && req.In != "podman" && req.In != "docker" {
		return req, usageError("use podman or docker", "--in %q", req.In)
	}
	req.GPUs = c.String("gpus")
	for _, flag := range []string{"gpus", "env-file"} {
		if c.IsSet(flag) && req.In == "" {
			return req, usageError("add --in podman or --in docker", "--%s is for a container that runpin starts", flag)
		}
	}
	given, err := readEnvFiles(env, c.StringSlice("env-file"))
	if err != nil {
		return req, err
	}
	for _, name := range sortedKeys(given) {
		req.EnvFile = append(req.EnvFile, name+"="+given[name])
	}
	if err := rerun.CheckGPUs(req.GPUs); err != nil {
		return req, err
	}
	return req, errors.Join(recordPins(c, settings, &req), recordValues(c, settings, &req), recordCompare(env, c, settings, &req), recordJob(c, settings, &req))
}

func recordPins(c *cli.Context, settings Settings, req *recorder.Request) error {
	for _, s := range c.StringSlice("image") {
		name, ref, err := named(s, func(string) string { return "image" })
		if err != nil {
			return err
		}
		req.Images = append(req.Images, recorder.ImageRef{Name: name, Ref: ref})
	}
	for _, s := range c.StringSlice("code") {
		name, ref, err := named(s, func(string) string { return "code" })
		if err != nil {
			return err
		}
		req.Code = append(req.Code, recorder.CodeRef{Name: name, Ref: ref})
	}
	given := map[string]bool{}
	for _, flag := range []struct {
		name     string
		role     schema.Role
		defaults map[string]string
	}{{"dataset", schema.RoleData, settings.Dataset}, {"model", schema.RoleModel, settings.Model}} {
		for _, s := range c.StringSlice(flag.name) {
			name, uri, err := named(s, nil)
			if err != nil {
				return fmt.Errorf("--%s: %w", flag.name, err)
			}
			given[name] = true
			req.Datasets = append(req.Datasets, recorder.DatasetRef{Name: name, URI: uri, Role: flag.role})
		}
		for _, name := range sortedKeys(flag.defaults) {
			if !given[name] {
				req.Datasets = append(req.Datasets, recorder.DatasetRef{Name: name, URI: settings.relative(flag.defaults[name]), Role: flag.role})
			}
		}
	}
	for _, s := range c.StringSlice("output") {
		name, uri, err := named(s, nameFromPath)
		if err != nil {
			return err
		}
		given[name] = true
		req.Outputs = append(req.Outputs, recorder.OutputRef{Name: name, URI: uri})
	}
	for _, name := range sortedKeys(settings.Output) {
		if !given[name] {
			req.Outputs = append(req.Outputs, recorder.OutputRef{Name: name, URI: settings.relative(settings.Output[name])})
		}
	}
	return nil
}

// relative makes a path of runpin.yaml, which is relative to that file, one that is relative to the working directory.
func (s Settings) relative(uri string) string {
	if strings.Contains(uri, "://") || filepath.IsAbs(uri) {
		return uri
	}
	dir, err := os.Getwd()
	if err != nil {
		return uri
	}
	rel, err := filepath.Rel(dir, filepath.Join(filepath.Dir(s.path), uri))
	if err != nil {
		return uri
	}
	return rel
}

func recordValues(c *cli.Context, settings Settings, req *recorder.Request) error {
	req.Params = map[string]schema.Text{}
	for k, v := range settings.Param {
		req.Params[k] = schema.Text(v)
	}
	if path := c.String("params"); path != "" {
		data, err := readSmall(path, maxSettingsBytes)
		if err != nil {
			return usageError("", "--params %s: %v", path, err)
		}
		params, err := process.ParseParams(data, filepath.Base(path))
		if err != nil {
			return err
		}
		for k, v := range params {
			req.Params[k] = v
		}
	}
	params, err := keyValues("param", c.StringSlice("param"))
	if err != nil {
		return err
	}
	for k, v := range params {
		req.Params[k] = schema.Text(v)
	}
	req.Labels, err = keyValues("label", c.StringSlice("label"))
	if err != nil {
		return err
	}
	for k, v := range settings.Label {
		if _, given := req.Labels[k]; !given {
			req.Labels[k] = v
		}
	}
	return nil
}

const maxJobBytes = 16 << 20

func recordJob(c *cli.Context, settings Settings, req *recorder.Request) error {
	path := c.String("job")
	if path == "" {
		if c.IsSet("pinned") {
			return usageError("add --job FILE", "--pinned needs a job spec")
		}
		return nil
	}
	var data []byte
	var err error
	if path == "-" {
		if data, err = io.ReadAll(io.LimitReader(req.Stdin, maxJobBytes+1)); err == nil && len(data) > maxJobBytes {
			err = fmt.Errorf("larger than %d bytes", maxJobBytes)
		}
	} else {
		data, err = readSmall(path, maxJobBytes)
	}
	if err != nil {
		return &schema.Error{Op: "record.job", Kind: schema.Unpinnable, Subject: path, Err: err, Hint: "give the path of the job spec"}
	}
	req.Job = &recorder.Job{Path: path, Data: data, Fields: c.StringSlice("field"), NoStamp: c.Bool("no-stamp")}
	if !c.IsSet("field") {
		req.Job.Fields = settings.fields()
	}
	_, err = parseFields(req.Job.Fields)
	return err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// pinsOf gives the pins of the data sets of another run.
func (w *wiring) pinsOf(ctx context.Context, query, project string) (*recorder.Pins, error) {
	id, err := w.store.Find(ctx, query, w.scope(project))
	if err != nil {
		return nil, err
	}
	run, err := w.store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	return &recorder.Pins{From: id, Datasets: run.Datasets}, nil
}

func runRecord(ctx context.Context, env *Env, c *cli.Context, req recorder.Request) error {
	defer survivePipe()()
	w, err := openWiring(ctx, env, c, forReporting)
	if err != nil {
		return refused(req, err)
	}
	defer w.close()
	if parent := c.String("parent"); parent != "" {
		if req.Parent, err = w.store.Find(ctx, parent, w.scope(req.Project)); err != nil {
			return refused(req, err)
		}
	}
	if from := c.String("pins-from"); from != "" {
		if req.PinsFrom, err = w.pinsOf(ctx, from, req.Project); err != nil {
			return refused(req, err)
		}
	}
	if err := w.requireDurable(req.Require); err != nil {
		return refused(req, err)
	}
	for _, path := range []string{c.String("id-file"), c.String("pinned")} {
		if err := canWrite(path); err != nil {
			return refused(req, err)
		}
	}
	planned, err := w.recorder.Plan(ctx, req)
	w.progress.clear()
	if err != nil {
		return refused(req, err)
	}
	if err := announce(env, c, planned.Run.ID, req); err != nil {
		return refused(req, err)
	}
	if len(req.Command) == 0 {
		return writePinned(env, c, planned)
	}
	w.warnAboutPlan(planned.Run)
	result, err := planned.Execute(ctx)
	if err != nil {
		return refused(req, err)
	}
	w.progress.clear()
	if !c.Bool("json") {
		env.sayWhetherComparable(result.Run)
	}
	if result.Code != 0 {
		return &statusOnly{result.Code}
	}
	return nil
}

// announce gives the run's id where the caller can pick it up: stdout is the command's, or the pinned spec's, in which case stderr has it.
func announce(env *Env, c *cli.Context, id schema.RunID, req recorder.Request) error {
	if path := c.String("id-file"); path != "" {
		if err := writeFile(path, []byte(string(id)+"\n")); err != nil {
			return err
		}
	}
	if len(req.Command) > 0 || c.String("pinned") == "-" {
		env.say("recording run %s", id)
		return nil
	}
	if c.Bool("json") {
		return env.printJSON(map[string]schema.RunID{"id": id})
	}
	_, err := fmt.Fprintln(env.Out, id)
	return err
}

func writePinned(env *Env, c *cli.Context, planned *recorder.Planned) error {
	path := c.String("pinned")
	switch {
	case path == "":
		return nil
	case planned.Pinned == nil && c.Bool("best-effort"):
		env.warn("no pinned spec is written: not every image of %s could be pinned", c.String("job"))
		return nil
	case planned.Pinned == nil:
		return &schema.Error{Op: "record.pinned", Kind: schema.Unpinnable, Subject: c.String("job"), Err: fmt.Errorf("no image of it could be pinned; no pinned spec is written")}
	case path == "-":
		_, err := io.Copy(env.Out, bytes.NewReader(planned.Pinned))
		return err
	default:
		return writeFile(path, planned.Pinned)
	}
}
