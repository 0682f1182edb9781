// Package storetest answers one question: what does a store promise?
//
// [Run] is the contract of a [Store]: every dialect, and every other way to keep runs, passes it. A change to a store begins here. It imports store and schema.
// Start reading at storetest.go; documents.go makes the runs that the tests save, generate.go makes many of them.
package storetest
