// Package sqlite answers one question: how is a store kept in one SQLite file?
//
// It is the dialect for the embedded default store: modernc.org/sqlite, no cgo, no set-up. It imports store and schema. Start reading at
// sqlite.go (how the file is opened), then errors.go (what its failures mean) and filesystem_linux.go (where it should not lie).
package sqlite
