package recorder

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// fakes are the ports with fixed answers.
type fakes struct {
	mu       sync.Mutex
	reports  []schema.Report
	saveErr  func(n int) error // of the n-th report
	imageErr error
	dataErr  error
	drift    *schema.Drifted
	launch   func(LaunchRequest) (Exit, error)
	launched []LaunchRequest
}

func (f *fakes) Save(_ context.Context, r schema.Report) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.saveErr != nil {
		if err := f.saveErr(len(f.reports)); err != nil {
			return err
		}
	}
	f.reports = append(f.reports, r)
	return nil
}

func (f *fakes) ResolveImage(_ context.Context, req ImageRequest) (schema.ImagePin, error) {
	if f.imageErr != nil {
		return schema.ImagePin{}, f.imageErr
	}
	return schema.ImagePin{Name: req.Name, Ref: schema.Text(req.Ref), Repository: "registry.example/team/trainer", Tag: "1.4", Platform: "linux/amd64",
		PlatformDigest: schema.SHA256([]byte("manifest")), ConfigDigest: schema.SHA256([]byte("config")), Use: schema.Claimed,
		Origin: schema.Origin{Kind: schema.FromRegistry, At: now()}}, nil
}

func (f *fakes) ResolveCode(ctx context.Context, req CodeRequest) (schema.CodePin, error) {
	if _, err := req.Sink.PutBlob(ctx, schema.BlobFile, strings.NewReader("a changed file")); err != nil {
		return schema.CodePin{}, err
	}
	return schema.CodePin{Name: req.Name, Kind: schema.CodeGit, Ref: schema.Text(req.Ref), Commit: oid, CommitTree: oid, Tree: oid, Use: schema.Observed,
		Origin: schema.Origin{Kind: schema.FromGit, At: now()}}, nil
}

const oid = "9fceb02d0ae598e95dc970b74767f19372d61af8"

func (f *fakes) ResolveDataset(_ context.Context, req DatasetRequest) (schema.DatasetPin, error) {
	if f.dataErr != nil {
		return schema.DatasetPin{}, f.dataErr
	}
	return schema.DatasetPin{Name: req.Name, Role: req.Role, URI: schema.Text(req.URI), Scheme: "file", ContentDigest: schema.SHA256([]byte("data")), DigestKind: schema.DirHash,
		Path:     &schema.Path{Typed: schema.Text(req.URI), Base: schema.BaseCheckout, Rel: schema.Text(req.URI), Located: schema.Text(filepath.Join(req.WorkDir, req.URI))},
		Strength: schema.StrengthContent, Use: schema.Observed, Origin: schema.Origin{Kind: schema.FromContent, At: now()}}, nil
}

func (f *fakes) RecheckDataset(context.Context, schema.DatasetPin) *schema.Drifted { return f.drift }

func (f *fakes) HashOutput(_ context.Context, path string, _ schema.BlobSink) (schema.Output, error) {
	b, err := os.ReadFile(path)
	return schema.Output{FileDigest: schema.SHA256(b), Bytes: int64(len(b)), Files: 1}, err
}

func (f *fakes) Launch(_ context.Context, req LaunchRequest) (Exit, error) {
	f.launched = append(f.launched, req)
	if f.launch != nil {
		return f.launch(req)
	}
	return Exit{}, nil
}

func now() schema.Time { return schema.At(time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)) }

func newTestRecorder(t *testing.T, f *fakes) (*Recorder, string) {
	t.Helper()
	dir := t.TempDir()
	return &Recorder{Images: f, Code: f, Datasets: f, Outputs: f, Saver: f, Launchers: map[string]Launcher{"local": f, "podman": f},
		CodeRoot: func(string) string { return dir }, Determining: func([]string, []string) map[string]schema.Text { return nil },
		NewLease: func(time.Duration) schema.Lease { return schema.Lease{PID: 1} }, Version: "test", Now: time.Now,
		Warn: func(format string, args ...any) { t.Logf(format, args...) }}, dir
}

func command(dir string, argv ...string) Request {
	return Request{Command: argv, WorkDir: dir, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, User: "t"}
}

func fold(t *testing.T, f *fakes) schema.Run {
	t.Helper()
	var docs []schema.Document
	for _, r := range f.reports {
		docs = append(docs, r.Documents...)
	}
	run, err := schema.Fold(docs)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestRecordWritesThePlanBeforeTheCommandStarts(t *testing.T) {
	f := &fakes{}
	r, dir := newTestRecorder(t, f)
	f.launch = func(LaunchRequest) (Exit, error) {
		run := fold(t, f)
		if run.Status != schema.Running || len(run.Code) != 1 || run.Lease == nil {
			t.Errorf("when the command started the store had %s with %d code pins", run.Status, len(run.Code))
		}
		if len(f.reports[0].Blobs) != 1 {
			t.Errorf("the plan came with %d blobs, want the changed file", len(f.reports[0].Blobs))
		}
		return Exit{Code: 3}, nil
	}
	result, err := r.Record(t.Context(), command(dir, "train"))
	if err != nil || result.Code != 3 {
		t.Fatalf("code %d, error %v", result.Code, err)
	}
	if run := fold(t, f); run.Status != schema.Failed || *run.ExitCode != 3 || run.Fingerprint == "" {
		t.Errorf("sealed as %s, fingerprint %q", run.Status, run.Fingerprint)
	}
}

func TestNothingStartsWhenAPinFails(t *testing.T) {
	f := &fakes{imageErr: &schema.Error{Kind: schema.Unpinnable, Subject: "img"}, dataErr: &schema.Error{Kind: schema.Unavailable, Subject: "data"}}
	r, dir := newTestRecorder(t, f)
	req := command(dir, "train")
	req.Images, req.Datasets = []ImageRef{{"image", "a:1"}}, []DatasetRef{{Name: "d", URI: "d", Role: schema.RoleData}}
	_, err := r.Record(t.Context(), req)
	if kinds := schema.Kinds(err); len(kinds) != 2 || !slices.Contains(kinds, schema.Unpinnable) || !slices.Contains(kinds, schema.Unavailable) {
		t.Errorf("kinds %v, want both failures: %v", kinds, err)
	}
	if len(f.reports) != 0 || len(f.launched) != 0 {
		t.Errorf("%d reports and %d launches after a refusal", len(f.reports), len(f.launched))
	}
	req.BestEffort = true
	if _, err := r.Record(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	run := fold(t, f)
	if run.Images[0].Reasons[0].Code != "unresolved" || run.Datasets[0].Reasons[0].Code != "unresolved" || run.Fingerprint != "" {
		t.Errorf("best effort recorded %+v, fingerprint %q", run.Images[0].Reasons, run.Fingerprint)
	}
}

func TestAStoreThatFailsBeforeTheStartRefuses(t *testing.T) {
	f := &fakes{saveErr: func(int) error { return &schema.Error{Kind: schema.Unavailable, Subject: "full"} }}
	r, dir := newTestRecorder(t, f)
	if _, err := r.Record(t.Context(), command(dir, "train")); !schema.IsKind(err, schema.Unavailable) {
		t.Errorf("error %v", err)
	}
	if len(f.launched) != 0 {
		t.Error("the command was started without a record")
	}
}

func TestAStoreThatFailsAfterTheStartHurtsNothing(t *testing.T) {
	f := &fakes{saveErr: func(n int) error {
		if n == 0 {
			return nil
		}
		return errors.New("disk full")
	}}
	spool := &fakes{}
	r, dir := newTestRecorder(t, f)
	r.Fallback = spool
	result, err := r.Record(t.Context(), command(dir, "train"))
	if err != nil || result.Code != 0 {
		t.Fatalf("code %d, error %v", result.Code, err)
	}
	if len(spool.reports) != 1 {
		t.Fatalf("%d reports in the spool, want the end of the run", len(spool.reports))
	}
	f.reports = append(f.reports, spool.reports...)
	if run := fold(t, f); run.Status != schema.Succeeded {
		t.Errorf("store and spool together say %s", run.Status)
	}
}

func TestOutputsMissingStaleAndWritten(t *testing.T) {
	f := &fakes{}
	r, dir := newTestRecorder(t, f)
	for _, name := range []string{"stale.txt", "written.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.launch = func(LaunchRequest) (Exit, error) {
		return Exit{}, os.WriteFile(filepath.Join(dir, "written.txt"), []byte("old"), 0o644) // the same content, written anew
	}
	req := command(dir, "train")
	req.Outputs = []OutputRef{{"missing", "missing.txt"}, {"stale", "stale.txt"}, {"written", "written.txt"}}
	if _, err := r.Record(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	run := fold(t, f)
	if o := run.Outputs; !o[0].Missing || o[0].Stale || !o[1].Stale || o[2].Stale || o[2].FileDigest == "" {
		t.Errorf("outputs %+v", o)
	}
}

func TestDriftLeavesNoFingerprint(t *testing.T) {
	f := &fakes{drift: &schema.Drifted{Pin: "dataset:d", Text: "a.csv changed"}}
	r, dir := newTestRecorder(t, f)
	req := command(dir, "train", "--data", "d")
	req.Datasets = []DatasetRef{{Name: "d", URI: "d", Role: schema.RoleData}}
	if _, err := r.Record(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if run := fold(t, f); len(run.Drift) != 1 || run.Fingerprint != "" {
		t.Errorf("drift %v, fingerprint %q", run.Drift, run.Fingerprint)
	}
}

func TestContainerRunsByDigestWithMounts(t *testing.T) {
	f := &fakes{}
	r, dir := newTestRecorder(t, f)
	req := command(dir, "train", "--data", "{d}")
	req.In, req.Images, req.Datasets = "podman", []ImageRef{{"image", "registry.example/team/trainer:1.4"}}, []DatasetRef{{Name: "d", URI: "d", Role: schema.RoleData}}
	if _, err := r.Record(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	got := f.launched[0]
	if want := "registry.example/team/trainer@" + string(schema.SHA256([]byte("manifest"))); got.Image != want {
		t.Errorf("image %s, want %s", got.Image, want)
	}
	if !slices.Contains(got.Mounts, Mount{dir, "/workspace", false}) || !slices.Contains(got.Mounts, Mount{filepath.Join(dir, "d"), "/workspace/d", true}) {
		t.Errorf("mounts %v", got.Mounts)
	}
	if run := fold(t, f); run.Images[0].Use != schema.Enforced || run.Launcher != "podman" {
		t.Errorf("use %s, launcher %s", run.Images[0].Use, run.Launcher)
	}
}

func TestPodmanRunIsRewrittenToTheDigest(t *testing.T) {
	f := &fakes{}
	r, dir := newTestRecorder(t, f)
	if _, err := r.Record(t.Context(), command(dir, "podman", "run", "--rm", "registry.example/team/trainer:1.4", "train")); err != nil {
		t.Fatal(err)
	}
	if got := f.launched[0].Argv[3]; !strings.Contains(got, "@sha256:") {
		t.Errorf("podman was started with %s", got)
	}
	if run := fold(t, f); run.Images[0].Use != schema.Enforced || run.CommandTemplate[3] != "{image}" {
		t.Errorf("use %s, template %q", run.Images[0].Use, run.CommandTemplate)
	}
}

func TestSecretsNeverReachAReport(t *testing.T) {
	f := &fakes{}
	r, dir := newTestRecorder(t, f)
	const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB"
	req := command(dir, "train", "--api-key="+secret, "--lr", "{lr}", "--auth", "{token}")
	req.Params = map[string]schema.Text{"token": secret, "lr": "0.1"}
	if _, err := r.Record(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if got := f.launched[0].Argv; got[1] != "--api-key="+secret || got[5] != secret {
		t.Errorf("the command got %q", got)
	}
	for _, report := range f.reports {
		for _, d := range report.Documents {
			b, err := d.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), secret) {
				t.Errorf("the secret is in a document of kind %s", d.Kind)
			}
		}
	}
	if run := fold(t, f); len(run.Withheld) != 2 {
		t.Errorf("withheld %+v", run.Withheld)
	}
}
