package recorder

import (
	"context"
	"io"
	"time"

	"github.com/runpin/runpin/schema"
)

// ImageResolver turns an image reference into a pin. Implemented by recorder/image.
type ImageResolver interface {
	ResolveImage(ctx context.Context, req ImageRequest) (schema.ImagePin, error)
}

// ImageRequest asks for one image. Platform is os/arch[/variant], "" for linux on this machine's architecture.
// Engine, when set to podman or docker, is where an image that no registry has is looked for.
type ImageRequest struct {
	Name     string
	Ref      string
	Platform string
	Engine   string
}

// CodeResolver captures the state of a checkout, of a script, or of a remote commit. Implemented by recorder/code.
type CodeResolver interface {
	ResolveCode(ctx context.Context, req CodeRequest) (schema.CodePin, error)
}

// CodeRequest asks for the state of the code at Ref: a directory inside a checkout, or git+URL@REV. Command is what will run: outside a
// repository its script is what is captured. Exclude lists absolute paths that are not code, with the reason to record. Sink takes contents.
// AskRemote asks the remote whether it has the commit, instead of trusting remote-tracking refs.
type CodeRequest struct {
	Name      string
	Ref       string
	WorkDir   string
	Command   []string
	Exclude   []Excluded
	Sink      schema.BlobSink
	AskRemote bool
	Progress  schema.Progress
}

// Excluded is an absolute path that is not part of the code: a "dataset", an "output", the "store".
type Excluded struct {
	Path string
	Why  string
}

// DatasetResolver finds the version of a data set. Implemented by recorder/dataset.
type DatasetResolver interface {
	ResolveDataset(ctx context.Context, req DatasetRequest) (schema.DatasetPin, error)
	// RecheckDataset looks again after the run. It gives nil when the data set still is what pin says, as far as can be told cheaply.
	RecheckDataset(ctx context.Context, pin schema.DatasetPin) *schema.Drifted
}

// DatasetRequest asks for one data set. WorkDir is what a relative path is relative to; CodeRoot is the checkout's root, "" without one.
type DatasetRequest struct {
	Name     string
	Role     schema.Role
	URI      string
	WorkDir  string
	CodeRoot string
	Include  []string
	Exclude  []string
	Sink     schema.BlobSink
	Progress schema.Progress
}

// EnvironmentReader looks at this node. Implemented by recorder/environment.
type EnvironmentReader interface {
	ReadEnvironment(ctx context.Context, req EnvironmentRequest) (schema.Environment, error)
}

// EnvironmentRequest says what will run: Argv and the child's whole environment, in Dir; CodeRoot is where lock files are looked for.
type EnvironmentRequest struct {
	Argv     []string
	Env      []string
	Dir      string
	CodeRoot string
	Extra    []string // names given with --env
	Unsaid   []string // names whose values are not to be recorded
	Sink     schema.BlobSink
}

// RunSaver keeps reports. Save is atomic: the whole report or nothing; saving the same report twice is saving it once.
type RunSaver interface {
	Save(ctx context.Context, report schema.Report) error
}

// Beater renews the lease of a running run.
type Beater interface {
	Beat(ctx context.Context, run schema.RunID, at schema.Time) error
}

// Launcher starts the command and waits for it. Implemented by rerun/launch/<where>, passed in by cmd/runpin.
type Launcher interface {
	Launch(ctx context.Context, job LaunchRequest) (Exit, error)
}

// RemoteLauncher runs commands where no signal of this process reaches them: the end of the context tells it to stop one. Nor is this machine the one that the
// command sees.
type RemoteLauncher interface {
	Launcher
	Remote()
}

// ImageEnsurer is what a launcher that runs images also does: it makes sure, before the run is written down, that the engine has the image that ref names by
// digest, and that it is the one with this config.
type ImageEnsurer interface {
	EnsureImage(ctx context.Context, ref string, config schema.Digest) error
}

// LaunchRequest is one command to run. Image and Mounts are for container launchers; Image names a digest. Started is called once the
// process exists, with its id.
type LaunchRequest struct {
	Argv []string
	Dir  string
	Env  []string // whole environment for local; additions only for containers
	// Withheld names variables of Env whose values are not recorded, and that no scheduler may keep.
	Withheld []string
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Image    string
	Mounts   []Mount
	GPUs     string // for containers: all, a number or device=ID,…
	Started  func(pid int)
}

// Mount makes a host path visible in a container.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
}

// Exit is how a command ended: its code (128+n after signal n, whose name is Signal).
type Exit struct {
	Code   int
	Signal string
}

// OutputHasher gives the digest of a file or directory that a run wrote. A path that does not exist is an error for which
// errors.Is(err, fs.ErrNotExist) holds. Implemented by recorder/dataset: an output of one run can be a data set of the next.
type OutputHasher interface {
	HashOutput(ctx context.Context, path string, sink schema.BlobSink) (schema.Output, error)
}

// SpecReader finds the image references of a job spec. Implemented by rerun/jobspec, passed in by cmd/runpin: there is one YAML walker.
type SpecReader interface {
	// ReadSpec reads the spec; fields are places that the user declared, such as dataset.train=spec.data.version.
	ReadSpec(path string, data []byte, fields []string) (Spec, error)
}

// Spec is what a job spec refers to. Template is the digest of the spec with its references replaced by {image:NAME}.
type Spec struct {
	Format   string
	Images   []SpecImage
	Code     []SpecCode
	Datasets []SpecDataset
	Template schema.Digest
}

// SpecImage is one image of a job spec, by the name of its container.
type SpecImage struct {
	Name  string
	Ref   string
	Where []string // "train.yaml:12:16 spec.template.spec.containers[0].image"
}

// SpecCode is one place of a job spec that fetches code: a git-sync container, a git artifact. URL and Rev are as the spec writes them.
type SpecCode struct {
	Name  string
	URL   string
	Rev   string // "" for the remote's default branch
	Where []string
}

// SpecDataset is one place of a job spec that names a dataset. URI is without the version, "" where the place holds the version alone.
type SpecDataset struct {
	Name      string
	URI       string
	Version   string
	Immutable bool // the version cannot move
	Settable  bool // a version can be written there
	Where     []string
}

// SpecPins are the values that a spec is pinned to, by the name of the reference: a pinned image reference, a full commit, the
// version of a dataset.
type SpecPins struct {
	Images   map[string]string
	Code     map[string]string
	Datasets map[string]string
}

// SpecPinner rewrites a job spec so that each reference is the given value, and stamps it with the run's id unless stamp is "".
type SpecPinner interface {
	PinSpec(path string, data []byte, fields []string, pins SpecPins, stamp schema.RunID) ([]byte, error)
}

// Tracker knows what a command told an experiment tracker of its own while it ran. Implemented by recorder/mlflow.
type Tracker interface {
	// ReadBack finds what the tracker has of the run, within a few seconds. It asks nobody, and gives nothing, where there is no sign that the command used the
	// tracker. A failure is a reason.
	ReadBack(ctx context.Context, req TrackerRequest) Tracked
}

// TrackerRequest says which run, where its command ran, with which environment, and since when.
type TrackerRequest struct {
	Run     schema.RunID
	WorkDir string
	Environ []string
	Since   time.Time
}

// Tracked is what a tracker has of a run: labels that tie the two together, and final metrics as text.
type Tracked struct {
	Labels  map[string]string
	Metrics map[string]schema.Text
	Reasons []schema.Reason
}
