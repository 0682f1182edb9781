// Package file answers: what exactly is in this file or directory? It is the data set backend for paths.
//
// A walk (walk.go) reads a tree with several workers into nodes and entries (tree.go); hash.go reads one file, folder_*.go talks to the
// kernel, snapshot.go and cache.go keep the stat cache by which an unchanged tree is not read again. From the entries come manifest, sidecar and digests. file.go
// makes pins, check.go compares a pin with what is there, differ.go names the differences, place.go, farm.go (links) and copy.go put a
// data set where a rerun reads it.
//
// Links to files are followed, links to directories are kept as their text. Sockets, fifos and devices are refused and never opened. A link to
// nothing is refused. Names are bytes.
//
// It may import schema, recorder (for the port types) and recorder/dataset.
package file
