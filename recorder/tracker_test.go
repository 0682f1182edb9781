package recorder

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/schema"
)

func TestTrackerTags(t *testing.T) {
	digest := schema.SHA256([]byte("x"))
	tree, commit := schema.ObjectID(strings.Repeat("a", 40)), schema.ObjectID(strings.Repeat("b", 40))
	run := schema.Run{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Plan: schema.Plan{
		Images: []schema.ImagePin{{Name: "image", Ref: "r.example/t:1", Repository: "r.example/t", Tag: "1", PlatformDigest: digest, Use: schema.Claimed},
			{Name: "side", Ref: "r.example/s:2", Repository: "r.example/s", Tag: "2", IndexDigest: digest, Use: schema.Enforced}},
		Code:     []schema.CodePin{{Name: "code", Kind: schema.CodeGit, Commit: commit, Tree: tree, RefName: "refs/heads/main", Remote: "https://git.example/t.git", Dirty: true, Use: schema.Observed}},
		Datasets: []schema.DatasetPin{{Name: "train", ContentDigest: digest}, {Name: "eval", VersionID: "v7"}, {Name: "open"}},
	}}
	want := map[string]string{"runpin.run_id": string(run.ID), "runpin.image.digest": string(digest), "runpin.image.ref": "r.example/t:1", "runpin.image.use": "claimed",
		"runpin.image.side.digest": string(digest), "runpin.image.side.ref": "r.example/s:2", "runpin.image.side.use": "enforced", "mlflow.docker.image.uri": "r.example/s:2@" + string(digest),
		"runpin.code.commit": string(commit), "runpin.code.tree": string(tree), "runpin.code.dirty": "true", "mlflow.source.git.commit": string(commit), "mlflow.source.git.branch": "main",
		"mlflow.source.git.repoURL": "https://git.example/t.git", "runpin.dataset.train": string(digest), "runpin.dataset.eval": "v7"}
	if diff := cmp.Diff(want, TrackerTags(run)); diff != "" {
		t.Error(diff)
	}
	// What was only claimed does not stand over what MLflow's client sees itself.
	run.Code[0].Use, run.Code[0].Tree = schema.Claimed, ""
	if tags := TrackerTags(run); tags["mlflow.source.git.commit"] != "" || tags["runpin.code.commit"] != string(commit) || tags["runpin.code.dirty"] != "" {
		t.Errorf("%v", tags)
	}
	run.Datasets[1].VersionID = "https://ada:hunter2@h/x"
	if _, told := TrackerTags(run)["runpin.dataset.eval"]; told {
		t.Error("a secret was told to the tracker")
	}
}

type fixedTracker Tracked

func (f fixedTracker) ReadBack(context.Context, TrackerRequest) Tracked { return Tracked(f) }

// TestReadBackAddsToTheUsersMetrics: the file of the user stands, secrets stay out, and off is off.
func TestReadBackAddsToTheUsersMetrics(t *testing.T) {
	r := &Recorder{Tracker: fixedTracker{Labels: map[string]string{"mlflow.run_id": "x"}, Metrics: map[string]schema.Text{"loss": "1", "acc": "2"},
		Reasons: []schema.Reason{{Code: "mlflow-not-read-back", Text: "why"}}}}
	ask := TrackerRequest{}
	given := map[string]schema.Text{"loss": "0.5"}
	labels, metrics, reasons := r.readBack(t.Context(), ask, given)
	if labels == nil || labels.Set["mlflow.run_id"] != "x" || len(reasons) != 1 || len(given) != 1 {
		t.Errorf("%v %v %v", labels, reasons, given)
	}
	if diff := cmp.Diff(map[string]schema.Text{"loss": "0.5", "acc": "2"}, metrics); diff != "" {
		t.Error(diff)
	}
	ask.Environ = []string{"RUNPIN_MLFLOW=off"}
	if labels, metrics, reasons := r.readBack(t.Context(), ask, given); labels != nil || reasons != nil || len(metrics) != 1 {
		t.Errorf("switched off: %v %v %v", labels, metrics, reasons)
	}
}

// TestRankZeroReadsBack: of the ranks that join, the one that owns the metrics asks the tracker; the others would find the same.
func TestRankZeroReadsBack(t *testing.T) {
	for rank, want := range []int{1, 0} {
		f := &fakes{}
		r, dir := newTestRecorder(t, f)
		r.Tracker = fixedTracker{Labels: map[string]string{"mlflow.run_id": "x"}, Metrics: map[string]schema.Text{"loss": "1"}}
		req := JoinRequest{Run: schema.NewRunID(r.Now()), Seat: process.Seat{Rank: &rank}, Command: []string{"train"}, WorkDir: dir}
		if _, err := r.Join(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		labels, metrics := 0, 0
		for _, report := range f.reports {
			for _, d := range report.Documents {
				if d.Label != nil {
					labels++
				}
				if d.Output != nil {
					metrics += len(d.Output.Metrics)
				}
			}
		}
		if labels != want || metrics != want {
			t.Errorf("rank %d: %d labels and %d metrics were read back, want %d of each", rank, labels, metrics, want)
		}
	}
}
