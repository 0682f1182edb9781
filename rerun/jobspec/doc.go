// Package jobspec answers one question: which images and which code does a job spec name, and how does the same spec look with each of them pinned?
//
// A job spec is a file that starts work: objects of Kubernetes, alone, in a List or among other objects in one file; compose files, CI workflows and requests
// of clouds, all as YAML or JSON; or a text, such as a batch script or a Dockerfile. [Read] finds every reference to an image, to a revision of code or to a
// dataset, and every reason why one cannot be pinned; [Spec.Pin] gives the file back with each reference replaced by the recorded value, and stamped with
// the run's id. [Resubmit] and [Set] change it further, in the same way. docs/job-specs.md lists the kinds.
//
// Rules of the room:
//   - The file is edited by splicing bytes at the place of the YAML node, never by printing a tree: comments, order, quotes, blank lines, line
//     ends, a byte order mark and a missing final newline survive. The result is parsed again and compared with the original: only the wanted
//     values may differ, or nothing is returned (verify.go).
//   - Where images hide is data: a kind is a row of the tables in kinds.go and formats.go, an Argo workflow the lists in workflow.go. Code is in code.go.
//   - What is neither YAML nor JSON is a text format (textformat.go): scripts for sbatch or a shell, command lines of a container engine (slurm.go, with a
//     shell parser), Dockerfiles (dockerfile.go) and definition files of Apptainer (definition.go). A text is edited in the same way, and proved by reading
//     the result, comparing each digest with the wanted one, and taking the pins out again. A Dockerfile and a definition file start nothing, so they carry
//     no run's id. An image file is checked by a line before the first command (guard.go), because no word of a script could hold its hash.
//   - What is not understood is a [Problem] with its line and column, never passed over.
//   - The file is not trusted: its size, depth and expansion through aliases are bounded (limits.go).
//
// It imports schema, the YAML parser, the shell parser of mvdan.cc/sh and the reference parser of go-containerregistry; it uses no network and no files.
//
// Start reading at spec.go (what is found), then kinds.go (where), pin.go (how it is replaced) and stamp.go (how the run's id gets in).
package jobspec
