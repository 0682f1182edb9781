package jobspec

// Bounds on a file that anyone may have written. An object of Kubernetes has at most 1.5 MiB (etcd's request limit), so they are out of
// the way of every real file.
const (
	maxBytes   = 4 << 20   // of a file
	maxMarks   = 1 << 20   // characters that may begin a node, which bounds what the parser allocates
	maxValues  = 500_000   // nodes, each counted as often as aliases repeat it
	maxDepth   = 128       // nesting of nodes, aliases followed
	maxListed  = 64        // problems that are listed; the rest is counted
	maxRefs    = 10_000    // references
	maxLists   = 4         // Lists in Lists
	maxScript  = 256 << 10 // bytes of a batch script
	maxOpeners = 20_000    // characters of a batch script that may open a nesting
	maxEngines = 16        // words docker or podman in one command
	maxName    = 63        // characters in the name of a pin
)
