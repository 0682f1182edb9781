package mlflow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
)

// memory is a store with the one rule that matters here: a document never changes.
type memory struct {
	docs   map[schema.RunID]map[schema.DocumentID][]byte
	refuse schema.RunID // a run that it does not take
	down   bool
}

func (m *memory) Save(_ context.Context, report schema.Report) error {
	if m.down {
		return &schema.Error{Kind: schema.Unavailable, Subject: "store"}
	}
	encoded := make([][]byte, len(report.Documents))
	for i, d := range report.Documents {
		b, err := d.Encode()
		if err == nil && d.Run == m.refuse {
			err = &schema.Error{Kind: schema.Invalid, Subject: "as the test asked"}
		}
		if err == nil && m.docs[d.Run][d.ID] != nil && !bytes.Equal(m.docs[d.Run][d.ID], b) {
			err = &schema.Error{Kind: schema.Conflict, Subject: string(d.ID)}
		}
		if err != nil {
			return err
		}
		encoded[i] = b
	}
	for i, d := range report.Documents {
		if m.docs == nil {
			m.docs = map[schema.RunID]map[schema.DocumentID][]byte{}
		}
		if m.docs[d.Run] == nil {
			m.docs[d.Run] = map[schema.DocumentID][]byte{}
		}
		m.docs[d.Run][d.ID] = encoded[i]
	}
	return nil
}

func (m *memory) Documents(_ context.Context, id schema.RunID) ([]schema.Document, error) {
	var docs []schema.Document
	for _, b := range m.docs[id] {
		d, err := schema.DecodeDocument(b)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	if len(docs) == 0 {
		return nil, &schema.Error{Kind: schema.NotFound, Subject: string(id)}
	}
	return docs, nil
}

func (m *memory) count() (n int) {
	for _, docs := range m.docs {
		n += len(docs)
	}
	return n
}

func (m *memory) run(t *testing.T, id schema.RunID) schema.Run {
	t.Helper()
	docs, err := m.Documents(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	run, err := schema.Fold(docs)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func (m *memory) bring(t *testing.T, path string) Report {
	t.Helper()
	h, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	report, err := (&Importer{Store: m, Version: fmt.Sprint("v", m.count()), Warn: t.Logf}).Import(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestImportTwice: the second time, by a newer runpin, nothing is added.
func TestImportTwice(t *testing.T) {
	for _, fixture := range fixtures {
		m := &memory{}
		want := Report{Runs: 3, New: 3, WithImage: 1, WithCommit: 2, WithDataset: 1, WithAll: 1}
		if diff := cmp.Diff(want, m.bring(t, fixture)); diff != "" {
			t.Error(diff)
		}
		before := m.count()
		want.New, want.Unchanged = 0, 3
		if diff := cmp.Diff(want, m.bring(t, fixture)); diff != "" || m.count() != before {
			t.Errorf("%d documents more; %s", m.count()-before, diff)
		}
	}
}

// TestImportLater follows a run that goes on: metrics grow, a tag and a note come, it ends; and what came too late for the plan is said.
func TestImportLater(t *testing.T) {
	root := t.TempDir()
	dir := fileStore(t, root, "0", "aa11")
	write(t, dir+"/meta.yaml", "run_id: aa11\nrun_name: r\nstatus: 1\nstart_time: 1760000000000\n")
	write(t, dir+"/metrics/loss", "1760000000001 0.9 1\n")
	write(t, dir+"/params/lr", "0.1")
	m := &memory{}
	m.bring(t, root)
	id := RunID("aa11", 1760000000000)
	if run := m.run(t, id); run.Status != schema.Running || run.Metrics["loss"] != "0.9" || run.Lease != nil {
		t.Fatalf("%+v", run)
	}
	// The same instant as the first: the later import stands over it all the same.
	for step := 2; step < 12; step++ {
		write(t, dir+"/metrics/loss", fmt.Sprintf("1760000000001 0.9 1\n1760000000001 0.%d 2\n", step))
		write(t, dir+"/tags/stage", fmt.Sprint(step))
		if r := m.bring(t, root); r.Updated != 1 {
			t.Fatalf("%+v", r)
		}
		if run := m.run(t, id); string(run.Metrics["loss"]) != strings.TrimSuffix(fmt.Sprintf("0.%d", step), "0") || run.Labels["mlflow.tag.stage"] != fmt.Sprint(step) {
			t.Fatalf("step %d: %v %v", step, run.Metrics, run.Labels)
		}
	}
	write(t, dir+"/params/late", "1")
	write(t, dir+"/tags/mlflow.note.content", "done")
	write(t, dir+"/meta.yaml", "run_id: aa11\nrun_name: renamed\nstatus: 5\nstart_time: 1760000000000\nend_time: 1760000060000\n")
	if r := m.bring(t, root); r.Updated != 1 {
		t.Fatalf("%+v", r)
	}
	run := m.run(t, id)
	if run.Status != schema.Failed || run.Finished.Time().UnixMilli() != 1760000060000 || len(run.Notes) != 1 || run.Name != "r" || run.Params["late"] != "" {
		t.Errorf("%+v", run)
	}
	said := false
	for _, o := range run.Observations {
		for _, r := range o.Reasons {
			said = said || r.Code == "mlflow-later" && r.Subject == "param:late"
		}
	}
	if !said {
		t.Error("nothing says that a param came too late")
	}
	if r := m.bring(t, root); r.Unchanged != 1 {
		t.Errorf("%+v", r)
	}
}

// TestWhatRunpinRecorded: a run that runpin recorded is not brought in a second time; one nested in it becomes its child.
func TestWhatRunpinRecorded(t *testing.T) {
	m := &memory{}
	now := schema.At(at(1760000000000).Time())
	own := schema.NewRunID(now.Time())
	base := schema.Document{Schema: schema.SchemaV1, Kind: schema.KindRun, ID: schema.DocumentID(own), Run: own, At: now, Reporter: schema.Reporter{Kind: "runner"},
		Plan: &schema.Plan{Created: now, Recorder: "runpin test"}}
	if err := m.Save(t.Context(), schema.Report{Documents: []schema.Document{base}}); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, fileStore(t, root, "0", "aa11")+"/tags/"+TagRunID, string(own))
	child := fileStore(t, root, "0", "bb22")
	write(t, child+"/tags/"+TagRunID, string(own))
	write(t, child+"/tags/mlflow.parentRunId", "aa11")
	if r := m.bring(t, root); r.Recorded != 1 || r.New != 1 {
		t.Fatalf("%+v", r)
	}
	if run := m.run(t, own); run.Labels[LabelRunID] != "aa11" {
		t.Errorf("labels: %v", run.Labels)
	}
	if run := m.run(t, RunID("bb22", 1760000000000)); run.Parent != own {
		t.Errorf("parent: %q", run.Parent)
	}
	if before := m.count(); m.bring(t, root).Recorded != 1 || m.count() != before {
		t.Error("again, and something was added")
	}
}

// TestManyRunsOfOne: what a command logged side by side is tied run by run, up to a limit, past which it is said; and nothing that stands is taken away.
func TestManyRunsOfOne(t *testing.T) {
	for _, n := range []int{2, maxTied, maxTied + 3} {
		m := &memory{}
		now := schema.At(at(1760000000000).Time())
		own := schema.NewRunID(now.Time())
		base := schema.Document{Schema: schema.SchemaV1, Kind: schema.KindRun, ID: schema.DocumentID(own), Run: own, At: now, Reporter: schema.Reporter{Kind: "runner"},
			Plan: &schema.Plan{Created: now, Recorder: "runpin test"}}
		first := schema.Document{Schema: schema.SchemaV1, Kind: schema.KindLabel, ID: schema.NewDocumentID(now.Time()), Run: own, At: now, Reporter: schema.Reporter{Kind: "runner"},
			Label: &schema.Label{Set: map[string]string{LabelRunID: "aa01"}}}
		if err := m.Save(t.Context(), schema.Report{Documents: []schema.Document{base, first}}); err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		for i := range n {
			write(t, fileStore(t, root, "0", fmt.Sprintf("aa%02d", i))+"/tags/"+TagRunID, string(own))
		}
		if r := m.bring(t, root); r.Recorded != n {
			t.Fatalf("%+v", r)
		}
		run := m.run(t, own)
		names := map[string]bool{}
		for _, label := range LabelNames() {
			if id := run.Labels[label]; id != "" {
				names[id] = true
			}
		}
		if len(names) != min(n, maxTied) || run.Labels[LabelRunID] != "aa01" {
			t.Errorf("%d runs: %v", n, run.Labels)
		}
		said := 0
		for _, o := range run.Observations {
			for _, r := range o.Reasons {
				if r.Code == "mlflow-more-runs" {
					said++
				}
			}
		}
		if want := map[bool]int{true: 1}[n > maxTied]; said != want {
			t.Errorf("%d runs: it is said %d times that there are more, want %d", n, said, want)
		}
		if before := m.count(); m.bring(t, root).Recorded != n || m.count() != before {
			t.Errorf("%d runs: again, and %d documents were added", n, m.count()-before)
		}
	}
}

// TestOneBadRun: what the store refuses of one run does not keep the others out, and is said.
func TestOneBadRun(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"aa11", "bb22", "cc33"} {
		fileStore(t, root, "0", id)
	}
	m := &memory{refuse: RunID("bb22", 1760000000000)}
	if r := m.bring(t, root); r.New != 2 || r.Failed != 1 || r.Runs != 3 {
		t.Errorf("%+v", r)
	}
}

// TestStoreGone ends the import; what was brought in stays, and the next import goes on.
func TestStoreGone(t *testing.T) {
	m := &memory{down: true}
	h, err := Open(t.Context(), fixtures[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := (&Importer{Store: m, Version: "v"}).Import(t.Context(), h); schema.KindOf(err) != schema.Unavailable {
		t.Errorf("%v", err)
	}
	m.down = false
	if r := m.bring(t, fixtures[0]); r.New != 3 {
		t.Errorf("%+v", r)
	}
}

func FuzzMeta(f *testing.F) {
	for _, path := range []string{"mlruns/*/meta.yaml", "mlruns/*/*/meta.yaml", "mlruns/*/*/*/*/meta.yaml"} {
		files, err := filepath.Glob("testdata/" + path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > maxMeta {
			return
		}
		m, err := meta(content)
		metaTag(content, contextTag)
		if err != nil {
			return
		}
		docs := Converter{Version: "v"}.Documents(Run{ID: "a", Name: m["run_name"], User: m["user_id"], Experiment: m["name"], Status: statusWord(m["status"]),
			Start: millis(m["start_time"]), End: millis(m["end_time"]), ArtifactURI: m["artifact_uri"],
			Datasets: []Dataset{{Name: m["name"], Digest: m["digest"], SourceType: m["source_type"], Source: m["source"]}}, Tags: m, Params: m})
		for _, d := range docs {
			if _, err := d.Encode(); err != nil && !errors.As(err, new(*schema.Error)) {
				t.Errorf("%v", err)
			}
		}
	})
}

func FuzzMetric(f *testing.F) {
	for _, seed := range []string{"1 0.5 1\n", "1 nan\n2 inf 3\n", "1 -inf 2 name digest\n", "1 0x1p-2 1\n", "9223372036854775807 1e999 -1", "\n\n1 1_0 1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := lastMetric(bytes.NewReader(content))
		if err != nil {
			return
		}
		// What is printed is read again as the same number.
		again, err := number(string(m.Text()))
		if err != nil || (Metric{Value: again}).Text() != m.Text() {
			t.Errorf("%v is printed as %s and read as %v (%v)", m.Value, m.Text(), again, err)
		}
	})
}

func TestMetricText(t *testing.T) {
	for text, want := range map[string]schema.Text{"1": "1.0", "0.1": "0.1", "1e-05": "1e-05", "0.0001": "0.0001", "1e16": "1e+16", "123456789.5": "123456789.5", "nan": "NaN",
		"inf": "+Inf", "-Infinity": "-Inf", "1.7976931348623157e308": "+Inf", "-0.0": "-0.0"} {
		v, err := number(text)
		if err != nil || (Metric{Value: v}).Text() != want {
			t.Errorf("%s: %s, want %s (%v)", text, Metric{Value: v}.Text(), want, err)
		}
	}
}
