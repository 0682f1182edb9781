package recorder

import (
	"io"

	"github.com/runpin/runpin/schema"
)

// Request says what to record. Relative paths are relative to WorkDir. A request has either a Command or a Job.
type Request struct {
	_ struct{}

	Name    string
	Project string
	User    string
	Parent  schema.RunID
	Labels  map[string]string

	Images     []ImageRef
	Platform   string   // of all images; "" for linux on this machine's architecture
	In         string   // podman or docker: run Command in the (only) image
	GPUs       string   // what the container is given: all, none, a number or device=ID,…
	EnvFile    []string // NAME=value: further variables of the container; their names are recorded, their values never
	Code       []CodeRef
	NoCode     bool
	Datasets   []DatasetRef
	Outputs    []OutputRef
	Metrics    string                        // path of the metrics file that the command writes
	Tolerances map[string]schema.Text        // by metric, as [schema.Tolerance] writes them
	Compare    map[string]schema.CompareRule // by output
	Params     map[string]schema.Text
	Env        []string // further names of environment variables that determine the result
	Require    []string // of RequireNames
	BestEffort bool     // record what cannot be pinned as a reason instead of refusing

	Job      *Job
	PinsFrom *Pins // of another run, to be reused for data sets of the same name and URI

	Command []string
	WorkDir string
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Started func(pid int) // called once, when the command runs; may be nil

	Rerun *Given // the pins of a rerun, which are proved already
}

// ImageRef is one --image [NAME=]REF.
type ImageRef struct{ Name, Ref string }

// CodeRef is one --code [NAME=]DIR|git+URL@REV.
type CodeRef struct{ Name, Ref string }

// DatasetRef is one --dataset or --model NAME=URI.
type DatasetRef struct {
	Name, URI        string
	Role             schema.Role
	Include, Exclude []string
}

// OutputRef is one --output [NAME=]PATH|URI.
type OutputRef struct{ Name, URI string }

// Job is a job spec that something else will start.
type Job struct {
	Path    string
	Data    []byte
	Fields  []string // places that the user declared: image=PATH, code=PATH, dataset.NAME=PATH
	NoStamp bool
}

// Given holds what a rerun has established beforehand: the pins of its original, each proved equal where it was put, and where that is.
type Given struct {
	Of       schema.RunID
	Images   []schema.ImagePin
	Code     []schema.CodePin
	Datasets []schema.DatasetPin
	Outputs  []schema.Output // declared, with their places for this run
	Metrics  *schema.Path
	Root     string // where the code was restored
	WorkDir  *schema.Path
	Template []string          // of the command
	Paths    map[string]string // of data sets and outputs, by name, as the command is to see them
	Sources  map[string]string // host path of each data set, by name
	Params   map[string]schema.Text
	Vars     map[string]schema.Text
	Launcher string
	Relaxed  []schema.Reason
	Withheld []schema.Withheld
	Secrets  map[string]string // by name of a withheld argument; never recorded
	Env      []string          // NAME=value: further variables of the command; never recorded
	GPUs     string
	Started  []string // what is started in place of Template where that differs

	Tolerances map[string]schema.Text // by metric

	// Job is the spec of a job that a scheduler starts; then there is no Template. JobData is its text where it is another than the recorded one. Spec gives it
	// pinned, with the id of the new run.
	Job     *schema.JobSpec
	JobData []byte
	Place   string // where it is about to be handed over
	Spec    func(id schema.RunID) ([]byte, error)
}

// Result is what recording gave. Code is the exit code to return: the command's own, or 0 for a planned job.
type Result struct {
	ID     schema.RunID
	Run    schema.Run
	Code   int
	Pinned []byte // the pinned job spec
}
