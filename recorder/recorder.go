package recorder

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/runpin/runpin/schema"
)

// Recorder records runs. Every field but Fallback, Beat, Blobs, Tracker, Progress and Warn is needed; cmd/runpin fills them in.
type Recorder struct {
	Images      ImageResolver
	Code        CodeResolver
	Datasets    DatasetResolver
	Environment EnvironmentReader
	Outputs     OutputHasher
	Specs       SpecReader
	Pinner      SpecPinner
	Launchers   map[string]Launcher // by name: local, podman, docker
	Saver       RunSaver
	Fallback    RunSaver // where a report goes when Saver fails after the command has started
	Beat        Beater
	Blobs       schema.BlobSource // of the store; needed only to look into the manifests of pins that are reused
	Tracker     Tracker           // asked at the end what the command told it; nil asks nobody

	// CodeRoot gives the root of the checkout that holds dir, or "".
	CodeRoot func(dir string) string
	// Determining picks the environment variables that can determine a result, and the extra names.
	Determining func(environ, extra []string) map[string]schema.Text
	// NewLease describes this process; a reader uses it to tell a running run from a lost one.
	NewLease func(interval time.Duration) schema.Lease

	// StorePatience is how long a store may take over one report of a joined command before the spool gets it; 15 s when 0.
	StorePatience time.Duration

	Version   string
	Host      string
	StoreName string   // what children see as RUNPIN_STORE
	StoreDirs []string // absolute paths that are never code
	CI        *schema.Submission
	Now       func() time.Time
	Progress  schema.Progress
	Warn      func(format string, args ...any)
}

// BeatInterval is how often a running run renews its lease.
const BeatInterval = 30 * time.Second

// Plan resolves every pin of the request and writes the plan down. When it returns without error the run exists; nothing has been started.
// All pins that cannot be resolved are reported together (errors.Join).
func (r *Recorder) Plan(ctx context.Context, req Request) (*Planned, error) {
	p, err := r.prepare(ctx, req)
	if err != nil {
		return nil, err
	}
	docs := []schema.Document{p.document(schema.KindRun, p.Run.Created)}
	docs[0].ID, docs[0].Plan = schema.DocumentID(p.Run.ID), &p.Run.Plan
	if len(req.Labels) > 0 {
		label := p.document(schema.KindLabel, p.Run.Created)
		label.Label = &schema.Label{Set: req.Labels}
		docs = append(docs, label)
	}
	if len(req.Command) > 0 {
		lease := r.NewLease(BeatInterval)
		p.started = r.Now()
		status := p.document(schema.KindStatus, schema.At(p.started))
		status.Status = &schema.StatusChange{To: schema.Running, Started: schema.At(p.started), Lease: &lease}
		docs = append(docs, status)
	}
	p.docs = docs
	if err := r.Saver.Save(ctx, schema.Report{Documents: docs, Blobs: p.staged.take()}); err != nil {
		p.staged.close()
		return nil, err
	}
	if p.Run, err = schema.Fold(docs); err != nil {
		return nil, err
	}
	return p, nil
}

// Record plans a run and, where it has a command, runs it to its end. An error means that runpin refused and nothing was started.
func (r *Recorder) Record(ctx context.Context, req Request) (Result, error) {
	p, err := r.Plan(ctx, req)
	if err != nil {
		return Result{}, err
	}
	defer p.staged.close()
	if len(req.Command) == 0 {
		return Result{ID: p.Run.ID, Run: p.Run, Pinned: p.Pinned}, nil
	}
	return p.Execute(ctx)
}

// Planned is a run that has been written down and not started yet.
type Planned struct {
	Run    schema.Run
	Pinned []byte // the pinned job spec of a planned job

	r           *Recorder
	req         Request
	staged      *staging
	docs        []schema.Document // every document written so far; the environment's is added before the command's end is
	observed    []schema.Document // seen while the command ran, to be reported with its end
	place       placement
	spec        Spec                   // of a job
	environment <-chan seenEnvironment // one value; nil when there is nothing to look at
	codes       []CodeRequest
	captured    time.Time        // when the code was looked at
	hidden      *schema.ImagePin // a container that the command starts where runpin cannot pin it
	started     time.Time
}

func (p *Planned) document(kind schema.DocumentKind, at schema.Time) schema.Document {
	return schema.Document{Schema: schema.SchemaV1, Kind: kind, ID: schema.NewDocumentID(at.Time()), Run: p.Run.ID, At: at,
		Reporter: schema.Reporter{Kind: p.reporterKind(), Host: p.r.Host, By: p.req.User}}
}

func (p *Planned) reporterKind() string {
	if len(p.req.Command) == 0 {
		return "submitter"
	}
	return "runner"
}

// saveReport never fails: what the store does not take goes to the fallback, and if that fails too it is said.
func (p *Planned) saveReport(ctx context.Context, report schema.Report) {
	p.docs = append(p.docs, report.Documents...)
	err := p.r.Saver.Save(ctx, report)
	if err == nil {
		return
	}
	if p.r.Fallback == nil {
		p.r.warnf("a report of run %s could not be stored: %v", p.Run.ID.Short(), err)
		return
	}
	if spoolErr := p.r.Fallback.Save(ctx, report); spoolErr != nil {
		p.r.warnf("a report of run %s could be kept neither in the store (%v) nor in the spool (%v)", p.Run.ID.Short(), err, spoolErr)
		return
	}
	p.r.warnf("the store did not take a report of run %s (%v); it waits in the spool and is folded in by `runpin import`", p.Run.ID.Short(), err)
}

func workDir(req Request) (string, error) {
	if req.WorkDir != "" {
		return req.WorkDir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", &schema.Error{Op: "recorder.workdir", Kind: schema.Invalid, Subject: "working directory", Err: err, Hint: "change to a directory that exists"}
	}
	return dir, nil
}

func (r *Recorder) warnf(format string, args ...any) {
	if r.Warn != nil {
		r.Warn(format, args...)
	}
}

func internalf(format string, args ...any) error {
	return &schema.Error{Op: "recorder", Kind: schema.Internal, Err: fmt.Errorf(format, args...)}
}
