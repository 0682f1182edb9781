package main

import (
	"context"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/schema"
)

func finishCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "finish", Usage: "say how a run ended that something else started", ArgsUsage: "<run>",
		Description: `For a planned job, or for a run whose recorder was lost: adds outputs, metrics and the final status, and seals the run.

` + examples("runpin finish 5Q0M8C1A --status succeeded --output model=model.pt --metric loss=0.12", "runpin finish latest --exit-code 1"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "status", Usage: "final `STATUS`: succeeded or failed (default: from the exit code)"},
			&cli.IntFlag{Name: "exit-code", Usage: "exit code `N` of the run"},
			&cli.StringSliceFlag{Name: "output", Usage: "file or directory that the run wrote: [NAME=]`PATH`"},
			&cli.StringSliceFlag{Name: "metric", Usage: "metric of the run: `K=V`"},
			&cli.StringFlag{Name: "metrics", Usage: "read metrics from `FILE` (JSON, k=v lines or CSV)"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1, "<run>")
			if err != nil {
				return err
			}
			w, err := openWiring(c.Context, env, c, forWriting)
			if err != nil {
				return err
			}
			defer w.close()
			id, err := w.store.Find(c.Context, args[0], w.scope(""))
			if err != nil {
				return err
			}
			run, err := w.store.Run(c.Context, id)
			if err != nil {
				return err
			}
			return runFinish(c.Context, c, w, run)
		},
	}
}

func runFinish(ctx context.Context, c *cli.Context, w *wiring, run schema.Run) error {
	status := schema.StatusChange{Finished: schema.At(w.env.Now())}
	switch s := schema.Status(c.String("status")); {
	case s.Ended():
		status.To = s
	case s != "":
		return usageError("use succeeded or failed", "--status %q is not final", s)
	case c.IsSet("exit-code") && c.Int("exit-code") != 0:
		status.To = schema.Failed
	default:
		status.To = schema.Succeeded
	}
	if c.IsSet("exit-code") {
		code := c.Int("exit-code")
		status.ExitCode = &code
		if (code == 0) != (status.To == schema.Succeeded) {
			return usageError("", "--status %s and --exit-code %d contradict each other", status.To, code)
		}
	}
	event, blobs, err := finishOutputs(ctx, c, w)
	if err != nil {
		return err
	}
	var docs []schema.Document
	if len(event.Outputs)+len(event.Metrics) > 0 {
		doc := w.event(run.ID)
		doc.Kind, doc.Output = schema.KindOutput, &event
		docs = append(docs, doc)
	}
	status.Fingerprint, _ = run.Fingerprinted()
	doc := w.event(run.ID)
	doc.Kind, doc.Status = schema.KindStatus, &status
	return w.store.Save(ctx, schema.Report{Documents: append(docs, doc), Blobs: blobs})
}

func finishOutputs(ctx context.Context, c *cli.Context, w *wiring) (schema.OutputEvent, []schema.Blob, error) {
	event := schema.OutputEvent{Metrics: map[string]schema.Text{}}
	dir, err := filepath.Abs(".")
	if err != nil {
		return event, nil, err
	}
	var refs []recorder.OutputRef
	for _, s := range c.StringSlice("output") {
		name, uri, err := named(s, nameFromPath)
		if err != nil {
			return event, nil, err
		}
		refs = append(refs, recorder.OutputRef{Name: name, URI: uri})
	}
	outputs, blobs, err := w.recorder.HashOutputs(ctx, refs, dir)
	if err != nil {
		return event, nil, err
	}
	event.Outputs = outputs
	if path := c.String("metrics"); path != "" {
		data, err := readSmall(path, 1<<20)
		if err != nil {
			return event, nil, usageError("", "--metrics %s: %v", path, err)
		}
		metrics, err := process.ParseMetrics(data, filepath.Base(path))
		if err != nil {
			return event, nil, err
		}
		event.Metrics = metrics
	}
	given, err := keyValues("metric", c.StringSlice("metric"))
	if err != nil {
		return event, nil, err
	}
	for k, v := range given {
		if event.Metrics == nil {
			event.Metrics = map[string]schema.Text{}
		}
		event.Metrics[k] = schema.Text(v)
	}
	return event, blobs, nil
}
