// Package http answers one question: how is a store used from another machine?
//
// Both ends of it: [Server] offers a database over HTTP, [Client] is a store whose runs lie behind one. They pass the same documents, byte for byte, as a spool
// file and a row hold, so that a report that is sent twice is stored once. docs/http.md describes the protocol. It imports store and schema, and of the
// standard library net/http.
//
// Start reading at protocol.go (paths, limits, errors) and wire.go (the body of a report); then server.go, which says who may do what, and client.go.
// uploads.go keeps large blobs while they arrive, in parts and over broken connections.
package http
