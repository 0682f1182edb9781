package file

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// The answers to "how do you know?" (see [schema.Availability]).
const (
	howStat   = "stat-match"
	howHashed = "hashed"
)

// Check recomputes the whole digest and compares it. Files that the stat cache knows unchanged are not read, unless Deep is set.
func (b *Backend) Check(ctx context.Context, req dataset.CheckRequest) schema.Availability {
	a, _ := b.compare(ctx, req, nil, "")
	return a
}

// compare looks at a place and says whether it holds what pin says; t is what it read, nil when it could not.
func (b *Backend) compare(ctx context.Context, req dataset.CheckRequest, progress schema.Progress, copyTo string) (a schema.Availability, t *tree) {
	pin := req.Pin
	a = schema.Availability{Pin: dataset.PinName(pin), Ref: pin.URI, Value: schema.Text(pin.ContentDigest), State: schema.StateUnknown}
	at := "--at " + pin.Name + "=PATH"
	if pin.ContentDigest == "" {
		a.Reason, a.Remedy = "no content digest was recorded for it", "record it again"
		return a, nil
	}
	path, err := filepath.Abs(req.At.Path)
	if err != nil || !req.Given && !filepath.IsAbs(req.At.Path) {
		a.Reason, a.Remedy = "the record does not say where it was", "give its place with "+at
		return a, nil
	}
	t, err = b.read(ctx, look{path: path, name: singleName(pin), include: schema.Strings(pin.Include), exclude: schema.Strings(pin.Exclude), deep: req.Deep,
		what: "checking " + pin.Name, progress: progress, copyTo: copyTo})
	switch {
	case err == nil:
	case isChange(err):
		a.State, a.Reason, a.Remedy = schema.StateChanged, err.Error(), "restore it, or give another copy with "+at
	case errors.Is(err, fs.ErrNotExist):
		a.State, a.Reason, a.Remedy = schema.StateGone, shown(path)+" does not exist", "put it back, or give its place with "+at
	default:
		a.Reason, a.Remedy = err.Error(), schema.HintOf(err)
	}
	if err != nil {
		return a, nil
	}
	a.How = howHashed
	if t.read == 0 && t.files > 0 {
		a.How = howStat
	}
	if !t.is(pin) {
		a.State, a.Reason, a.Remedy = schema.StateChanged, t.describe(pin), "restore it, or give another copy with "+at
		a.Found = schema.Text(t.digest)
		if t.digest == pin.ContentDigest {
			a.Value, a.Found = sidecarText(pin.SidecarDigest), sidecarText(t.sidecar)
		}
		if t.single == pin.Directory {
			a.Reason = "it is a directory, and a file was recorded"
			if t.single {
				a.Reason = "it is a file, and a directory was recorded"
			}
		}
		if t.before != nil && t.before.digest == pin.ContentDigest {
			return a, t // keep the cache that can name the differences, also the next time
		}
	} else {
		a.State = schema.StateAvailable
	}
	if copyTo == "" {
		b.save(t)
	}
	return a, t
}

// is reports whether t is exactly what pin names: content, kind of digest, sidecar, and whether it is a directory.
func (t *tree) is(pin schema.DatasetPin) bool {
	return t.digest == pin.ContentDigest && t.digestKind() == pin.DigestKind && t.sidecar == pin.SidecarDigest && t.single != pin.Directory
}

func sidecarText(d schema.Digest) schema.Text {
	if d == "" {
		return "no sidecar"
	}
	return "sidecar " + schema.Text(d)
}

// singleName is the name under which a single file stands in its manifest: a copy elsewhere may have another.
func singleName(pin schema.DatasetPin) string {
	if pin.Directory || pin.Path == nil || pin.Path.Typed == "" {
		return ""
	}
	return filepath.Base(string(pin.Path.Typed))
}
