// Package dataset answers: which version of each data set did the run use?
//
// It holds what every kind of data set shares: the [Backend] interface, the choice of a backend by URI ([Resolver.Locate]), and the
// two forms a version is written in, the manifest and its sidecar (manifest.go, sidecar.go). [Resolver] implements the ports
// recorder.DatasetResolver, recorder.OutputHasher and rerun.Datasets.
//
// A kind of data set is a folder below this one, with its code, tests and testdata; the only other edit is one line in all/all.go, and
// datasettest.Run is the law it is held to. It may import schema, recorder (for the port types), recorder/redact, and the clients that
// rooms share. Start with resolver.go, then file/, the backend for paths.
package dataset
