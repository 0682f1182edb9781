package rerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Rerunner runs old runs again. Every field but Progress and Warn is needed; cmd/runpin fills them in.
type Rerunner struct {
	Images   ImageChecker
	Code     Code
	Datasets Datasets
	Blobs    schema.BlobSource
	Record   Recording
	Collect  Collecting
	Saver    Saver
	Outputs  OutputHasher  // proves outputs before they are looked into; nil: directories are not
	Compare  CompareRunner // nil: no compare command is run
	// Scheduler finds what job specs are handed to, by the name of the place. images are the pins of the run: an index and the manifest of a platform in it are one
	// image, which a digest alone does not tell.
	Scheduler func(on string, images []schema.ImagePin) (launch.Batch, error)
	// Reader reads recorded job specs.
	Reader jobspec.Reader
	// Determining picks the environment variables that can determine a result.
	Determining func(environ, extra []string) map[string]schema.Text
	// ReplaceRoot replaces a path, where it stands as a whole path or as the beginning of one.
	ReplaceRoot func(text, old, new string) string
	// ReadEngine finds what a command of a container engine (`podman run …`) says to the engine itself; nothing for any other command.
	ReadEngine  func(argv []string) (EngineCommand, error)
	Host        string
	User        string // who asks
	VerifyFlags string // what `runpin verify` must be told to reach the cluster that this was told of: " --context lab"; hints name it
	// Process describes this process, and Alive says whether the process that another rerun described is still there; known is false where that cannot be
	// found out from here. Nil: nobody else is taken to be there.
	Process  func() schema.Lease
	Alive    func(schema.Lease) (alive, known bool)
	Now      func() schema.Time
	Progress schema.Progress
	Warn     func(format string, args ...any)
	// Hardware and Places are asked about what the record cannot tell; without them nobody is.
	Hardware Hardware
	Places   Places

	patience time.Duration // before it is said which server does not answer; 10 s when 0
}

// Request says what to run again, and where the user wants it otherwise. Each relaxation ends up in the record of the new run.
type Request struct {
	_ struct{}

	Run     schema.Run
	On      string            // local, podman, docker, slurm or kubernetes; "" for where it ran
	Dir     string            // where to restore; must be absent or empty
	Set     []Setting         // --set K=V
	At      map[string]string // --at NAME=URI: where a data set lives now; proved by digest
	Secrets map[string]string // --secret NAME=@FILE
	Deep    bool              // read every byte of every data set, whatever the stat cache says
	Environ []string
	Name    string    // of a job's object; "" for one made from the old name
	Detach  bool      // of a job: submit it, and leave
	Copy    bool      // copy every data set, of whatever size: what the command writes into it stays in the rerun
	Keep    bool      // of a job: leave its objects where they are when it has ended
	Output  io.Writer // what a job prints
	Tolerances

	Relocate  Relocations       // --relocate OLD=NEW: where what moved is looked for first
	Env       map[string]string // --env-file FILE: further variables, by name
	Without   []string          // --without NAME: variables of the original whose values are in no record and that the rerun does without
	Overwrite bool              // --overwrite-outputs
	GPUs      string            // --gpus: all, none, a number or device=ID,…; "" for what the original had
}

// Result is what a rerun gave. Verdict is nil where the job was left running.
type Result struct {
	Run       schema.Run
	Verdict   *schema.Verdict
	Preflight []schema.Availability
	Dir       string
}

// Execute establishes that everything the run needs can be had, restores it into a fresh directory, runs it and compares; a job is handed to its scheduler and
// followed instead. Nothing is written and nothing started when a pin is gone or changed: the error then names every such pin (errors.Join).
func (r *Rerunner) Execute(ctx context.Context, req Request) (Result, error) {
	result := Result{Dir: req.Dir}
	prepared, found, err := r.establish(ctx, &req)
	result.Preflight = found
	if err != nil {
		return result, err
	}
	if prepared.Job != nil {
		return r.executeJob(ctx, req, prepared, result)
	}
	takeBack := takingBack(req.Dir)
	if err := r.restore(ctx, req, &prepared); err != nil {
		return result, err
	}
	written, begin := false, prepared.Written
	prepared.Written = func(id schema.RunID) error { written = true; return begin(id) }
	result.Run, _, err = r.Record.Record(ctx, prepared)
	if err != nil {
		if !written {
			takeBack()
		}
		return result, err
	}
	if ctx.Err() != nil {
		return result, interrupted() // how a run that was cut short compares says nothing
	}
	return r.judge(ctx, req, result, prepared.commandDir())
}

// establish works out the rerun and finds out that everything it needs can be had, without writing anything. What was found elsewhere is had from there.
func (r *Rerunner) establish(ctx context.Context, req *Request) (Prepared, []schema.Availability, error) {
	p, err := r.plan(*req)
	if err != nil {
		return p, nil, err
	}
	if p.Job != nil {
		if err := r.checkJobOutputs(ctx, *req, &p); err != nil {
			return p, nil, err
		}
	}
	elsewhere := &moves{}
	asking := p.asking(*req, elsewhere)
	asking.compared = req.Tolerances
	found := r.Preflight(ctx, req.Run, asking)
	if ctx.Err() != nil {
		return p, found, interrupted()
	}
	if err := Blocking(found, r.needs(req.Run, p)); err != nil {
		return p, found, err
	}
	r.advise(found)
	p.relocate(req, elsewhere)
	if err := r.checkHandedOver(ctx, *req, &p); err != nil {
		return p, found, err
	}
	if p.Job == nil {
		err = r.chooseGPUs(ctx, &p, req.GPUs)
	}
	return p, found, err
}

// judge compares what came out; a command that compares runs in dir.
func (r *Rerunner) judge(ctx context.Context, req Request, result Result, dir string) (Result, error) {
	verdict, err := r.Judge(ctx, req.Run, result.Run, req.Tolerances, JudgeOptions{Commands: true, Dir: dir})
	if err != nil {
		return result, err
	}
	result.Verdict = &verdict
	return result, r.SaveVerdict(ctx, result.Run.ID, &verdict)
}

func interrupted() error {
	return &schema.Error{Op: "rerun", Kind: schema.Interrupted, Subject: "rerun", Err: fmt.Errorf("interrupted")}
}

// plan works out what the rerun is made of, without looking at the world.
func (r *Rerunner) plan(req Request) (Prepared, error) {
	run := req.Run
	refuse := func(kind schema.Kind, hint, format string, args ...any) (Prepared, error) {
		return Prepared{}, &schema.Error{Op: "rerun", Kind: kind, Subject: "run " + run.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if len(run.CommandTemplate) == 0 && run.Job != nil {
		return r.planJob(req)
	}
	if len(run.CommandTemplate) == 0 {
		return refuse(schema.Gone, "", "its record has no command")
	}
	p := preparedOf(run)
	if err := req.Tolerances.Check(run); err != nil {
		return p, err
	}
	req.Tolerances.carry(&p)
	if err := chooseLauncher(&p, req.On); err != nil {
		return p, err
	}
	secretless := p.takeSecrets(req.Secrets)
	if err := p.applySettings(req.Set); err != nil {
		return p, err
	}
	for name := range req.At {
		if !p.hasDataset(name) {
			return refuse(schema.Invalid, "names: "+p.datasetNames(), "--at %s: the run has no data set of that name", name)
		}
	}
	if err := r.takeEnvFile(&p, req.Env); err != nil {
		return p, err
	}
	p.dropTrackerVariables(req.Overwrite)
	p.Environ = r.environment(req.Environ, p.Vars, p.Env)
	if err := errors.Join(secretless, p.takeVariables(req.Without, r.Warn)); err != nil {
		return p, err // all that has to be given is named at once
	}
	if err := p.checkOutputs(req.Overwrite, nil); err != nil {
		return p, err
	}
	return p, r.dropTrackerRuns(&p, req.Overwrite)
}

// preparedOf begins a rerun: everything as it was recorded.
func preparedOf(run schema.Run) Prepared {
	return Prepared{Of: run, Images: append([]schema.ImagePin(nil), run.Images...), Code: append([]schema.CodePin(nil), run.Code...),
		Datasets: append([]schema.DatasetPin(nil), run.Datasets...), Outputs: append([]schema.Output(nil), run.DeclaredOutputs...), Metrics: run.MetricsFile,
		WorkDir: run.WorkDir, Template: schema.Strings(run.CommandTemplate), Params: copyTexts(run.Params), Vars: copyTexts(run.Variables),
		Paths: map[string]string{}, Sources: map[string]string{}, Withheld: run.Withheld, Secrets: map[string]string{}}
}

// SaveVerdict appends the verdict to the run that was compared.
func (r *Rerunner) SaveVerdict(ctx context.Context, id schema.RunID, v *schema.Verdict) error {
	doc := r.document(schema.KindObservation, id)
	v.At, doc.Observation = doc.At, &schema.Observation{Verdict: v}
	return r.Saver.Save(ctx, schema.Report{Documents: []schema.Document{doc}})
}

func (r *Rerunner) document(kind schema.DocumentKind, id schema.RunID) schema.Document {
	at := r.Now()
	return schema.Document{Schema: schema.SchemaV1, Kind: kind, ID: schema.NewDocumentID(at.Time()), Run: id, At: at, Reporter: schema.Reporter{Kind: "collector", Host: r.Host}}
}

func (p *Prepared) hasDataset(name string) bool {
	for _, d := range p.Datasets {
		if d.Name == name {
			return true
		}
	}
	return false
}

func (p *Prepared) datasetNames() string {
	names := ""
	for _, d := range p.Datasets {
		names += " " + d.Name
	}
	if names == "" {
		return "none"
	}
	return names[1:]
}

func copyTexts(m map[string]schema.Text) map[string]schema.Text {
	if m == nil {
		return nil
	}
	out := make(map[string]schema.Text, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
