// Package store answers one question: where is a record kept?
//
// It keeps the documents of runs and the blobs that they refer to, and finds runs again. Documents are the truth; every other table is an
// index that [Store.Reindex] rebuilds from them. There is one set of queries, with $1 placeholders; what differs between databases is a
// [Dialect], one folder each (store/sqlite). It imports schema and a driver-free database/sql.
//
// Start reading at store.go (opening, transactions), then save.go (one report, one transaction), index.go (what of a document can be
// searched) and list.go (how it is searched). migrations/0001_init.sqlite.sql describes the tables. storetest holds the contract.
//
// What is not indexed: files of data set manifests and change lists of more than [MaxListingLines] lines, files of output directories,
// LFS objects, package lists, environments, notes and job specs.
package store
