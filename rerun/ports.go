package rerun

import (
	"context"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// ImageChecker says whether an image can still be pulled by digest. Implemented by recorder/image.
type ImageChecker interface {
	CheckImage(ctx context.Context, pin schema.ImagePin) schema.Availability
}

// Code checks and restores code. Implemented by recorder/code.
type Code interface {
	// CheckCode says whether RestoreCode would succeed, without writing.
	CheckCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) schema.Availability
	// RestoreCode writes the checkout as it stood into dir, which must not exist yet, and proves that the tree is the recorded one.
	// On failure nothing is left at dir.
	RestoreCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource, dir string) error
}

// Datasets checks data sets and puts them in place. Implemented by recorder/dataset.
type Datasets interface {
	// CheckDataset looks at the data set where it was recorded, or at the URI at when that is not "". With deep every byte is read;
	// otherwise a data set that the stat cache knows unchanged is not.
	CheckDataset(ctx context.Context, pin schema.DatasetPin, at string, deep bool) schema.Availability
	// PlaceDataset makes the data set appear at dest (a path that does not exist yet), proved equal to pin by its whole digest. With copy
	// the bytes are copied; otherwise files may be links, in directories of dest's own: what is written beside them does not reach the original.
	PlaceDataset(ctx context.Context, pin schema.DatasetPin, at, dest string, copy bool, progress schema.Progress) error
}

// Recording records the prepared work as a new run. Implemented by recorder, adapted by cmd/runpin.
type Recording interface {
	// Record runs the command, too. code is its exit code.
	Record(ctx context.Context, prepared Prepared) (run schema.Run, code int, err error)
	// Plan writes a job down before it is handed to a scheduler. An error means that nothing was written.
	Plan(ctx context.Context, prepared Prepared) (PlannedJob, error)
}

// PlannedJob is a job that has been written down as a new run.
type PlannedJob interface {
	ID() schema.RunID
	Spec() []byte // pinned, with the id of the new run
	// Submitted says what the scheduler calls it. With follow somebody stays with it: until stop is called the run is vouched for.
	Submitted(ctx context.Context, launched schema.Launched, follow bool) (stop func(), err error)
	// Refused says that it was never started.
	Refused(ctx context.Context, cause error)
	// Unsure says that nobody knows whether it was started. It stays planned.
	Unsure(ctx context.Context, cause error)
}

// Collecting writes down what became of a job that a scheduler ran: what ran, where, and how it ended. Implemented by recorder/collect, adapted by cmd/runpin.
type Collecting interface {
	// Collect gives the run as it is afterwards. An error of kind Drift says that something else ran than what is pinned; the run is given all the same.
	Collect(ctx context.Context, run schema.RunID, launched schema.Launched, outcome launch.Outcome) (schema.Run, error)
}

// OutputHasher gives the digests of what lies at a path. Implemented by recorder/dataset.
type OutputHasher interface {
	HashOutput(ctx context.Context, path string, sink schema.BlobSink) (schema.Output, error)
}

// CompareRunner runs a command that compares two outputs, without a shell. Implemented by rerun/launch/local, adapted by cmd/runpin. An error says that it did
// not run to its end.
type CompareRunner interface {
	RunCompare(ctx context.Context, argv []string, dir string) (Compared, error)
}

// Compared is what a compare command came to: 0 for outputs that are as good as equal, 1 for different ones, anything else where it could not tell. Said is the
// last line that it wrote to stderr.
type Compared struct {
	Code int
	Said string
}

// Hardware says what GPUs this machine has, within seconds. Implemented by recorder/environment.
type Hardware interface {
	GPUs(ctx context.Context) (gpus []schema.GPU, driver string)
}

// Places says whether something can be started at a place now. Implemented by rerun/launch, adapted by cmd/runpin.
type Places interface {
	// ProbePlace asks within seconds and changes nothing. At "local" program is what the command starts with. An error is a *schema.Error: Unavailable, or Gone
	// where the program is not there.
	ProbePlace(ctx context.Context, where, program string) error
	// CanGPUs reports whether an engine can give GPUs to a container.
	CanGPUs(ctx context.Context, engine string) bool
}

// Saver keeps reports; the verdict is one.
type Saver interface {
	Save(ctx context.Context, report schema.Report) error
}

// Prepared is a rerun that is ready to start: every pin proved, the code and the data in place. It mirrors recorder.Given.
type Prepared struct {
	Of       schema.Run
	Images   []schema.ImagePin
	Code     []schema.CodePin
	Datasets []schema.DatasetPin
	Outputs  []schema.Output
	Metrics  *schema.Path
	Root     string // where the code was restored
	WorkDir  *schema.Path
	Template []string
	Paths    map[string]string // of data sets and outputs, by name, as a command on this machine sees them
	Sources  map[string]string // host path of each data set, by name
	Params   map[string]schema.Text
	Vars     map[string]schema.Text
	Environ  []string
	Launcher string
	Relaxed  []schema.Reason
	Withheld []schema.Withheld
	Secrets  map[string]string
	// Tolerances of metrics go into the plan of the new run, as the compare rules of Outputs do.
	Tolerances map[string]schema.Text
	// Written, when not nil, is told the id of the new run when it has been written down, before its command is started.
	Written func(id schema.RunID) error

	// Job is the recorded spec of a run that a scheduler starts; Template, Root and what goes with them are then empty. JobData is its text where the user set
	// something in it, nil where it is the recorded one. Spec gives it pinned, with the id of the new run.
	Job     *schema.JobSpec
	JobData []byte
	Place   string // where it is about to be handed over, as the scheduler says it
	Spec    func(id schema.RunID) ([]byte, error)

	Env     []string // NAME=value of --env-file: for the command alone, never recorded
	GPUs    string   // what a container is given, as --gpus takes it; "" for nothing
	Started []string // what is started in place of Template where that differs: without the original's run ids of trackers

	chosen    map[string]bool // outputs that stay where the user put them
	relocated map[string]bool // pins that are had from where --relocate points
}
