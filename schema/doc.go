// Package schema answers one question: what is a record?
//
// It holds the vocabulary of runpin as validating value types, the documents that make up a run (one base document and
// append-only events), their fold into a [Run], the canonical JSON form, the fingerprint, the comparison of two runs and
// the one error type of the program. It imports the standard library only; every other room imports it.
//
// Start reading at run.go (what a run is), then document.go (how it is written down), fold.go (how documents become a run),
// fingerprint.go (what "same inputs" means) and compare.go (in what two runs differ). canonical.go is the form that is stored and hashed;
// check.go says what may be written. docs/record.md describes the bytes; docs/schema is made from the types here by
// `go test ./schema -update`, which also writes the golden files: a change there is a change of what others have stored.
package schema
