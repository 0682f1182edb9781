package store

import (
	"fmt"

	"github.com/runpin/runpin/schema"
)

// MaxBlobBytes caps each kind of blob, in bytes before compression. What is larger is refused, never cut.
var MaxBlobBytes = map[schema.BlobKind]int64{
	schema.BlobJobSpec:  4 << 20,
	schema.BlobFile:     100 << 20,
	schema.BlobChanges:  16 << 20,
	schema.BlobManifest: 256 << 20,
	schema.BlobSidecar:  64 << 20,
	schema.BlobPackages: 16 << 20,
	schema.BlobBundle:   256 << 20,
}

var capHints = map[schema.BlobKind]string{
	schema.BlobJobSpec:  "a job spec of that size is not one; generated data belongs into a data set",
	schema.BlobFile:     "declare the file as a data set or an output, commit it, or add it to .gitignore",
	schema.BlobChanges:  "commit the changes, or add generated files to .gitignore",
	schema.BlobManifest: "declare parts of the data set, each with its own name, or --exclude what is not used",
	schema.BlobSidecar:  "declare parts of the data set, each with its own name",
	schema.BlobPackages: "an installation of that size is not one",
	schema.BlobBundle:   "push the commits to a remote, so that they need not be stored",
}

// CheckBlobRef refuses what could not be stored or verified: a blob of an unknown kind, without a SHA-256, or larger than its kind may be.
func CheckBlobRef(ref schema.BlobRef) error {
	const op = "store.blob"
	limit, known := MaxBlobBytes[ref.Kind]
	subject := fmt.Sprintf("blob %s", ref.Digest.Short())
	switch {
	case !known:
		return invalid(op, subject, "", "its kind %q is not known to this version", schema.Shorten(string(ref.Kind), 40))
	case !ref.Digest.Valid() || len(ref.Digest.Hex()) != 64:
		return invalid(op, fmt.Sprintf("blob %q", schema.Shorten(string(ref.Digest), 160)), "", "a blob is named by its SHA-256")
	case ref.Bytes < 0:
		return invalid(op, subject, "", "its size is %d", ref.Bytes)
	case ref.Bytes > limit:
		return invalid(op, subject, capHints[ref.Kind], "a %s of %d bytes is too large, at most %d are stored", ref.Kind, ref.Bytes, limit)
	}
	return nil
}
