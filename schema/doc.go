// Package schema answers one question: what is a record?
//
// It holds the vocabulary of runpin as validating value types, the documents that make up a run (one base document and
// append-only events), their fold into a [Run], the canonical JSON form, the fingerprint, the comparison of two runs and
// the one error type of the program. It imports the standard library only; every other room imports it.
//
// Start reading at run.go (what a run is), then document.go (how it is written down), fold.go (how documents become a run)
// and fingerprint.go (what "same inputs" means). docs/record.md describes the bytes.
package schema
