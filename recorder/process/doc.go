// Package process answers one question: what does a command line say, and what does its process see?
//
// It holds pure helpers around a command; nothing here starts one. template.go replaces the paths of data sets and outputs in argv by {name},
// expand.go puts values back, childenv.go and runcontext.go make the variables that children see, container.go finds the image of a `podman run` or `docker run`,
// wrapper.go looks through sudo, env and the like, hidden.go finds containers that cannot be pinned, root.go replaces the path of the checkout,
// rank.go finds out which rank and which try of a job this process is, metrics.go and params.go read the files in which programs write numbers down, path.go describes a path as a record keeps it.
//
// It imports schema, recorder/redact, a YAML parser and the standard library. All input is hostile: sizes and depths are bounded.
package process
