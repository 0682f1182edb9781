package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// Epoch is when the runs of the tests begin.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Digest gives a digest that depends on name alone.
func Digest(name string) schema.Digest { return schema.SHA256([]byte(name)) }

// Object gives a git object id that depends on name alone.
func Object(name string) schema.ObjectID { return schema.ObjectID(Digest(name).Hex()[:40]) }

// Sample is a run and its reports, ready to be saved.
type Sample struct {
	ID   schema.RunID
	At   time.Time
	Plan schema.Plan
}

// NewSample makes a run, created n minutes after [Epoch], with pins of every kind whose values depend on n.
func NewSample(n int) *Sample {
	at := Epoch.Add(time.Duration(n) * time.Minute)
	name := func(format string) string { return fmt.Sprintf(format, n) }
	return &Sample{ID: schema.NewRunID(at), At: at, Plan: schema.Plan{
		Name: name("run-%d"), Project: "vision", User: "ada", Created: schema.At(at), Recorder: "runpin test",
		Images: []schema.ImagePin{{Name: "image", Ref: "registry.example/team/trainer:1.4", Repository: "registry.example/team/trainer", Tag: "1.4",
			IndexDigest: Digest(name("index %d")), PlatformDigest: Digest(name("platform %d")), ConfigDigest: Digest(name("config %d")), Platform: "linux/amd64", Use: schema.Claimed}},
		Code: []schema.CodePin{{Name: "code", Kind: schema.CodeGit, Ref: ".", Commit: Object(name("commit %d")), CommitTree: Object(name("tree %d")),
			Tree: Object(name("tree %d")), Use: schema.Observed}},
		Datasets: []schema.DatasetPin{{Name: "train", Role: schema.RoleData, URI: "data/train", Scheme: "file", ContentDigest: Digest(name("content %d")),
			DigestKind: schema.DirHash, Directory: true, Strength: schema.StrengthContent, Use: schema.Observed}},
		Command: schema.Texts([]string{"python", "train.py"}),
		Params:  map[string]schema.Text{"lr": schema.Text(name("0.%d")), "seed": schema.Text(name("%d"))},
	}}
}

// Doc makes a document of the run, written after the given time since its creation.
func (s *Sample) Doc(kind schema.DocumentKind, after time.Duration) schema.Document {
	at := s.At.Add(after)
	return schema.Document{Schema: schema.SchemaV1, Kind: kind, ID: schema.NewDocumentID(at), Run: s.ID, At: schema.At(at), Reporter: schema.Reporter{Kind: "runner", Host: "h1"}}
}

// Base is the base document.
func (s *Sample) Base() schema.Document {
	d := s.Doc(schema.KindRun, 0)
	d.ID, d.Plan = schema.DocumentID(s.ID), &s.Plan
	return d
}

// Running says that the run was started, by the process that lease describes.
func (s *Sample) Running(after time.Duration, lease *schema.Lease) schema.Document {
	d := s.Doc(schema.KindStatus, after)
	d.Status = &schema.StatusChange{To: schema.Running, Started: d.At, Lease: lease}
	return d
}

// Ended says that the run ended.
func (s *Sample) Ended(after time.Duration, to schema.Status) schema.Document {
	d := s.Doc(schema.KindStatus, after)
	code := 0
	if to == schema.Failed {
		code = 1
	}
	d.Status = &schema.StatusChange{To: to, Finished: d.At, ExitCode: &code}
	if to == schema.Succeeded {
		d.Status.Fingerprint = schema.Fingerprint(schema.FingerprintPrefix + Digest("fingerprint "+string(s.ID)).Hex())
	}
	return d
}

// Output adds metrics, given as name and value in turn, and an output whose digest depends on the run's id.
func (s *Sample) Output(after time.Duration, metrics ...string) schema.Document {
	d := s.Doc(schema.KindOutput, after)
	d.Output = &schema.OutputEvent{Outputs: []schema.Output{{Name: "model", URI: "model.pt", FileDigest: Digest("model " + string(s.ID)), Bytes: 10, Files: 1}}}
	for i := 0; i+1 < len(metrics); i += 2 {
		if d.Output.Metrics == nil {
			d.Output.Metrics = map[string]schema.Text{}
		}
		d.Output.Metrics[metrics[i]] = schema.Text(metrics[i+1])
	}
	return d
}

// Label sets labels, given as name and value in turn.
func (s *Sample) Label(after time.Duration, labels ...string) schema.Document {
	d := s.Doc(schema.KindLabel, after)
	d.Label = &schema.Label{Set: map[string]string{}}
	for i := 0; i+1 < len(labels); i += 2 {
		d.Label.Set[labels[i]] = labels[i+1]
	}
	return d
}

// Unlabel removes labels.
func (s *Sample) Unlabel(after time.Duration, names ...string) schema.Document {
	d := s.Doc(schema.KindLabel, after)
	d.Label = &schema.Label{Remove: names}
	return d
}

// Report puts documents together.
func Report(docs ...schema.Document) schema.Report { return schema.Report{Documents: docs} }

// Manifest makes the manifest of a data set of so many files.
func Manifest(name string, files int) schema.Blob {
	var b strings.Builder
	for i := range files {
		fmt.Fprintf(&b, "%s  %s/%06d.bin\n", Digest(fmt.Sprint(name, i)).Hex(), name, i)
	}
	return schema.NewBlob(schema.BlobManifest, []byte(b.String()))
}

// UseManifest makes the manifest that of the run's data set.
func (s *Sample) UseManifest(b schema.Blob, files int64) {
	d := &s.Plan.Datasets[0]
	d.ContentDigest, d.Manifest, d.Files = b.Ref.Digest, &b.Ref, files
}
