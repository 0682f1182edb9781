// Package render answers one question: how is a run that has no job spec of its own started somewhere else?
//
// From a record it makes a [Plan] (the image by digest, the code at its tree, the data sets by their digests, the command), and a [Format] writes
// that down: a Kubernetes Job, a batch script, a shell script. Whatever is written restores the code and proves its tree, recomputes the whole
// digest of every data set, and only then starts the command. A plan that the form cannot keep is refused by name.
//
// Start reading at [Render]; plan.go says what is refused, code.go and data.go make the shell commands that restore and guard. It imports schema and
// rerun/jobspec only.
package render
