// Package spool answers one question: where does a report wait while its store cannot be reached?
//
// In a directory, as one immutable file: for pods, ranks, network file systems, and for a command that is running while the store is
// full or locked. A spool is written to and folded into a store ([Import]); it is not searched. It imports store (for the caps of blobs) and schema.
//
// A file is named after its first document and its content, and ends in ".report". It holds one line "runpin spool 1" and then frames: a line of
// text, the payload, a newline. Numbers are decimal, digests as in a record.
//
//	document <sha256> <bytes>                      the document, byte for byte
//	blob <kind> <digest> <bytes> <stored bytes>    the content as one zstd frame of <stored bytes> (padded with zeros to 20 digits)
//	end <frames before this one>                   no payload; a file without it is not whole
//
// Files whose name begins with a dot are being written, or were when their writer was killed: they are no reports.
package spool
