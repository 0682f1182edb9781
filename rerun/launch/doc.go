// Package launch answers one question: how is a command started, and how did it end?
//
// It holds the types that all places to run share ([Job], [Exit], [Launcher], [StartError]) and [Run], which starts one process of this host
// as if runpin were not there: its stdin, stdout and stderr are runpin's own, signals that runpin gets are passed on, its exit code comes back.
// Each place to run is a package below: local runs the command on this host, container in an image with podman or docker, slurm on a node of a cluster. What hands whole
// job specs to a scheduler is a [Batch]: slurm. launchtest holds them all to what [Launcher] and [Batch] promise.
//
// It imports schema only; its own packages may use the network.
//
// Start reading at launch.go (the types), then process.go (one process) and signal_unix.go (who gets which signal).
package launch
