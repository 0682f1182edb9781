package mlflow

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Store is where a history is brought into.
type Store interface {
	Save(ctx context.Context, report schema.Report) error
	// Documents gives all documents of a run; one that is not there is an error of kind NotFound.
	Documents(ctx context.Context, id schema.RunID) ([]schema.Document, error)
}

// Report counts what an import found. Runs is the sum of New, Updated, Unchanged, Recorded and Failed.
type Report struct {
	Runs      int `json:"runs"`
	New       int `json:"new"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Recorded  int `json:"recorded"` // the store has them as runs that runpin recorded itself
	Failed    int `json:"failed"`
	// What MLflow knows of these runs' inputs.
	WithImage   int `json:"with_image"`
	WithCommit  int `json:"with_commit"`
	WithDataset int `json:"with_dataset"`
	WithAll     int `json:"with_all"`
}

// Importer brings histories into a store.
type Importer struct {
	Store    Store
	Version  string
	Project  string
	Progress schema.Progress
	// Warn is told of each run that could not be brought in.
	Warn func(format string, args ...any)
}

// Import brings in every run of a history. A run that is in the store already is left as it is, and what MLflow has learned of it since is added as events:
// importing twice changes nothing. A run that the store does not take is told to Warn and counted; any other failure ends the import, and what was brought in
// until then stays.
func (i *Importer) Import(ctx context.Context, history History) (Report, error) {
	report := Report{}
	starts := history.Starts()
	convert := Converter{Version: i.Version, Project: i.Project, Starts: starts}
	err := history.Each(ctx, func(runs []Run) error {
		if err := i.batch(ctx, convert, runs, &report); err != nil {
			return err
		}
		if i.Progress != nil {
			i.Progress.Step("importing from mlflow", int64(report.Runs), int64(len(starts)), "runs")
		}
		return nil
	})
	return report, err
}

// pending is a run's documents on their way, and the counter that they go to.
type pending struct {
	run   string
	docs  []schema.Document
	count *int
}

func (i *Importer) batch(ctx context.Context, convert Converter, runs []Run, report *Report) error {
	var all []pending
	var docs []schema.Document
	ties := map[schema.RunID]*tied{}
	for _, run := range runs {
		p, err := i.prepare(ctx, convert, run, ties, report)
		if err != nil {
			return err
		}
		all = append(all, p)
		docs = append(docs, p.docs...)
		report.take(run)
	}
	if len(docs) == 0 {
		for _, p := range all {
			*p.count++
		}
		return nil
	}
	err := i.Store.Save(ctx, schema.Report{Documents: docs})
	if err == nil {
		for _, p := range all {
			*p.count++
		}
		return nil
	}
	if !ofOneRun(err) {
		return err
	}
	// Something in it is refused: each run alone, so that the others do not suffer.
	for _, p := range all {
		if len(p.docs) > 0 {
			err := i.Store.Save(ctx, schema.Report{Documents: p.docs})
			if err != nil && !ofOneRun(err) {
				return err
			}
			if err != nil {
				report.Failed++
				if i.Warn != nil {
					i.Warn("run %s of mlflow: %v", p.run, err)
				}
				continue
			}
		}
		*p.count++
	}
	return nil
}

// ofOneRun reports whether an error is about what a document says, and not about the store.
func ofOneRun(err error) bool {
	kind := schema.KindOf(err)
	return kind == schema.Invalid || kind == schema.Conflict
}

func (r *Report) take(run Run) {
	r.Runs++
	image := run.Tags["mlflow.docker.image.uri"] != "" || run.Tags["mlflow.docker.image.id"] != ""
	_, err := schema.ParseObjectID(strings.TrimSpace(run.Tags["mlflow.source.git.commit"]))
	commit, dataset := err == nil, len(run.Datasets) > 0
	for _, c := range []struct {
		holds bool
		count *int
	}{{image, &r.WithImage}, {commit, &r.WithCommit}, {dataset, &r.WithDataset}, {image && commit && dataset, &r.WithAll}} {
		if c.holds {
			*c.count++
		}
	}
}

// prepare finds out what of a run the store lacks. ties are those of the batch that it is part of.
func (i *Importer) prepare(ctx context.Context, convert Converter, run Run, ties map[schema.RunID]*tied, report *Report) (pending, error) {
	p := pending{run: run.ID}
	if id, err := schema.ParseRunID(strings.TrimSpace(run.Tags[TagRunID])); err == nil && run.Tags["mlflow.parentRunId"] == "" {
		t := ties[id]
		if t == nil {
			own, last, known, err := i.known(ctx, id)
			if err != nil {
				return p, err
			}
			if known {
				t = &tied{run: own, last: last}
				ties[id] = t
			}
		}
		if t != nil {
			full := t.full
			p.count, p.docs = &report.Recorded, t.to(run)
			if t.full && !full && i.Warn != nil {
				i.Warn("run %s: %s", id.Short(), moreRuns)
			}
			return p, nil
		}
	}
	fresh := convert.Documents(run)
	old, last, known, err := i.known(ctx, fresh[0].Run)
	switch {
	case err != nil:
		return p, err
	case !known:
		p.docs, p.count = fresh, &report.New
		return p, nil
	}
	// A document that MLflow says nothing wrong about and that is refused will be refused again when it is saved.
	want, err := schema.Fold(fresh)
	if err == nil {
		p.docs = changes(old, last, want, run)
	}
	if p.count = &report.Unchanged; len(p.docs) > 0 {
		p.count = &report.Updated
	}
	return p, nil
}

// known gives a run as the store has it, and the time of the latest document about it.
func (i *Importer) known(ctx context.Context, id schema.RunID) (run schema.Run, last int64, ok bool, err error) {
	docs, err := i.Store.Documents(ctx, id)
	if schema.KindOf(err) == schema.NotFound {
		return run, 0, false, nil
	}
	for _, d := range docs {
		ok = ok || d.Kind == schema.KindRun
		last = max(last, d.At.Time().UnixMilli())
	}
	if err != nil || !ok {
		return run, 0, false, err
	}
	run, err = schema.Fold(docs)
	return run, last, err == nil, err
}

func event(run schema.RunID, kind schema.DocumentKind, when schema.Time, id, about string) schema.Document {
	return schema.Document{Schema: schema.SchemaV1, Kind: kind, ID: schema.DeriveDocumentID(when, "mlflow", id, string(kind), about), Run: run, At: when,
		Reporter: schema.Reporter{Kind: "importer", By: "mlflow"}}
}

// changes are the events that lead from what the store has to what MLflow says now. Nothing is taken back: a tag that is gone leaves its label. Each has a time
// after all that the store has, so that it stands over it.
func changes(old schema.Run, last int64, want schema.Run, run Run) []schema.Document {
	var docs []schema.Document
	ms := max(last, run.End)
	add := func(kind schema.DocumentKind, body any) *schema.Document {
		ms++
		docs = append(docs, event(old.ID, kind, at(ms), run.ID, saying(body)))
		return &docs[len(docs)-1]
	}
	labels := map[string]string{}
	for k, v := range want.Labels {
		if old.Labels[k] != v {
			labels[k] = v
		}
	}
	if len(labels) > 0 {
		add(schema.KindLabel, labels).Label = &schema.Label{Set: labels}
	}
	metrics := map[string]schema.Text{}
	for k, v := range want.Metrics {
		if was, had := old.Metrics[k]; !had || was != v {
			metrics[k] = v
		}
	}
	if len(metrics) > 0 {
		add(schema.KindOutput, metrics).Output = &schema.OutputEvent{Metrics: metrics}
	}
	for _, n := range want.Notes {
		if !slices.ContainsFunc(old.Notes, func(o schema.Note) bool { return o.Text == n.Text }) {
			add(schema.KindNote, n.Text).Note = &schema.Note{Text: n.Text, By: n.By}
		}
	}
	if reasons := laterInputs(old, want); len(reasons) > 0 {
		add(schema.KindObservation, reasons).Observation = &schema.Observation{Reasons: reasons}
	}
	if want.Status != old.Status && want.Status.Ended() || want.Status.Ended() && !want.Finished.Equal(old.Finished) {
		change := &schema.StatusChange{To: want.Status, Finished: want.Finished, Why: want.Why}
		add(schema.KindStatus, change).Status = change
	} else if want.Status == schema.Running && old.Status == schema.Planned {
		change := &schema.StatusChange{To: schema.Running, Started: want.Started}
		add(schema.KindStatus, change).Status = change
	}
	return docs
}

// laterInputs: the plan of a run never changes, so params and data sets that were logged after the first import are not in it. That is said.
func laterInputs(old, want schema.Run) []schema.Reason {
	var reasons []schema.Reason
	say := func(subject, what string) {
		r := reason("mlflow-later", subject, "%s was logged in MLflow after the run had been imported, and is not in this record", what)
		for _, o := range old.Observations {
			if slices.Contains(o.Reasons, r) {
				return
			}
		}
		reasons = append(reasons, r)
	}
	for _, k := range slices.Sorted(maps.Keys(want.Params)) {
		if _, had := old.Params[k]; !had {
			say("param:"+k, "it")
		}
	}
	for _, d := range want.Datasets {
		if !slices.ContainsFunc(old.Datasets, func(o schema.DatasetPin) bool { return o.URI == d.URI && o.VersionID == d.VersionID }) {
			say("dataset:"+d.Name, "it")
		}
	}
	return reasons
}
