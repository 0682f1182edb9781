package dataset

import (
	"context"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// Backend knows one kind of place where data sets are. Its methods are called from several goroutines.
type Backend interface {
	// Scheme is the URI scheme it answers to, in lower case ("file", "s3").
	Scheme() string
	// Resolve finds the version. What it cannot pin, because it is missing, denied, unreadable or changing, is an error of kind
	// Unpinnable; for a missing one errors.Is(err, fs.ErrNotExist) holds. Neither pin nor error holds a credential.
	Resolve(ctx context.Context, req Request) (schema.DatasetPin, error)
	// Check says whether the version that pin names can still be had at a place. It never fails: what stands in the way is the answer.
	Check(ctx context.Context, req CheckRequest) schema.Availability
}

// Placer is the power to put a data set where a command can read it. A backend without it can be recorded and checked, not rerun.
type Placer interface {
	Place(ctx context.Context, req PlaceRequest) error
}

// Request asks for one data set: what the recorder asked for, with its URI taken apart.
type Request struct {
	recorder.DatasetRequest
	Location Location
}

// CheckRequest asks about a pin. At is where to look: the place the user gave instead, or else the recorded one (then Given is false).
// With Deep every byte is read.
type CheckRequest struct {
	Pin   schema.DatasetPin
	At    Location
	Given bool
	Deep  bool
}

// PlaceRequest asks for a data set to appear at Dest, an absolute path at which nothing is yet. Without Copy links may stand for the files, never
// for the directories of the data set: what is made or removed below Dest must not show in the original.
type PlaceRequest struct {
	Pin      schema.DatasetPin
	At       Location
	Given    bool
	Dest     string
	Copy     bool
	Progress schema.Progress
}

// Options are what backends need to know of the machine; the zero value works.
type Options struct {
	CacheDir string           // per-host folder for stat caches, which may be deleted at any time; "" keeps them in memory
	Host     string           // who looked, for [schema.Origin]
	Workers  int              // files read at once; 0 for a number that suits the processors
	Now      func() time.Time // time.Now when nil
}

// Clock gives Now, or time.Now.
func (o Options) Clock() func() time.Time {
	if o.Now == nil {
		return time.Now
	}
	return o.Now
}
