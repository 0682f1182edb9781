// Package postgres answers one question: how is a store kept in a PostgreSQL database?
//
// It is the dialect for the store that several machines share, directly or behind `runpin serve`: PostgreSQL 12 and newer, and what speaks its protocol. It imports store
// and schema. Start reading at postgres.go (how it is opened, who may write), then location.go (what a location may hold, and what is shown of it)
// and errors.go (what failures mean).
package postgres
