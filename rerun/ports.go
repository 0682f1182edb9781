package rerun

import (
	"context"

	"github.com/runpin/runpin/schema"
)

// ImageChecker says whether an image can still be pulled by digest. Implemented by recorder/image.
type ImageChecker interface {
	CheckImage(ctx context.Context, pin schema.ImagePin) schema.Availability
}

// Code checks and restores code. Implemented by recorder/code.
type Code interface {
	// CheckCode says whether RestoreCode would succeed, without writing.
	CheckCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) schema.Availability
	// RestoreCode writes the checkout as it stood into dir, which must not exist yet, and proves that the tree is the recorded one.
	// On failure nothing is left at dir.
	RestoreCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource, dir string) error
}

// Datasets checks data sets and puts them in place. Implemented by recorder/dataset.
type Datasets interface {
	// CheckDataset looks at the data set where it was recorded, or at the URI at when that is not "". With deep every byte is read;
	// otherwise a data set that the stat cache knows unchanged is not.
	CheckDataset(ctx context.Context, pin schema.DatasetPin, at string, deep bool) schema.Availability
	// PlaceDataset makes the data set appear at dest (a path that does not exist yet), proved equal to pin by its whole digest. With copy
	// the bytes are copied; otherwise a link may be enough.
	PlaceDataset(ctx context.Context, pin schema.DatasetPin, at, dest string, copy bool, progress schema.Progress) error
}
