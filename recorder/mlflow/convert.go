package mlflow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// LabelRunID is the label that ties a run to its run in MLflow. When a command logged several, the further ones are under LabelRunID + ".2" and so on.
const LabelRunID = "mlflow.run_id"

// TagRunID is the tag by which MLflow's run names the run of runpin that it is part of.
const TagRunID = "runpin.run_id"

// Converter makes documents of MLflow's runs. The same run gives the same documents, whoever converts it and when: every id and time is derived from what
// MLflow holds.
type Converter struct {
	Version string // of runpin
	Project string // instead of the experiment's name
	Starts  map[string]int64
}

// RunID gives the id under which a run of MLflow is kept: always the same for the same run.
func RunID(id string, start int64) schema.RunID { return schema.DeriveRunID(at(start), "mlflow", id) }

func at(ms int64) schema.Time { return schema.At(time.UnixMilli(plausible(ms))) }

// conversion is one run on its way.
type conversion struct {
	Converter
	run    Run
	id     schema.RunID
	plan   schema.Plan
	labels map[string]string
}

// Documents gives the base document first, then the events: labels, metrics and outputs, the note, the status.
func (c Converter) Documents(run Run) []schema.Document {
	v := &conversion{Converter: c, run: run, id: RunID(run.ID, run.Start), labels: map[string]string{LabelRunID: run.ID}}
	v.describe()
	v.images()
	v.code()
	v.datasets()
	v.params()
	v.tags()
	docs := []schema.Document{v.document(schema.KindRun, at(run.Start), "")}
	docs[0].ID, docs[0].Plan = schema.DocumentID(v.id), &v.plan
	return append(docs, v.events()...)
}

// document begins a document. What several of one kind say is told apart by about.
func (v *conversion) document(kind schema.DocumentKind, when schema.Time, about string) schema.Document {
	return schema.Document{Schema: schema.SchemaV1, Kind: kind, ID: schema.DeriveDocumentID(when, "mlflow", v.run.ID, string(kind), about), Run: v.id, At: when,
		Reporter: schema.Reporter{Kind: "importer", By: "mlflow"}}
}

func (v *conversion) reason(code, subject, format string, args ...any) {
	v.plan.Reasons = append(v.plan.Reasons, reason(code, subject, format, args...))
}

func reason(code, subject, format string, args ...any) schema.Reason {
	return schema.Reason{Code: code, Subject: schema.Text(subject), Text: fmt.Sprintf(format, args...)}
}

// plain gives a text that a record may hold as a string, or "" and says why not.
func (v *conversion) plain(what, text string) string {
	switch {
	case text == "":
	case !utf8.ValidString(text):
		v.reason("mlflow-unread", what, "it is not UTF-8")
		return ""
	case redact.Param(what, text):
		v.withhold("text", what)
		return ""
	}
	return text
}

func (v *conversion) withhold(what, name string) {
	v.plan.Withheld = append(v.plan.Withheld, schema.Withheld{What: what, Name: name, Why: "its name or its form is that of a secret"})
}

func (v *conversion) describe() {
	run := &v.run
	v.plan = schema.Plan{Created: at(run.Start), Recorder: "runpin " + v.Version + ", imported from mlflow", Reasons: slices.Clone(run.Problems)}
	v.plan.Name = v.plain("name", cmp.Or(run.Tags["mlflow.runName"], run.Name))
	v.plan.Project = v.plain("project", cmp.Or(v.Project, run.Experiment))
	v.plan.User = v.plain("user", cmp.Or(run.User, run.Tags["mlflow.user"]))
	if run.Start == 0 {
		v.reason("mlflow-no-start", "created", "MLflow does not say when the run began")
	}
	v.reason("mlflow-no-command", "command", "MLflow keeps the name of the script, not its arguments: the run cannot be rerun from this record")
	v.reason("mlflow-no-environment", "environment", "MLflow keeps no record of the machine and its packages with a run")
	if parent := run.Tags["mlflow.parentRunId"]; parent != "" {
		if own, err := schema.ParseRunID(run.Tags[TagRunID]); err == nil && own != v.id {
			v.plan.Parent = own // it is nested in what a command logged that runpin recorded
		} else if start, known := v.Starts[parent]; known && parent != run.ID {
			v.plan.Parent = RunID(parent, start)
		} else {
			v.reason("mlflow-no-parent", "parent", "its parent in MLflow, %s, is not in this history", quote(parent))
		}
	}
}

// params keeps the texts. A secret is withheld as a whole.
func (v *conversion) params() {
	for _, k := range slices.Sorted(maps.Keys(v.run.Params)) {
		value := v.run.Params[k]
		if redact.Param(k, value) {
			v.withhold("param", k)
			continue
		}
		if v.plan.Params == nil {
			v.plan.Params = map[string]schema.Text{}
		}
		v.plan.Params[k] = schema.Text(value)
	}
}

// described are the tags that the record holds elsewhere, or that say nothing about a run: where the pages of a tracker show what.
var described = []string{"mlflow.runName", "mlflow.user", "mlflow.parentRunId", "mlflow.note.content", "mlflow.source.git.", "mlflow.docker.", "mlflow.log-model.history",
	"mlflow.loggedArtifacts", "mlflow.loggedImages", "mlflow.source.git.diff", "mlflow.databricks."}

// maxTag bounds a tag that becomes a label: MLflow's own bound.
const maxTag = 8000

// tags makes labels: those of MLflow keep their names, the user's own get a prefix, so that they are not taken for labels that somebody gave here.
func (v *conversion) tags() {
	for _, k := range slices.Sorted(maps.Keys(v.run.Tags)) {
		value := v.run.Tags[k]
		if slices.ContainsFunc(described, func(p string) bool { return strings.HasPrefix(k, p) }) {
			continue
		}
		label := k
		if !strings.HasPrefix(k, "mlflow.") && !strings.HasPrefix(k, "runpin.") {
			label = "mlflow.tag." + k
		}
		switch {
		case redact.Param(k, value):
			v.withhold("tag", k)
		case len(value) > maxTag || !utf8.ValidString(value):
			v.reason("mlflow-tag-left-out", k, "a label holds text of at most %d bytes", maxTag)
		default:
			v.labels[label] = value
		}
	}
	if v.run.ExperimentID != "" {
		v.labels["mlflow.experiment_id"] = v.run.ExperimentID
	}
	if v.run.Deleted {
		v.labels["mlflow.lifecycle_stage"] = "deleted"
	}
}

// events are what can still change in MLflow: each says all that there is of its kind, and its id is derived from that, so that a later import adds what is new.
func (v *conversion) events() []schema.Document {
	run := &v.run
	began, ended := at(run.Start), at(max(run.End, run.Start))
	var docs []schema.Document
	label := v.document(schema.KindLabel, began, saying(v.labels))
	label.Label = &schema.Label{Set: v.labels}
	docs = append(docs, label)
	if event, last := v.outputs(); event != nil {
		about := saying(event)
		doc := v.document(schema.KindOutput, at(max(last, run.End, run.Start)), about)
		doc.Output = event
		docs = append(docs, doc)
	}
	if note := run.Tags["mlflow.note.content"]; note != "" {
		if _, found := redact.Content([]byte(note)); !found {
			doc := v.document(schema.KindNote, began, note)
			doc.Note = &schema.Note{Text: schema.Text(note), By: v.plan.User}
			docs = append(docs, doc)
		} else {
			v.withhold("note", "mlflow.note.content")
		}
	}
	if change := v.status(); change != nil {
		when := began
		if change.To.Ended() {
			when = ended
		}
		doc := v.document(schema.KindStatus, when, saying(change))
		doc.Status = change
		docs = append(docs, doc)
	}
	return docs
}

// saying gives the canonical text of what an event says.
func saying(body any) string {
	text, err := schema.Canonical(body)
	if err != nil { // the document will be refused for the same cause, with its name
		return err.Error()
	}
	return string(text)
}

// outputs gives the metrics, the place of the artifacts, and the time of the latest metric.
func (v *conversion) outputs() (event *schema.OutputEvent, last int64) {
	event = &schema.OutputEvent{}
	for k, m := range v.run.Metrics {
		if event.Metrics == nil {
			event.Metrics = make(map[string]schema.Text, len(v.run.Metrics))
		}
		event.Metrics[k] = m.Text()
		last = max(last, plausible(m.Timestamp))
	}
	if uri, _ := redact.URL(v.run.ArtifactURI); uri != "" {
		event.Outputs = []schema.Output{{Name: "artifacts", URI: schema.Text(uri), Reasons: []schema.Reason{reason("not-hashed", uri,
			"MLflow keeps no digest of artifacts, and an import does not read them")}}}
	}
	if event.Metrics == nil && event.Outputs == nil {
		return nil, 0
	}
	return event, last
}

// status gives nil for a run that MLflow has only planned.
func (v *conversion) status() *schema.StatusChange {
	run := &v.run
	change := &schema.StatusChange{}
	if run.Start != 0 {
		change.Started = at(run.Start)
	}
	switch run.Status {
	case "SCHEDULED":
		return nil
	case "FINISHED":
		change.To = schema.Succeeded
	case "FAILED":
		change.To = schema.Failed
	case "KILLED":
		change.To, change.Why = schema.Failed, "MLflow says that it was killed"
	default: // nobody renews a lease for it: a reader sees it as lost, unless a later import knows its end
		change.To = schema.Running
	}
	if change.To.Ended() && run.End != 0 {
		change.Finished = at(run.End)
	}
	return change
}
