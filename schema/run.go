package schema

// SchemaV1 names the record format; it stands in every document.
const SchemaV1 = "runpin.dev/run/v1"

// Status is where a run stands. Lost is never written down: it is decided when reading, from the lease (DESIGN §4).
type Status string

// The statuses.
const (
	Planned   Status = "planned"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Lost      Status = "lost"
)

// Ended reports whether the status is final.
func (s Status) Ended() bool { return s == Succeeded || s == Failed }

// Plan is what is known of a run when it is first written down: the base document. It never changes afterwards.
type Plan struct {
	Name            string          `json:"name,omitempty"`
	Project         string          `json:"project,omitempty"`
	Parent          RunID           `json:"parent,omitempty"`
	RerunOf         RunID           `json:"rerun_of,omitempty"`
	Created         Time            `json:"created"`
	User            string          `json:"user,omitempty"`
	SubmittedFrom   *Submission     `json:"submitted_from,omitempty"`
	Images          []ImagePin      `json:"images,omitempty"`
	Code            []CodePin       `json:"code,omitempty"`
	Datasets        []DatasetPin    `json:"datasets,omitempty"`
	Job             *JobSpec        `json:"job,omitempty"`
	Command         []Text          `json:"command,omitempty"`          // argv as it was started
	CommandTemplate []Text          `json:"command_template,omitempty"` // argv with {name} for params, data set paths and output paths
	Launcher        string          `json:"launcher,omitempty"`         // local, podman, docker, kubernetes, slurm
	LaunchPlace     string          `json:"launch_place,omitempty"`     // of a rerun's job: where it is about to be handed over, as Launched.Place says it
	GPUs            string          `json:"gpus,omitempty"`             // what the container was given, as --gpus takes it; absent for nothing
	WorkDir         *Path           `json:"workdir,omitempty"`          // of the command; Rel is relative to the code's root
	Params          map[string]Text `json:"params,omitempty"`
	Variables       map[string]Text `json:"variables,omitempty"` // chosen environment variables that can determine the result
	DeclaredOutputs []Output        `json:"declared_outputs,omitempty"`
	MetricsFile     *Path           `json:"metrics_file,omitempty"`
	Tolerances      map[string]Text `json:"tolerances,omitempty"` // by metric: how far a rerun's may be off, as an amount ("0.001") or as a share of the original's ("1%")
	Relaxed         []Reason        `json:"relaxed,omitempty"`    // of a rerun: where the user asked for something else than what was recorded
	Withheld        []Withheld      `json:"withheld,omitempty"`
	Reasons         []Reason        `json:"reasons,omitempty"`
	Recorder        string          `json:"recorder"` // "runpin 0.1.0"
}

// Run is what the documents of a run say together: the fold of its base document and its events. It is what `show --json` prints.
type Run struct {
	Schema string            `json:"schema"`
	ID     RunID             `json:"id"`
	Status Status            `json:"status"`
	Labels map[string]string `json:"labels,omitempty"`
	Notes  []Note            `json:"notes,omitempty"`
	Plan
	Started      Time            `json:"started,omitzero"`
	Finished     Time            `json:"finished,omitzero"`
	ExitCode     *int            `json:"exit_code,omitempty"`
	Signal       string          `json:"signal,omitempty"`
	Why          string          `json:"why,omitempty"` // one sentence on the status
	Environments []Environment   `json:"environments,omitempty"`
	Attempts     []Attempt       `json:"attempts,omitempty"`
	Observations []Observation   `json:"observations,omitempty"`
	Drift        []Drifted       `json:"drift,omitempty"`
	Outputs      []Output        `json:"outputs,omitempty"`
	Metrics      map[string]Text `json:"metrics,omitempty"`
	Fingerprint  Fingerprint     `json:"fingerprint,omitempty"`
	Verdict      *Verdict        `json:"verdict,omitempty"`
	Launched     *Launched       `json:"launched,omitempty"`
	Keeps        []Keep          `json:"keeps,omitempty"`
	Releases     []Release       `json:"releases,omitempty"`
	Erased       []Erasure       `json:"erased,omitempty"`
	Lease        *Lease          `json:"lease,omitempty"`       // of the reporter that started it, or of its lowest rank, while it runs
	RankLeases   []Lease         `json:"rank_leases,omitempty"` // of the other ranks that run
}

// Submission says where a run was submitted from. A submitting CI job's machine and checkout are never the run's own.
type Submission struct {
	Host   string `json:"host,omitempty"`
	CI     string `json:"ci,omitempty"`      // github-actions, gitlab-ci, …
	JobURL string `json:"job_url,omitempty"` // without user info
	Commit string `json:"commit,omitempty"`
}

// JobSpec is the file that says how a run is started, verbatim.
type JobSpec struct {
	Format string   `json:"format"` // kubernetes, …
	Path   Path     `json:"path"`
	Blob   *BlobRef `json:"blob,omitempty"` // absent when withheld
	Pinned *BlobRef `json:"pinned,omitempty"`
	// TemplateDigest is of the spec with every pinned reference replaced by {kind:name}: what the job does, whatever its tags are called.
	TemplateDigest Digest `json:"template_digest,omitempty"`
	// Fields are the places that the user declared beside those that the format has, such as dataset.train=spec.data.version: whoever reads the spec again needs them.
	Fields []Text `json:"fields,omitempty"`
}

// Reporter is a process that adds to a run. Together with the boot id and process id it identifies a lease.
type Reporter struct {
	Kind string `json:"kind"` // submitter, runner, joiner, collector, user
	Host string `json:"host,omitempty"`
	Rank *int   `json:"rank,omitempty"`
	By   string `json:"by,omitempty"` // user name
	// Attempt is the number of the try that a joiner is part of, from 1; absent where only AttemptID tells one try from another.
	Attempt   int    `json:"attempt,omitempty"`
	AttemptID string `json:"attempt_id,omitempty"` // pod name; Slurm job, restart count and step
}

// Lease lets a reader decide whether the process that reports a running run is still there. On the same host boot, namespace, pid and
// start time prove it; elsewhere only the age of the last beat can be judged, against Interval. Beat is kept by the store, not in documents.
type Lease struct {
	Host         string `json:"host,omitempty"`
	BootID       string `json:"boot_id,omitempty"`
	PIDNamespace string `json:"pid_namespace,omitempty"`
	PID          int    `json:"pid,omitempty"`
	ProcessStart string `json:"process_start,omitempty"` // clock ticks since boot, or another text that differs when the pid is reused
	Interval     int    `json:"interval_seconds,omitempty"`
	Beat         Time   `json:"beat,omitzero"`
}

// Launched names what runpin handed to a scheduler for a run, so that another process can find it, follow it and stop it.
type Launched struct {
	On    string `json:"on"`              // kubernetes, slurm
	Job   string `json:"job"`             // as the scheduler calls it: "Job/train-9d2kx0pt", "4711"
	Place string `json:"place,omitempty"` // namespace and server of a cluster, "ml@cluster.example.org"; name of a cluster
	Keep  bool   `json:"keep,omitempty"`  // it is left where it is when it has ended
	At    Time   `json:"at,omitzero"`     // set by the fold, from the document
}

// Attempt is one try of a run: a requeue, a pod retry.
type Attempt struct {
	Number   int    `json:"number"`
	ID       string `json:"id,omitempty"` // pod name, job id and restart count
	Rank     *int   `json:"rank,omitempty"`
	Node     string `json:"node,omitempty"`
	Started  Time   `json:"started,omitzero"`
	Finished Time   `json:"finished,omitzero"`
	ExitCode *int   `json:"exit_code,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Drifted is something that is not what it was pinned to, or that changed while the run was using it.
type Drifted struct {
	Pin      string `json:"pin"` // "dataset:train", "image:main", "code:code"
	Expected Text   `json:"expected,omitempty"`
	Found    Text   `json:"found,omitempty"`
	Text     string `json:"text"`
	At       Time   `json:"at,omitzero"`
}

// Output is a file, directory, URI or image that a run produced. Before the run ends (declared_outputs) it has no digest.
type Output struct {
	Name          string   `json:"name"`
	URI           Text     `json:"uri"` // as written
	Path          *Path    `json:"path,omitempty"`
	ContentDigest Digest   `json:"content_digest,omitempty"` // of a directory's manifest, as for a data set
	DigestKind    string   `json:"digest_kind,omitempty"`
	SidecarDigest Digest   `json:"sidecar_digest,omitempty"`
	FileDigest    Digest   `json:"file_digest,omitempty"` // of a single file
	Directory     bool     `json:"directory,omitempty"`
	Bytes         int64    `json:"bytes,omitempty"`
	Files         int64    `json:"files,omitempty"`
	Manifest      *BlobRef `json:"manifest,omitempty"`
	Compare       string   `json:"compare,omitempty"`   // how it is compared with a rerun's: exact, ignore, tolerance, command; absent: exact, unless metrics with a tolerance speak for it
	Tolerance     Text     `json:"tolerance,omitempty"` // of compare mode tolerance: how far each number may be off; absent: not at all
	// CompareCommand is the argv of compare mode command, with {original} and {rerun} for the two paths.
	CompareCommand []Text   `json:"compare_command,omitempty"`
	Missing        bool     `json:"missing,omitempty"` // it did not exist at the end
	Stale          bool     `json:"stale,omitempty"`   // it existed before and the run did not write it
	Rank           *int     `json:"rank,omitempty"`
	Reasons        []Reason `json:"reasons,omitempty"`
}

// Identity gives the digest by which two outputs are compared: a single file's own, else the content digest; "" when there is none.
func (o Output) Identity() Digest {
	if o.FileDigest != "" && !o.Directory {
		return o.FileDigest
	}
	return o.ContentDigest
}

// Result is the outcome of comparing a rerun with its original.
type Result string

// The results (DESIGN §1, verdict).
const (
	Identical        Result = "identical"
	Equivalent       Result = "equivalent"
	Differs          Result = "different"
	CannotBeCompared Result = "not-comparable"
)

// Verdict says whether a run gave the same result as another, and if not, what explains it.
type Verdict struct {
	Result     Result             `json:"result"`
	Against    RunID              `json:"against"`
	Cause      string             `json:"cause,omitempty"`       // one sentence: what is not identical, and what explains it first
	SameInputs *bool              `json:"same_inputs,omitempty"` // equal fingerprints; absent when either has none
	Suspects   []Difference       `json:"suspects,omitempty"`    // what differs between the two runs and could explain another result, most consequential first; the first run is the original
	More       int                `json:"more,omitempty"`        // suspects that are not listed; the comparison of the two runs has all
	Outputs    []OutputComparison `json:"outputs,omitempty"`
	Metrics    []MetricComparison `json:"metrics,omitempty"`
	Unlisted   int                `json:"unlisted,omitempty"` // metrics that are not listed, of very many: the identical ones first
	Ignored    []string           `json:"ignored,omitempty"`  // outputs that were not to be compared
	At         Time               `json:"at,omitzero"`
}

// OutputComparison is one output of a [Verdict].
type OutputComparison struct {
	Name      string           `json:"name"`
	Rank      *int             `json:"rank,omitempty"`
	Result    Result           `json:"result"`
	Want      Digest           `json:"want,omitempty"`
	Got       Digest           `json:"got,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	Compare   string           `json:"compare,omitempty"`   // how it was to be compared, when that was said
	Tolerance Text             `json:"tolerance,omitempty"` // that was used
	Command   []Text           `json:"command,omitempty"`   // that was to compare it
	Files     []DifferenceItem `json:"files,omitempty"`     // of a directory: those that differ, with their digests
	More      int              `json:"more,omitempty"`      // files that are not listed
}

// MetricComparison is one metric of a [Verdict].
type MetricComparison struct {
	Name      string `json:"name"`
	Result    Result `json:"result"`
	Want      Text   `json:"want,omitempty"`
	Got       Text   `json:"got,omitempty"`
	Delta     string `json:"delta,omitempty"`     // got less want: "+0.01 (+4%)"
	Tolerance Text   `json:"tolerance,omitempty"` // that was used
	Reason    string `json:"reason,omitempty"`
}

// Withheld says that something was kept out of the record because it holds, or may hold, a secret. What is "argument", "variable",
// "param", "file", "job-spec" or "url"; Name is what `rerun --secret NAME=@FILE` takes. No digest of the value is kept.
type Withheld struct {
	What    string `json:"what"`
	Name    string `json:"name"`
	Subject Text   `json:"subject,omitempty"` // position or path, never the value
	Why     string `json:"why"`
}
