package rerun

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Questions lists what has to be found out about the pins of a run, in the order of the record: images, code, data sets, then the job spec;
// behind them what the run needs beside its pins.
func (r *Rerunner) Questions(run schema.Run, opts PreflightOptions) []Question {
	var questions []Question
	for _, pin := range run.Images {
		questions = append(questions, r.movedImage(pin, opts))
	}
	for _, pin := range run.Code {
		questions = append(questions, r.movedCode(pin, opts))
	}
	for _, pin := range run.Datasets {
		questions = append(questions, r.movedDataset(pin, opts))
	}
	if run.Job != nil {
		questions = append(questions, r.aboutJob(run))
	}
	if run.Job == nil && len(run.CommandTemplate) == 0 {
		questions = append(questions, noCommand())
	}
	return append(questions, r.aboutNeeds(run, opts)...)
}

// noCommand answers for a run of which nobody said what was started: it was brought in from elsewhere, or only observed.
func noCommand() Question {
	a := schema.Availability{State: schema.StateGone, How: "record", Reason: "its record has no command", Remedy: "record the run with runpin"}
	return Question{Pin: "command", Key: keyOf("command"), Ask: func(context.Context) schema.Availability { return a }}
}

// hostOf gives the server in a URI, the scheme where there is none ("s3" is one service), or "" for a path.
func hostOf(uri string) string {
	if scheme, _, ok := strings.Cut(uri, "://"); ok && scheme != "file" {
		if u, err := url.Parse(uri); err == nil && u.Host != "" {
			return scheme + "://" + u.Host
		}
		return scheme
	}
	host, _, scpLike := strings.Cut(uri, ":")
	if !scpLike || strings.ContainsAny(host, "/\\") {
		return ""
	}
	return host[strings.LastIndexByte(host, '@')+1:]
}

func (r *Rerunner) aboutImage(pin schema.ImagePin) Question {
	q := Question{Pin: "image:" + pin.Name, Ref: pin.Ref}
	if !pin.Local {
		pin.Engine = "" // who started it does not matter where a registry has it
		q.Host, _, _ = strings.Cut(pin.Repository, "/")
	}
	if pin.Pullable() == "" && pin.ConfigDigest == "" && pin.FileDigest == "" {
		return neverPinned(q, pin.Reasons)
	}
	q.Key = keyOf("image", pin.Repository, pin.Tag, string(pin.IndexDigest), string(pin.PlatformDigest), string(pin.ConfigDigest), fmt.Sprint(pin.Local), pin.Engine)
	if pin.FileDigest != "" {
		q.Key = keyOf("image-file", string(pin.Ref), string(pin.FileDigest))
	}
	q.Ask = func(ctx context.Context) schema.Availability { return r.Images.CheckImage(ctx, pin) }
	return q
}

func (r *Rerunner) aboutCode(pin schema.CodePin) Question {
	q := Question{Pin: "code:" + pin.Name, Ref: pin.Ref, Host: hostOf(pin.Remote)}
	if pin.Commit == "" && pin.Tree == "" && pin.Script == nil {
		return neverPinned(q, pin.Reasons)
	}
	// Everything that says what it is and where it may be; not what it was called, by whom it was seen, or why.
	same := pin
	same.Name, same.Ref, same.Use, same.Origin, same.Reasons, same.Summary = "", "", "", schema.Origin{Kind: pin.Origin.Kind}, nil, nil
	same.OnRemote, same.Judge, same.RefName, same.Detached, same.Shallow, same.Sparse = nil, "", "", false, false, false
	q.Key = keyOf("code", canonical(same))
	q.Ask = func(ctx context.Context) schema.Availability { return r.Code.CheckCode(ctx, pin, r.Blobs) }
	return q
}

func (r *Rerunner) aboutDataset(pin schema.DatasetPin, opts PreflightOptions) Question {
	q := Question{Pin: "dataset:" + pin.Name, Ref: pin.URI, Host: hostOf(string(pin.URI))}
	if pin.Scheme == "file" {
		q.Host = ""
	}
	if pin.ContentDigest == "" && pin.VersionID == "" {
		return neverPinned(q, pin.Reasons)
	}
	same := pin
	same.Name, same.Role, same.Use, same.Origin, same.Reasons = "", "", "", schema.Origin{}, nil
	q.Key = keyOf("dataset", canonical(same), opts.At[pin.Name], fmt.Sprint(opts.Deep))
	q.Ask = func(ctx context.Context) schema.Availability {
		return r.Datasets.CheckDataset(ctx, pin, opts.At[pin.Name], opts.Deep)
	}
	return q
}

// aboutJob asks whether the recorded job spec can be given back, pinned. It needs the store only.
func (r *Rerunner) aboutJob(run schema.Run) Question {
	q := Question{Pin: "job", Ref: run.Job.Path.Typed}
	var blob schema.Digest
	if run.Job.Blob != nil {
		blob = run.Job.Blob.Digest
	}
	q.Key = keyOf("job", string(run.ID), string(blob))
	q.Ask = func(ctx context.Context) schema.Availability {
		a := schema.Availability{Value: schema.Text(blob), State: schema.StateAvailable, How: "rendered"}
		if run.Job.Blob == nil {
			a.State, a.How, a.Advisory = schema.StateUnknown, "record", true
			a.Reason, a.Remedy = "it was withheld from the record because it holds a secret", "give it to the rerun: --secret job=@FILE"
			return a
		}
		if _, _, err := PinnedSpec(ctx, run, r.Blobs, SpecOptions{Stamp: run.ID, Reader: r.Reader}); err != nil {
			a.State, a.Reason, a.Remedy = stateOf(err), err.Error(), schema.HintOf(err)
		}
		return a
	}
	return q
}

// stateOf gives the state that an error amounts to.
func stateOf(err error) schema.State {
	switch schema.KindOf(err) {
	case schema.Unavailable, schema.Interrupted, schema.Internal:
		return schema.StateUnknown
	case schema.Drift:
		return schema.StateChanged
	default:
		return schema.StateGone
	}
}

// neverPinned answers for a pin that the record leaves open.
func neverPinned(q Question, reasons []schema.Reason) Question {
	a := schema.Availability{Pin: q.Pin, Ref: q.Ref, State: schema.StateGone, How: "record", Reason: "it was not pinned when the run was recorded"}
	if len(reasons) > 0 {
		a.Reason += ": " + reasons[0].Text
	}
	q.Key = keyOf("never", string(q.Ref), a.Reason)
	q.Ask = func(context.Context) schema.Availability { return a }
	return q
}

func keyOf(parts ...string) string {
	key := ""
	for _, p := range parts {
		key += fmt.Sprintf("%d:%s", len(p), p)
	}
	return string(schema.SHA256([]byte(key)))
}

func canonical(pin any) string {
	b, err := schema.Canonical(pin)
	if err != nil { // what came out of a record has a canonical form
		return fmt.Sprintf("%+v", pin)
	}
	return string(b)
}
