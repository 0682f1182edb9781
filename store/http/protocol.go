package http

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

const (
	// protocolHeader stands in every answer of a server, so that the answer of something else is not taken for one.
	protocolHeader  = "Runpin-Protocol"
	protocolVersion = "1"
	// offsetHeader says how much of an upload the server has.
	offsetHeader = "Runpin-Upload-Offset"

	// ReportType is the media type of a report.
	ReportType = "application/vnd.runpin.report"
	jsonType   = "application/json"
)

// Limits of one request, the same at both ends.
const (
	maxReportBytes = 64 << 20  // of the body of a report: documents, and blobs that are small
	maxInlineBlob  = 256 << 10 // a larger blob is uploaded before its report
	maxInlineAll   = 8 << 20
	maxUnpacked    = 64 << 20  // of the blobs in the body of a report, unpacked, all together
	maxQueryBytes  = 1 << 20   // of the JSON that asks for something
	maxAsked       = 10_000    // blobs in one question
	maxPage        = 10_000    // runs in one answer
	maxErrorBytes  = 256 << 10 // of an answer that is an error
	maxAnswerBytes = 1 << 30   // of any other answer but a blob
	partBytes      = 8 << 20   // of an upload in one request
)

// wireError is how an error is sent.
type wireError struct {
	Error struct {
		Kind    schema.Kind `json:"kind"`
		Op      string      `json:"op,omitempty"`
		Subject string      `json:"subject,omitempty"`
		Message string      `json:"message"`
		Hint    string      `json:"hint,omitempty"`
	} `json:"error"`
}

// statuses maps kinds of errors to HTTP. The client goes by the kind in the body; the status is for what stands between.
var statuses = map[schema.Kind]int{
	schema.Invalid: http.StatusBadRequest, schema.NotFound: http.StatusNotFound, schema.Conflict: http.StatusConflict, schema.Gone: http.StatusGone,
	schema.Unpinnable: http.StatusUnprocessableEntity, schema.Different: http.StatusUnprocessableEntity, schema.Drift: http.StatusUnprocessableEntity,
	schema.NotComparable: http.StatusUnprocessableEntity, schema.Unavailable: http.StatusServiceUnavailable, schema.Interrupted: http.StatusServiceUnavailable,
	schema.Internal: http.StatusInternalServerError,
}

// statusError is an error with a status of its own.
type statusError struct {
	status int
	after  int // seconds: Retry-After
	err    *schema.Error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// writeError sends an error. What an internal one says is for the server's log: it can name paths.
func writeError(w http.ResponseWriter, err error) {
	var body wireError
	var own *schema.Error
	if !errors.As(err, &own) {
		own = &schema.Error{Op: "store.http", Kind: schema.Internal, Subject: "the server", Err: err}
	}
	e := &body.Error
	e.Kind, e.Op, e.Subject, e.Hint = own.Kind, own.Op, own.Subject, own.Hint
	switch {
	case own.Kind == schema.Internal:
		e.Message, e.Hint = "the server failed: its log says why", "run `runpin store check` where the store lies"
	case own.Err != nil:
		e.Message = own.Err.Error()
	default:
		e.Message = string(own.Kind)
	}
	if own.Kind == schema.Interrupted { // by the server, which the client did not ask for
		e.Kind = schema.Unavailable
	}
	status := statuses[own.Kind]
	var with *statusError
	if errors.As(err, &with) {
		status = with.status
		if with.after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(with.after))
		}
	}
	if status == 0 {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func invalid(subject, hint string, err error) error {
	return &schema.Error{Op: "store.http", Kind: schema.Invalid, Subject: subject, Hint: hint, Err: err}
}

// readJSON reads a question. What it does not know is refused: a field of a newer client that is passed over would give another answer than was asked for.
func readJSON(r io.Reader, into any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil && dec.More() {
		err = errors.New("something follows it")
	}
	if err != nil {
		return invalid("the request", "client and server may be of different versions", err)
	}
	return nil
}

type findQuery struct {
	Query   schema.Text `json:"query"`
	User    schema.Text `json:"user,omitempty"`
	Project schema.Text `json:"project,omitempty"`
}

type foundRun struct {
	Run schema.RunID `json:"run"`
}

// listQuery is a store.Filter. Its texts need not be UTF-8.
type listQuery struct {
	Project schema.Text   `json:"project,omitempty"`
	User    schema.Text   `json:"user,omitempty"`
	Status  schema.Text   `json:"status,omitempty"`
	Image   schema.Text   `json:"image,omitempty"`
	Commit  schema.Text   `json:"commit,omitempty"`
	Dataset schema.Text   `json:"dataset,omitempty"`
	File    schema.Text   `json:"file,omitempty"`
	Output  schema.Text   `json:"output,omitempty"`
	Params  []schema.Text `json:"params,omitempty"`
	Labels  []schema.Text `json:"labels,omitempty"`
	Prefix  schema.Text   `json:"label_prefix,omitempty"`
	Metrics []schema.Text `json:"metrics,omitempty"`
	SameAs  schema.Text   `json:"same_as,omitempty"`
	Parent  schema.Text   `json:"parent,omitempty"`
	RerunOf schema.Text   `json:"rerun_of,omitempty"`
	Since   schema.Time   `json:"since,omitzero"`
	Until   schema.Time   `json:"until,omitzero"`
	Sort    schema.Text   `json:"sort,omitempty"`
	Reverse bool          `json:"reverse,omitempty"`
	Limit   int           `json:"limit,omitempty"`
	Offset  int           `json:"offset,omitempty"`
	Before  schema.Text   `json:"before,omitempty"`
}

func texts[T ~string](in []T) []schema.Text { return convert[T, schema.Text](in) }

func convert[A, B ~string](in []A) []B {
	var out []B
	for _, s := range in {
		out = append(out, B(s))
	}
	return out
}

func queryOf(f store.Filter) listQuery {
	t := func(s string) schema.Text { return schema.Text(s) }
	return listQuery{Project: t(f.Project), User: t(f.User), Status: t(string(f.Status)), Image: t(f.Image), Commit: t(f.Commit), Dataset: t(f.Dataset), File: t(f.File),
		Output: t(f.Output), Params: texts(f.Params), Labels: texts(f.Labels), Prefix: t(f.LabelPrefix), Metrics: texts(f.Metrics), SameAs: t(string(f.SameAs)), Parent: t(string(f.Parent)),
		RerunOf: t(string(f.RerunOf)), Since: f.Since, Until: f.Until, Sort: t(f.Sort), Reverse: f.Reverse, Limit: f.Limit, Offset: f.Offset, Before: t(string(f.Before))}
}

func (q listQuery) filter() store.Filter {
	return store.Filter{Project: string(q.Project), User: string(q.User), Status: schema.Status(q.Status), Image: string(q.Image), Commit: string(q.Commit), Dataset: string(q.Dataset),
		File: string(q.File), Output: string(q.Output), Params: convert[schema.Text, string](q.Params), Labels: convert[schema.Text, string](q.Labels), LabelPrefix: string(q.Prefix),
		Metrics: convert[schema.Text, string](q.Metrics), SameAs: schema.Fingerprint(q.SameAs), Parent: schema.RunID(q.Parent), RerunOf: schema.RunID(q.RerunOf),
		Since: q.Since, Until: q.Until, Sort: string(q.Sort), Reverse: q.Reverse, Limit: q.Limit, Offset: q.Offset, Before: schema.RunID(q.Before)}
}

// askedBlob is a blob that a client is about to report.
type askedBlob struct {
	Digest schema.Digest   `json:"digest"`
	Kind   schema.BlobKind `json:"kind"`
	Bytes  int64           `json:"bytes"`
}

type missingQuery struct {
	Blobs []askedBlob `json:"blobs"`
}

type missingBlobs struct {
	Missing []schema.Digest `json:"missing"`
}

type beatQuery struct {
	At schema.Time `json:"at"`
}

// Whoami says what a token may do.
type Whoami struct {
	Token   string             `json:"token,omitempty"` // its id; absent where no token is asked for
	Scopes  []store.TokenScope `json:"scopes"`
	Project string             `json:"project,omitempty"`
	Server  string             `json:"server"` // version
}
