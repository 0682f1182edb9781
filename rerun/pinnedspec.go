package rerun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// maxSpecBytes bounds what is read back: rerun/jobspec takes no larger file.
const maxSpecBytes = 4 << 20

// SpecOptions say how a recorded job spec is given back.
type SpecOptions struct {
	Withheld string         // the spec where the record does not hold it, because it holds a secret
	Stamp    schema.RunID   // "" for none
	Resubmit bool           // make it fit to be submitted again; always so for a live object
	Reader   jobspec.Reader // without fields: those are the record's
	Name     string         // of the object that is submitted again; "" lets the server complete the old one
	Set      []Setting      // field.PATH, env.NAME or arg.--FLAG of the spec
	Relocate Relocations    // registries, remotes and data that moved: the spec names their new place

	moved map[string]bool // the pins that are had from there; nil for all that Relocate names
}

// PinnedSpec gives the job spec of a run with every reference replaced by the recorded value, stamped with an id. It needs the record and its blobs only,
// neither network nor data, and gives the same bytes each time. said tells what was changed beside the references.
func PinnedSpec(ctx context.Context, run schema.Run, blobs schema.BlobSource, opts SpecOptions) (pinned []byte, said []string, err error) {
	pinned, said, _, err = pinSpec(ctx, run, blobs, opts)
	return pinned, said, err
}

// pinSpec is PinnedSpec, which also gives what was set as the record of a rerun has it.
func pinSpec(ctx context.Context, run schema.Run, blobs schema.BlobSource, opts SpecOptions) (pinned []byte, said []string, set []schema.Reason, err error) {
	fail := func(err error) ([]byte, []string, []schema.Reason, error) { return nil, nil, nil, err }
	refuse := func(hint, format string, args ...any) ([]byte, []string, []schema.Reason, error) {
		return fail(&schema.Error{Op: "rerun.spec", Kind: schema.Invalid, Subject: "run " + run.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint})
	}
	if run.Job == nil {
		return refuse("run it again with runpin rerun "+run.ID.Short()+" --execute, or have a spec made with --as FORMAT", "it was recorded from a command, not from a job spec: there is no spec to print")
	}
	data := []byte(opts.Withheld + "\n")
	switch {
	case run.Job.Blob != nil:
		if data, err = readBlob(ctx, blobs, *run.Job.Blob, maxSpecBytes); err != nil {
			return fail(err)
		}
	case opts.Withheld == "":
		return refuse("give the file: --secret job=@FILE", "its job spec was withheld because it holds a secret")
	}
	if len(opts.Relocate) > 0 {
		if run, data, said, err = relocatedSpec(run, data, opts); err != nil {
			return fail(err)
		}
	}
	spec, err := recordedSpec(run, data, opts.Reader)
	if err != nil {
		return fail(err)
	}
	var stamp *jobspec.Stamp
	if opts.Stamp != "" {
		stamp = &jobspec.Stamp{RunID: opts.Stamp}
	}
	values := recordedValues(run, spec)
	if len(opts.Set) > 0 {
		// Before the stamp, which would move the items of lists that a path counts.
		if pinned, err = spec.Pin(values, nil); err != nil {
			return fail(err)
		}
		if pinned, set, err = setInSpec(run, pinned, opts); err != nil {
			return fail(err)
		}
		for _, reason := range set {
			said = append(said, string(reason.Subject)+" is "+reason.Text)
		}
		if spec, err = recordedSpec(run, pinned, opts.Reader); err != nil {
			return fail(err)
		}
		values = nil
	}
	if pinned, err = spec.Pin(values, stamp); err != nil {
		return fail(err)
	}
	if opts.Resubmit || opts.Name != "" || spec.Live {
		out, more, err := jobspec.Resubmit(spec.File, pinned, opts.Name)
		if err != nil {
			return fail(err)
		}
		out, dropped, err := jobspec.WithoutTrackerRuns(spec.File, out, setVariables(opts.Set))
		return out, slices.Concat(said, more, dropped), set, err
	}
	runs, err := jobspec.TrackerRuns(spec.File, pinned)
	for _, t := range runs {
		if !slices.Contains(setVariables(opts.Set), t.Name) {
			said = append(said, fmt.Sprintf("%s: %s names the original's run of a tracker, and what is submitted goes on with it: --resubmit takes it out", t.Place, t.Name))
		}
	}
	return pinned, said, set, err
}

func setVariables(settings []Setting) (names []string) {
	for _, s := range settings {
		if name, ok := strings.CutPrefix(s.Key, "env."); ok {
			names = append(names, name)
		}
	}
	return names
}

// relocatedSpec puts what moved to its new place: images by the value that is put in for them (of a rerun that is executed the pins name it already), the URLs of
// code and data in the text.
func relocatedSpec(run schema.Run, data []byte, opts SpecOptions) (schema.Run, []byte, []string, error) {
	moved := run
	var said []string
	if opts.moved == nil {
		var reasons []schema.Reason
		moved, reasons = Relocated(run, opts.Relocate)
		for _, r := range reasons {
			if strings.HasPrefix(string(r.Subject), "image:") {
				said = append(said, string(r.Subject)+" is "+r.Text)
			}
		}
	}
	spec, err := recordedSpec(run, data, opts.Reader)
	if err != nil {
		return run, nil, nil, err
	}
	done := map[string]bool{}
	for _, ref := range spec.References {
		at, ok := opts.Relocate.Moved(ref.URL)
		if !ok || done[ref.URL] || ref.Kind == jobspec.KindImage || opts.moved != nil && !opts.moved[ref.Kind+":"+ref.Name] {
			continue
		}
		done[ref.URL] = true
		next, err := jobspec.Rewrite(spec.File, data, ref.URL, at)
		if err != nil {
			return run, nil, nil, err
		}
		if bytes.Equal(next, data) {
			said = append(said, fmt.Sprintf("%s:%d:%d: %s moved to %s and is written in a way in which it was not changed", spec.File, ref.Line, ref.Column, schema.Shorten(ref.URL, 200), at))
		} else {
			said = append(said, fmt.Sprintf("%s:%s is had from %s", ref.Kind, ref.Name, at))
		}
		data = next
	}
	return moved, data, said, nil
}

// setInSpec changes what was asked for. What is pinned stays pinned: a setting may not bring in a reference that can move.
func setInSpec(run schema.Run, data []byte, opts SpecOptions) (out []byte, set []schema.Reason, err error) {
	loose := func() (map[string]bool, error) {
		s, err := recordedSpec(run, data, opts.Reader)
		if err != nil {
			return nil, err
		}
		keys := map[string]bool{}
		for _, ref := range s.References {
			keys[ref.Field+" "+ref.Value] = !ref.Pinned && !ref.Soft
		}
		for _, p := range s.Problems {
			keys[p.Field+" "+p.Value] = true
		}
		return keys, nil
	}
	before, err := loose()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range opts.Set {
		refuse := func(reason, hint string) error {
			return &schema.Error{Op: "rerun.set", Kind: schema.Invalid, Subject: "--set " + s.Key, Err: errors.New(reason), Hint: hint}
		}
		if kind, name, ok := strings.Cut(s.Key, "."); !ok || name == "" || kind != "field" && kind != "env" && kind != "arg" {
			return nil, nil, refuse("is not a place of a job spec", "set field.PATH, env.NAME or arg.--FLAG; params belong to a rerun that is executed: add --execute")
		}
		if s.Key == "env.RUNPIN_RUN_ID" {
			return nil, nil, refuse("is the stamp, by which the run reports", "leave it out with --no-stamp")
		}
		next, was, err := jobspec.Set(string(run.Job.Path.Typed), data, s.Key, s.Value)
		if err != nil {
			return nil, nil, err
		}
		data = next
		after, err := loose()
		if err != nil {
			return nil, nil, err
		}
		for key, moves := range after {
			if moves && !before[key] {
				return nil, nil, refuse(fmt.Sprintf("%q can move, and a printed spec holds nothing that can", s.Value), "give it by its digest or commit")
			}
		}
		set = append(set, wasSet(s, jobspec.Shown(was)))
	}
	return data, set, nil
}

// recordedSpec reads the spec of a run with the fields that were declared when it was recorded.
func recordedSpec(run schema.Run, data []byte, reader jobspec.Reader) (*jobspec.Spec, error) {
	fields, err := declaredFields(run)
	if err != nil {
		return nil, err
	}
	reader.Fields = fields
	return reader.Read(string(run.Job.Path.Typed), data)
}

func declaredFields(run schema.Run) (fields []jobspec.Field, err error) {
	for _, declared := range run.Job.Fields {
		f, err := jobspec.ParseField(string(declared))
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// recordedValues gives the recorded value of each reference of a spec.
func recordedValues(run schema.Run, spec *jobspec.Spec) map[string]string {
	values := map[string]string{}
	for _, ref := range spec.References {
		switch ref.Kind {
		case jobspec.KindImage:
			for _, pin := range run.Images {
				pinned := pin.PinnedReference(true)
				if ref.File != "" {
					pinned = string(pin.FileDigest)
				}
				if pin.Name == ref.Name && pinned != "" {
					values[ref.Key()] = pinned
				}
			}
		case jobspec.KindCode:
			for _, pin := range run.Code {
				if pin.Name == ref.Name && pin.Commit != "" && !ref.Soft {
					values[ref.Key()] = string(pin.Commit)
				}
			}
		case jobspec.KindDataset:
			for _, pin := range run.Datasets {
				if pin.Name != ref.Name || ref.Soft || ref.Pinned || len(pin.Reasons) > 0 {
					continue
				}
				if pin.VersionID != "" {
					values[ref.Key()] = pin.VersionID
				} else if pin.ContentDigest != "" {
					values[ref.Key()] = string(pin.ContentDigest)
				}
			}
		}
	}
	return values
}

func readBlob(ctx context.Context, blobs schema.BlobSource, ref schema.BlobRef, limit int64) ([]byte, error) {
	r, err := blobs.OpenBlob(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("blob %s is larger than %d bytes", ref.Digest.Short(), limit)
	}
	return data, err
}
