package launch

import (
	"context"
	"errors"
	"io"

	"github.com/runpin/runpin/schema"
)

// Batch hands job specs to a scheduler, which runs them: kubernetes, slurm.
//
// Every error is a [*schema.Error]: Unavailable when the scheduler cannot be reached or has no room, Invalid when it refuses the spec, Interrupted when ctx
// ended, Drift when it says that it runs something else than what is pinned, Gone when it does not know the job any more.
type Batch interface {
	// Name is what a record calls the place: kubernetes, slurm.
	Name() string
	// Probe says within seconds whether the scheduler can be reached and takes jobs; where spec has data, whether it takes this one. It changes nothing.
	Probe(ctx context.Context, spec Spec) error
	// Plan says in a line each what Submit would do, and refuses what could not be followed to its end. It changes nothing and needs no scheduler.
	Plan(spec Spec) ([]string, error)
	// Place says where Submit would put the job, as [schema.Launched] says it: written down before, it tells later where to look. It changes nothing.
	Place(ctx context.Context, spec Spec) (string, error)
	// Submit hands the spec over. After an error no job of it runs, unless [ErrUnsure] is in its tree: then there may be one, the error says how to look for it, and
	// Find finds it. The spec holds the run's id (DESIGN §3.9), so that what was submitted can be found even where the submitter was killed before it could
	// say what it is called.
	Submit(ctx context.Context, spec Spec) (schema.Launched, error)
	// Find gives the job that Submit made of a spec whose Run and Data are as they were, where that did not live, or did not know enough, to say so. place is what Place
	// said then. ok is false when the scheduler has no job of it: none was made, or it is forgotten. An error says that this could not be found out, of kind
	// Invalid where this is another place.
	Find(ctx context.Context, spec Spec, place string) (job schema.Launched, ok bool, err error)
	// Wait follows the job to its end and copies what it prints to output. When ctx ends it gives an error of kind Interrupted, and the job goes on.
	Wait(ctx context.Context, job schema.Launched, output io.Writer) (Outcome, error)
	// Stop asks the job to end and waits until it has. To stop one that has ended, or is gone, is no error.
	Stop(ctx context.Context, job schema.Launched) error
	// Remove takes away what Submit made. To remove what is gone is no error.
	Remove(ctx context.Context, job schema.Launched) error
}

// ErrUnsure is in the tree of an error of [Batch.Submit] after which there may be a job. A run of which that was said has not failed: nobody knows.
var ErrUnsure = errors.New("there may be a job all the same")

// Spec is a pinned job spec.
type Spec struct {
	Name string // of the file it was read from: messages name it
	Data []byte
	Run  schema.RunID
	Dir  string // where a batch script runs; "" for a directory of its own
}

// Outcome is how a job ended. Pods is what `kubectl get pods -o json` prints of its pods, nil elsewhere: the images that ran, the exit codes, the restarts.
type Outcome struct {
	Exit Exit
	Why  string // one sentence, where the scheduler says more than a code
	Pods []byte
}
