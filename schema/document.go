package schema

// DocumentKind is the kind of a document.
type DocumentKind string

// The kinds of document. A run has exactly one of kind run, its base document; the others are events.
const (
	KindRun         DocumentKind = "run"
	KindObservation DocumentKind = "observation"
	KindOutput      DocumentKind = "output"
	KindStatus      DocumentKind = "status"
	KindLabel       DocumentKind = "label"
	KindNote        DocumentKind = "note"
	KindRelease     DocumentKind = "release"
	KindKeep        DocumentKind = "keep"
	KindErasure     DocumentKind = "erasure"
)

var documentKinds = []DocumentKind{KindRun, KindObservation, KindOutput, KindStatus, KindLabel, KindNote, KindRelease, KindKeep, KindErasure}

// Document is one immutable statement about a run. Its canonical JSON is what is stored, hashed, spooled and sent; exactly one of
// the fields below Reporter is set, the one that Kind names.
type Document struct {
	Schema   string       `json:"schema"`
	Kind     DocumentKind `json:"kind"`
	ID       DocumentID   `json:"id"`
	Run      RunID        `json:"run,omitempty"` // absent only for a release that no run led to
	At       Time         `json:"at"`
	Reporter Reporter     `json:"reporter"`

	Plan        *Plan         `json:"plan,omitempty"` // kind run
	Observation *Observation  `json:"observation,omitempty"`
	Output      *OutputEvent  `json:"output,omitempty"`
	Status      *StatusChange `json:"status,omitempty"`
	Label       *Label        `json:"label,omitempty"`
	Note        *Note         `json:"note,omitempty"`
	Release     *Release      `json:"release,omitempty"`
	Keep        *Keep         `json:"keep,omitempty"`
	Erasure     *Erasure      `json:"erasure,omitempty"`

	// Verbatim is the canonical bytes of a document that a newer version wrote and that holds more than this one knows: a kind, fields
	// or values. It is nil for every other document. [Document.Encode] gives it back, so passing a document on loses nothing.
	Verbatim []byte `json:"-"`
}

// Observation is what a reporter saw: of the images, of a node, of a try, of something that moved, of how two runs compare, or what it submitted.
type Observation struct {
	At          Time         `json:"at,omitzero"`        // set by the fold, from the document
	Reporter    *Reporter    `json:"reporter,omitempty"` // set by the fold, from the document
	Images      []ImagePin   `json:"images,omitempty"`
	Environment *Environment `json:"environment,omitempty"`
	Node        *Node        `json:"node,omitempty"` // where the reporter stands, when another document describes the environment
	Attempt     *Attempt     `json:"attempt,omitempty"`
	Drift       []Drifted    `json:"drift,omitempty"`
	Verdict     *Verdict     `json:"verdict,omitempty"`
	Launched    *Launched    `json:"launched,omitempty"`
	Withheld    []Withheld   `json:"withheld,omitempty"`
	Reasons     []Reason     `json:"reasons,omitempty"`
}

// OutputEvent adds outputs and metrics. A later output of the same name and rank stands in for an earlier one, one of a later attempt for one of an
// earlier attempt, and the word of the run as a whole for that of its ranks; so does a metric.
type OutputEvent struct {
	Outputs []Output        `json:"outputs,omitempty"`
	Metrics map[string]Text `json:"metrics,omitempty"`
}

// StatusChange moves a run on. The change to a final status seals the run: it carries the fingerprint of the inputs as they were known then.
type StatusChange struct {
	To          Status      `json:"to"`
	Started     Time        `json:"started,omitzero"`
	Finished    Time        `json:"finished,omitzero"`
	ExitCode    *int        `json:"exit_code,omitempty"`
	Signal      string      `json:"signal,omitempty"`
	Fingerprint Fingerprint `json:"fingerprint,omitempty"`
	Lease       *Lease      `json:"lease,omitempty"`
	Why         string      `json:"why,omitempty"`
	Attempt     int         `json:"attempt,omitempty"` // number of the try that this is about; a later try stands over an earlier one's end
}

// Label sets labels, or removes those named in Remove.
type Label struct {
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// Note is a remark by a person.
type Note struct {
	Text Text   `json:"text"`
	By   string `json:"by,omitempty"`
	At   Time   `json:"at,omitzero"` // set by the fold, from the document
}

// Release is a move of tags or of a channel (DESIGN §7).
type Release struct {
	Action   string   `json:"action"` // tag, promote, rollback
	Image    string   `json:"image"`  // repository
	Digest   Digest   `json:"digest"`
	Previous Digest   `json:"previous,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Channel  string   `json:"channel,omitempty"`
	From     string   `json:"from,omitempty"`
	By       string   `json:"by,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Ticket   string   `json:"ticket,omitempty"`
	At       Time     `json:"at,omitzero"`
}

// Keep says that something a run needs is protected from deletion, and where.
type Keep struct {
	Pin     string `json:"pin"`
	How     string `json:"how"` // tag, layout, bundle, copy
	Where   Text   `json:"where"`
	Digest  Digest `json:"digest,omitempty"`
	Removed bool   `json:"removed,omitempty"`
	At      Time   `json:"at,omitzero"`
}

// Erasure says that bytes were dropped for legal reasons; what remains is this tombstone.
type Erasure struct {
	Blobs  []Digest `json:"blobs"`
	Reason string   `json:"reason"`
	Ticket string   `json:"ticket,omitempty"`
	By     string   `json:"by,omitempty"`
	At     Time     `json:"at,omitzero"`
}
