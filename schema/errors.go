package schema

import (
	"errors"
	"strings"
)

// Kind classes an error by what the caller can do about it; the exit code follows from it (cmd/runpin/exit.go).
type Kind string

// The kinds of error, from the caller's mistake to ours.
const (
	Invalid       Kind = "invalid"        // a flag, argument, setting or file of the caller is malformed
	NotFound      Kind = "not-found"      // no such run
	Conflict      Kind = "conflict"       // the same id with other bytes, an ambiguous name, an exact version that would move
	Unpinnable    Kind = "unpinnable"     // an input cannot be resolved to an immutable value: absent, denied, templated, unreadable
	Different     Kind = "different"      // a comparison that was asked for found a difference
	Gone          Kind = "gone"           // something that a record needs no longer exists
	Drift         Kind = "drift"          // something that a record needs has changed
	Unavailable   Kind = "unavailable"    // network, registry, or a locked, full or read-only store: worth retrying
	NotComparable Kind = "not-comparable" // there is nothing to compare
	Interrupted   Kind = "interrupted"    // the user or the system asked us to stop
	Internal      Kind = "internal"       // everything else; a bug or a damaged store
)

// Error is the one error type of runpin. Op is the operation ("image.resolve"), Subject what it was done to (a reference, a
// path, a run), Hint the next thing to try. Err is the cause and may be nil when Subject and Kind say all.
type Error struct {
	Op      string
	Kind    Kind
	Subject string
	Hint    string
	Err     error
}

// Error gives "subject: cause"; Op is for logs and is left out.
func (e *Error) Error() string {
	var parts []string
	if e.Subject != "" {
		parts = append(parts, e.Subject)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	} else if len(parts) == 0 || e.Kind != Internal {
		parts = append(parts, string(e.Kind))
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind of the outermost *Error in err's tree, Internal for any other error, and "" for nil.
// For joined errors see [Kinds].
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// IsKind reports whether any *Error in err's tree has the kind.
func IsKind(err error, kind Kind) bool {
	for _, k := range Kinds(err) {
		if k == kind {
			return true
		}
	}
	return false
}

// Kinds lists the kind of every failure in err: one for each branch of an errors.Join, the outermost *Error of each.
func Kinds(err error) []Kind {
	var kinds []Kind
	for _, leaf := range Failures(err) {
		kinds = append(kinds, KindOf(leaf))
	}
	return kinds
}

// Failures splits an errors.Join tree into its single failures, in order. An *Error is never split: what it wraps is its cause. What else
// is wrapped around several failures is passed over, so that none of them loses its kind.
func Failures(err error) []error {
	switch e := err.(type) {
	case nil:
		return nil
	case *Error:
		return []error{e}
	case interface{ Unwrap() []error }:
		var all []error
		for _, inner := range e.Unwrap() {
			all = append(all, Failures(inner)...)
		}
		return all
	case interface{ Unwrap() error }:
		if all := Failures(e.Unwrap()); len(all) > 1 {
			return all
		}
	}
	return []error{err}
}

// HintOf gives the first hint in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
