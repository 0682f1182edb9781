// Package kubernetes answers one question: how is a pinned job spec run on a cluster, and how did it end?
//
// [Launcher] is a [launch.Batch]. It creates the objects of a spec, follows the one that is the job to its end, copies what its pods print, and takes everything away again. It
// talks to the cluster through client-go's dynamic client alone (docs/decisions/0010-client-go-dynamic.md), so a kind that an operator adds is a row of a table (kinds.go).
//
// What it may rely on: a cluster says what it likes, so its answers are bounded and its names are checked. What runs on something else than what is pinned is stopped as soon as a
// pod says so. What it deletes carries the stamp of the run, and is the object that was looked at: names can be given away again.
//
// It imports rerun/launch and schema. Start reading at launcher.go, then spec.go and submit.go (handing over), wait.go (following), remove.go (taking away).
package kubernetes
