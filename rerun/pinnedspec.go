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

// PinnedSpec gives the job spec of a run with every image reference replaced by the recorded value, stamped with the id unless stamp is "". withheld is
// the spec where the record does not hold it, because it holds a secret. It needs the record and its blobs only, neither network nor data, and gives the same bytes each time.
func PinnedSpec(ctx context.Context, run schema.Run, blobs schema.BlobSource, withheld string, stamp schema.RunID) ([]byte, error) {
	refuse := func(kind schema.Kind, hint, format string, args ...any) ([]byte, error) {
		return nil, &schema.Error{Op: "rerun.spec", Kind: kind, Subject: "run " + run.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if run.Job == nil {
		return refuse(schema.Invalid, "runpin rerun "+run.ID.Short()+" --execute", "it was recorded from a command, not from a job spec: there is no spec to print")
	}
	data := []byte(withheld + "\n")
	switch {
	case run.Job.Blob != nil:
		var err error
		if data, err = readBlob(ctx, blobs, *run.Job.Blob, maxSpecBytes); err != nil {
			return nil, err
		}
	case withheld == "":
		return refuse(schema.Invalid, "give the file: --secret job=@FILE", "its job spec was withheld because it holds a secret")
	}
	spec, err := jobspec.Read(string(run.Job.Path.Typed), data)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, pin := range run.Images {
		if ref, named := spec.Lookup(pin.Name); named && ref.Kind == jobspec.KindImage {
			if pinned := pin.PinnedReference(true); pinned != "" {
				values[pin.Name] = pinned
			}
		}
	}
	for _, pin := range run.Code {
		if ref, named := spec.Lookup(pin.Name); named && ref.Kind == jobspec.KindCode && pin.Commit != "" {
			values[pin.Name] = string(pin.Commit)
		}
	}
	if stamp == "" {
		return spec.Pin(values, nil)
	}
	return spec.Pin(values, &jobspec.Stamp{RunID: stamp})
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
