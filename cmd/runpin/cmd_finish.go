package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/recorder/collect/kubernetes"
	"github.com/runpin/runpin/recorder/collect/slurm"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/schema"
)

func finishCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "finish", Usage: "say how a run ended that something else started", ArgsUsage: "<run>",
		Description: `For a planned job, or for a run whose recorder was lost: adds outputs, metrics and the final status, and seals the run.
A full id is enough where the run cannot be read: while the store is away, or with a token that may only append.
With --pod or --slurm the runtime says what ran, where and how it ended; flags add to that and stand over it.
Exit code 14 when an image that ran is not the one that was pinned.

` + examples("runpin finish 5Q0M8C1A --status succeeded --output model=model.pt --metric loss=0.12", "runpin finish latest --exit-code 1",
			"kubectl get pods -l job-name=train -o json | runpin finish 5Q0M8C1A --pod -", "runpin finish 5Q0M8C1A --slurm 4711"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "status", Usage: "final `STATUS`: succeeded or failed, or the word of Kubernetes, Argo or Slurm for it (default: from the exit code)"},
			&cli.IntFlag{Name: "exit-code", Usage: "exit code `N` of the run"},
			&cli.StringSliceFlag{Name: "output", Usage: "file or directory that the run wrote: [NAME=]`PATH`"},
			&cli.StringSliceFlag{Name: "metric", Usage: "metric of the run: `K=V`"},
			&cli.StringFlag{Name: "pod", Usage: "read what ran from pods: `FILE` with the output of kubectl get pods -o json or yaml, - for stdin"},
			&cli.StringFlag{Name: "slurm", Usage: "read what ran from Slurm: `JOB` id, or a file with the output of sacct or scontrol, - for stdin"},
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "`HOST` whose registry may be asked over plain http"},
			&cli.StringFlag{Name: "metrics", Usage: "read metrics from `FILE` (JSON, k=v lines or CSV)"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1, "<run>")
			if err != nil {
				return err
			}
			w, err := openWiring(c.Context, env, c, forReporting)
			if err != nil {
				return err
			}
			defer w.close()
			id, err := w.store.Find(c.Context, args[0], w.scope(""))
			if err != nil {
				return err
			}
			run, err := w.store.Run(c.Context, id)
			if w.store.unread(err) && c.String("pod") == "" && c.String("slurm") == "" {
				env.warn("what is known of the run cannot be read: this is said of the latest of its tries that has begun")
				run, err = schema.Run{ID: id}, nil
			}
			if err != nil {
				return err
			}
			return runFinish(c.Context, c, w, run)
		},
	}
}

func runFinish(ctx context.Context, c *cli.Context, w *wiring, run schema.Run) error {
	if c.String("pod") != "" && c.String("slurm") != "" {
		return usageError("give one of them", "--pod and --slurm are two runtimes")
	}
	observed := c.String("pod") != "" || c.String("slurm") != ""
	status, err := finishStatus(c, w)
	if err != nil {
		return err
	}
	event, blobs, done, err := finishOutputs(ctx, c, w)
	defer done()
	if err != nil {
		return err
	}
	docs, err := w.store.Documents(ctx, run.ID)
	unread := w.store.unread(err) && !observed
	if err != nil && !unread {
		return err
	}
	var told collected
	if observed {
		if told, err = finishObserved(ctx, c, w, run.ID, docs); err != nil {
			return err
		}
	}
	report := schema.Report{Documents: told.documents, Blobs: blobs}
	if len(event.Outputs)+len(event.Metrics) > 0 {
		doc := w.event(run.ID)
		doc.Kind, doc.Output = schema.KindOutput, &event
		report.Documents = append(report.Documents, doc)
	}
	if !observed || c.IsSet("status") || c.IsSet("exit-code") {
		all := slices.Concat(docs, report.Documents)
		if !unread { // else the fold adds the fingerprint
			folded, err := schema.Fold(all)
			if err != nil {
				return err
			}
			status.Fingerprint, _ = folded.Fingerprinted()
		}
		doc := w.event(run.ID)
		doc.Kind, doc.Status = schema.KindStatus, &status
		doc.Reporter.Attempt, doc.Reporter.AttemptID = latestTry(all)
		report.Documents = append(report.Documents, doc)
		told.running = false
	}
	if len(report.Documents) > 0 {
		if err := w.store.Save(ctx, report); err != nil {
			return err
		}
	}
	if !observed {
		return nil
	}
	return w.afterCollecting(ctx, run.ID, told.running)
}

// finishStatus is what the flags say of the end; without any, that it went well.
func finishStatus(c *cli.Context, w *wiring) (schema.StatusChange, error) {
	status := schema.StatusChange{Finished: schema.At(w.env.Now())}
	word := c.String("status")
	meant, known := collect.StatusOf(word)
	switch {
	case word != "" && (!known || !meant.Ended()):
		return status, usageError("use succeeded or failed, or the word of Kubernetes, Argo or Slurm for it", "--status %q is not final", schema.Shorten(word, 80))
	case word != "":
		status.To = meant
	case c.IsSet("exit-code") && c.Int("exit-code") != 0:
		status.To = schema.Failed
	default:
		status.To = schema.Succeeded
	}
	if c.IsSet("exit-code") {
		code := c.Int("exit-code")
		status.ExitCode = &code
		if (code == 0) != (status.To == schema.Succeeded) {
			return status, usageError("", "--status %s and --exit-code %d contradict each other", word, code)
		}
	}
	return status, nil
}

// latestTry gives the latest try of the run as a whole that anybody spoke of: what a person says is about that one.
func latestTry(docs []schema.Document) (number int, id string) {
	type try struct {
		number int
		id     string
	}
	begun := map[try]schema.Time{}
	for _, d := range docs {
		if d.Kind != schema.KindStatus || d.Reporter.Rank != nil {
			continue
		}
		t := try{max(d.Reporter.Attempt, d.Status.Attempt), d.Reporter.AttemptID}
		if was, known := begun[t]; !known || was.IsZero() || !d.Status.Started.IsZero() && d.Status.Started.Before(was) {
			begun[t] = d.Status.Started
		}
	}
	var best try
	for t, at := range begun {
		was := begun[best]
		later := was.Before(at) || was.Equal(at) && t.id > best.id
		if t.number > best.number || t.number == best.number && later {
			best = t
		}
	}
	return best.number, best.id
}

// finishObserved reads what --pod or --slurm names.
func finishObserved(ctx context.Context, c *cli.Context, w *wiring, run schema.RunID, docs []schema.Document) (collected, error) {
	from, where := c.String("pod"), "kubernetes"
	if from == "" {
		from, where = c.String("slurm"), "slurm"
	}
	if where == "slurm" && slurm.JobID(from) {
		tries, err := slurm.Ask(ctx, from)
		if err != nil {
			return collected{}, err
		}
		return w.collect(ctx, where, tries, docs, onceInterval)
	}
	in, name := w.env.In, "stdin"
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return collected{}, usageError("give a file, or - for stdin", "%v", err)
		}
		defer closeQuietly(f)
		in, name = f, from
	}
	if where == "slurm" {
		tries, err := slurm.ReadJobs(in, name)
		if err != nil {
			return collected{}, err
		}
		return w.collect(ctx, where, tries, docs, onceInterval)
	}
	pods, err := kubernetes.ReadPods(in, name)
	if err != nil {
		return collected{}, err
	}
	own := slices.DeleteFunc(pods, func(p kubernetes.Pod) bool {
		stamp := p.Run()
		if stamp != "" && stamp != run {
			w.env.warn("pod %s belongs to run %s and is passed over", p.Metadata.Name, stamp.Short())
		}
		return stamp != "" && stamp != run
	})
	if len(own) == 0 {
		return collected{}, usageError("name the run that their annotation "+kubernetes.RunAnnotation+" names", "none of the pods belongs to run %s", run.Short())
	}
	return w.collect(ctx, where, kubernetes.Tries(own), docs, onceInterval)
}

func finishOutputs(ctx context.Context, c *cli.Context, w *wiring) (event schema.OutputEvent, blobs []schema.Blob, done func(), err error) {
	event, done = schema.OutputEvent{Metrics: map[string]schema.Text{}}, func() {}
	dir, err := filepath.Abs(".")
	if err != nil {
		return event, nil, done, err
	}
	var refs []recorder.OutputRef
	for _, s := range c.StringSlice("output") {
		name, uri, err := named(s, nameFromPath)
		if err != nil {
			return event, nil, done, err
		}
		refs = append(refs, recorder.OutputRef{Name: name, URI: uri})
	}
	outputs, blobs, done, err := w.recorder.HashOutputs(ctx, refs, dir)
	if err != nil {
		return event, nil, done, err
	}
	event.Outputs = outputs
	if path := c.String("metrics"); path != "" {
		data, err := readSmall(path, 1<<20)
		if err != nil {
			return event, nil, done, usageError("", "--metrics %s: %v", path, err)
		}
		metrics, err := process.ParseMetrics(data, filepath.Base(path))
		if err != nil {
			return event, nil, done, err
		}
		event.Metrics = metrics
	}
	given, err := keyValues("metric", c.StringSlice("metric"))
	if err != nil {
		return event, nil, done, err
	}
	for k, v := range given {
		if event.Metrics == nil {
			event.Metrics = map[string]schema.Text{}
		}
		event.Metrics[k] = schema.Text(v)
	}
	return event, blobs, done, nil
}
