package recorder

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// trackerSwitch is the variable that keeps runpin from telling trackers of the run, and from asking them: RUNPIN_MLFLOW=off.
const trackerSwitch = "RUNPIN_MLFLOW"

func trackersOff(environ []string) bool {
	return slices.Contains(environ, trackerSwitch+"=off")
}

// trackerTags are the facts about a run that MLflow's own client puts on the runs that the command logs. environ is what the command sees.
func (r *Recorder) trackerTags(run schema.Run, environ []string) map[string]string {
	if trackersOff(environ) {
		return nil
	}
	if err := process.CheckRunContext(environ); err != nil {
		r.warnf("%s: %v; it is passed on as it is, so the runs that MLflow logs do not name this run", process.RunContextName, err)
		return nil
	}
	return TrackerTags(run)
}

// switches are what this process's environment says of trackers: a container that runpin starts sees none of it.
func (p *Planned) switches() []string {
	return slices.DeleteFunc(slices.Clone(p.req.Environ), func(kv string) bool { return !strings.HasPrefix(kv, trackerSwitch+"=") })
}

// maxTaggedDatasets bounds what a run of very many inputs puts on every run of a tracker.
const maxTaggedDatasets = 50

// TrackerTags gives what a tracker's run should be tagged with to name what it ran on: documented in docs/mlflow.md. Tags of MLflow's own are set only where runpin
// saw the value: MLflow's client lets them stand over what it finds out itself.
func TrackerTags(run schema.Run) map[string]string {
	tags := map[string]string{"runpin.run_id": string(run.ID)}
	if fp, _ := run.Fingerprinted(); fp != "" && !run.Created.IsZero() { // a rank that joins may not know the plan
		tags["runpin.fingerprint"] = string(fp)
	}
	for i, pin := range run.Images {
		digest := pin.Pullable()
		if digest == "" {
			digest = pin.ConfigDigest
		}
		if digest == "" {
			continue
		}
		prefix := "runpin.image."
		if i > 0 {
			prefix += pin.Name + "."
		}
		tags[prefix+"digest"], tags[prefix+"ref"], tags[prefix+"use"] = string(digest), string(pin.Ref), string(pin.Use)
		if ref := pin.PinnedReference(true); ref != "" && pin.Use != schema.Claimed && tags["mlflow.docker.image.uri"] == "" {
			tags["mlflow.docker.image.uri"] = ref
		}
	}
	if len(run.Code) > 0 {
		codeTags(tags, run.Code[0])
	}
	for _, pin := range run.Datasets[:min(len(run.Datasets), maxTaggedDatasets)] {
		if value := datasetValue(pin); value != "" {
			tags["runpin.dataset."+pin.Name] = value
		}
	}
	for k, v := range tags {
		if v == "" || redact.Param(k, v) {
			delete(tags, k)
		}
	}
	return tags
}

func datasetValue(pin schema.DatasetPin) string {
	if pin.ContentDigest != "" {
		return string(pin.ContentDigest)
	}
	return pin.VersionID
}

func codeTags(tags map[string]string, pin schema.CodePin) {
	tags["runpin.code.commit"], tags["runpin.code.tree"] = string(pin.Commit), string(pin.Tree)
	if pin.Script != nil {
		tags["runpin.code.script"] = string(pin.Script.Blob.Digest)
	}
	if pin.Tree != "" {
		tags["runpin.code.dirty"] = "false"
		if pin.Dirty {
			tags["runpin.code.dirty"] = "true"
		}
	}
	if pin.Kind == schema.CodeGit && pin.Commit != "" && pin.Use != schema.Claimed {
		tags["mlflow.source.git.commit"] = string(pin.Commit)
		tags["mlflow.source.git.branch"] = strings.TrimPrefix(string(pin.RefName), "refs/heads/")
		tags["mlflow.source.git.repoURL"] = pin.Remote
	}
}

// readBack asks the tracker what the command told it. What it says of metrics is added to metrics, where the user's own file does not say otherwise; the answer
// is the labels that tie the two together, or none, and reasons.
func (r *Recorder) readBack(ctx context.Context, req TrackerRequest, metrics map[string]schema.Text) (labels *schema.Label, all map[string]schema.Text, reasons []schema.Reason) {
	if r.Tracker == nil || trackersOff(req.Environ) {
		return nil, metrics, nil
	}
	tracked := r.Tracker.ReadBack(ctx, req)
	all = metrics
	copied := false
	for k, v := range tracked.Metrics {
		if _, given := metrics[k]; given || redact.Param(k, string(v)) {
			continue
		}
		if !copied {
			all, copied = map[string]schema.Text{}, true
			maps.Copy(all, metrics)
		}
		all[k] = v
	}
	if len(tracked.Labels) > 0 {
		labels = &schema.Label{Set: tracked.Labels}
	}
	for _, reason := range tracked.Reasons {
		r.warnf("mlflow: %s", reason.Text)
	}
	return labels, all, tracked.Reasons
}
