// Package registry answers one question: what does an OCI registry say?
//
// It is the one registry client of the program. [ParseReference] reads an image reference and keeps it as it was written;
// [Client] finds out what a reference names now, and fetches manifests and image configurations, each bounded in size and time
// and verified against its digest. It is built on go-containerregistry; what that library leaves open is decided here: which
// hosts may be spoken to over plain http (hosts.go), how long to wait for a registry that asks for patience (wait.go), what is
// believed (fetch.go), whose credentials are sent (keychain.go), what an error says and does not say (errors.go, scrub.go).
//
// What a digest names never changes, so manifests and configurations are kept on disk for ever (cache.go). What a tag names
// does, so it is always asked for.
//
// It imports schema only. Start reading at client.go.
package registry
