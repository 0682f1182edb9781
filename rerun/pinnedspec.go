package rerun

import (
	"context"
	"fmt"
	"io"

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
	Set      []Setting      // field.PATH: values that are to be different
	Name     string         // of the object that is submitted again; "" lets the server complete the old one
}

// PinnedSpec gives the job spec of a run with every reference replaced by the recorded value, stamped with an id. It needs the record and its blobs only,
// neither network nor data, and gives the same bytes each time. said tells what was changed beside the references.
func PinnedSpec(ctx context.Context, run schema.Run, blobs schema.BlobSource, opts SpecOptions) (pinned []byte, said []string, err error) {
	refuse := func(hint, format string, args ...any) ([]byte, []string, error) {
		return nil, nil, &schema.Error{Op: "rerun.spec", Kind: schema.Invalid, Subject: "run " + run.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if run.Job == nil {
		return refuse("run it again with runpin rerun "+run.ID.Short()+" --execute, or have a spec made with --as FORMAT", "it was recorded from a command, not from a job spec: there is no spec to print")
	}
	data := []byte(opts.Withheld + "\n")
	switch {
	case run.Job.Blob != nil:
		if data, err = readBlob(ctx, blobs, *run.Job.Blob, maxSpecBytes); err != nil {
			return nil, nil, err
		}
	case opts.Withheld == "":
		return refuse("give the file: --secret job=@FILE", "its job spec was withheld because it holds a secret")
	}
	spec, err := recordedSpec(run, data, opts.Reader)
	if err != nil {
		return nil, nil, err
	}
	var stamp *jobspec.Stamp
	if opts.Stamp != "" {
		stamp = &jobspec.Stamp{RunID: opts.Stamp}
	}
	if pinned, err = spec.Pin(recordedValues(run, spec), stamp); err != nil {
		return nil, nil, err
	}
	if len(opts.Set) > 0 {
		if opts.Reader.Fields, err = declaredFields(run); err != nil {
			return nil, nil, err
		}
		settings := make([]jobspec.Setting, len(opts.Set))
		for i, s := range opts.Set {
			settings[i] = jobspec.Setting(s)
		}
		if pinned, said, err = opts.Reader.Set(spec.File, pinned, settings); err != nil {
			return nil, nil, err
		}
	}
	if opts.Resubmit || opts.Name != "" || spec.Live {
		fit, changed, err := jobspec.Resubmit(spec.File, pinned, opts.Name)
		return fit, append(said, changed...), err
	}
	return pinned, said, nil
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
