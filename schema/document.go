package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

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
}

// Observation is what a reporter saw: of the images, of a node, of a try, of something that moved, or of how two runs compare.
type Observation struct {
	At          Time         `json:"at,omitzero"`        // set by the fold, from the document
	Reporter    *Reporter    `json:"reporter,omitempty"` // set by the fold, from the document
	Images      []ImagePin   `json:"images,omitempty"`
	Environment *Environment `json:"environment,omitempty"`
	Attempt     *Attempt     `json:"attempt,omitempty"`
	Drift       []Drifted    `json:"drift,omitempty"`
	Verdict     *Verdict     `json:"verdict,omitempty"`
	Withheld    []Withheld   `json:"withheld,omitempty"`
	Reasons     []Reason     `json:"reasons,omitempty"`
}

// OutputEvent adds outputs and metrics. A later output of the same name and rank stands in for an earlier one; so does a metric.
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

// MaxDocumentBytes bounds one document; what is larger belongs into a blob.
const MaxDocumentBytes = 16 << 20

// Encode gives the canonical JSON of the document after checking it.
func (d Document) Encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	b, err := Canonical(d)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxDocumentBytes {
		return nil, &Error{Op: "schema.encode", Kind: Invalid, Subject: "document " + string(d.ID),
			Err: fmt.Errorf("%d bytes, at most %d are allowed", len(b), MaxDocumentBytes)}
	}
	return b, nil
}

// DecodeDocument reads a document and checks it. Fields that this version does not know are passed over: the stored bytes keep them.
func DecodeDocument(b []byte) (Document, error) {
	var d Document
	fail := func(err error) (Document, error) {
		return Document{}, &Error{Op: "schema.decode", Kind: Invalid, Subject: "document", Err: err}
	}
	if len(b) > MaxDocumentBytes {
		return fail(fmt.Errorf("%d bytes, at most %d are allowed", len(b), MaxDocumentBytes))
	}
	canonical, err := CanonicalBytes(b)
	if err != nil {
		return fail(err)
	}
	if !bytes.Equal(canonical, b) {
		return fail(fmt.Errorf("not in canonical form"))
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return fail(err)
	}
	if err := d.check(); err != nil {
		return fail(err)
	}
	return d, nil
}

func (d Document) check() error {
	bad := func(format string, args ...any) error {
		return &Error{Op: "schema.document", Kind: Invalid, Subject: "document " + string(d.ID), Err: fmt.Errorf(format, args...)}
	}
	if d.Schema != SchemaV1 {
		return bad("schema is %q, not %s", Shorten(d.Schema, 80), SchemaV1)
	}
	if _, err := ParseRunID(string(d.ID)); err != nil {
		return bad("id is not valid")
	}
	if d.Run == "" && d.Kind != KindRelease {
		return bad("it names no run")
	}
	if d.Kind == KindRun && string(d.ID) != string(d.Run) {
		return bad("the base document must have the id of its run")
	}
	if d.Kind != KindRun && string(d.ID) == string(d.Run) {
		return bad("an event cannot have the id of its run")
	}
	if d.At.IsZero() {
		return bad("it has no time")
	}
	bodies := map[DocumentKind]bool{
		KindRun: d.Plan != nil, KindObservation: d.Observation != nil, KindOutput: d.Output != nil, KindStatus: d.Status != nil, KindLabel: d.Label != nil,
		KindNote: d.Note != nil, KindRelease: d.Release != nil, KindKeep: d.Keep != nil, KindErasure: d.Erasure != nil,
	}
	has, known := bodies[d.Kind]
	if !known {
		return bad("kind %q is not known to this version", Shorten(string(d.Kind), 40))
	}
	if !has {
		return bad("kind is %q but it has no such body", d.Kind)
	}
	for kind, set := range bodies {
		if set && kind != d.Kind {
			return bad("kind is %q but it also has a body of kind %q", d.Kind, kind)
		}
	}
	if d.Status != nil {
		switch d.Status.To {
		case Planned, Running, Succeeded, Failed:
		default:
			return bad("a status cannot become %q", Shorten(string(d.Status.To), 40))
		}
	}
	if d.Plan != nil {
		return d.Plan.check()
	}
	return nil
}

// check refuses a plan whose names are not names or are used twice: placeholders, variables and the fingerprint rely on them.
func (p *Plan) check() error {
	seen := map[string]bool{}
	for _, named := range p.names() {
		if _, err := ParseName(named.name); err != nil {
			return err
		}
		if key := named.kind + ":" + named.name; seen[key] {
			return &Error{Op: "schema.plan", Kind: Invalid, Subject: key, Err: fmt.Errorf("used twice"), Hint: "give each its own name: NAME=…"}
		} else {
			seen[key] = true
		}
	}
	return nil
}

type kindName struct{ kind, name string }

func (p *Plan) names() []kindName {
	var all []kindName
	for _, i := range p.Images {
		all = append(all, kindName{"image", i.Name})
	}
	for _, c := range p.Code {
		all = append(all, kindName{"code", c.Name})
	}
	for _, d := range p.Datasets {
		all = append(all, kindName{"dataset", d.Name})
	}
	for _, o := range p.DeclaredOutputs {
		all = append(all, kindName{"output", o.Name})
	}
	return all
}
