package schema

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// RunID names a run: 26 characters of Crockford's base 32, upper case, of which the first 10 are the creation time in
// milliseconds and the last 16 are random (the layout of a ULID). Ids sort by time, are made by the client and need no coordination.
type RunID string

// DocumentID names one document of a run; same form as [RunID]. The base document has the run's own id.
type DocumentID string

const (
	crockford  = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	idLength   = 26
	idTimePart = 10
	// ShortIDLength is how many characters of the random tail short displays show.
	ShortIDLength = 8
)

// NewRunID makes an id for a run that is created at the given time.
func NewRunID(at time.Time) RunID { return RunID(newID(at)) }

// NewDocumentID makes an id for an event that is written at the given time.
func NewDocumentID(at time.Time) DocumentID { return DocumentID(newID(at)) }

func newID(at time.Time) string {
	var random [10]byte
	if _, err := rand.Read(random[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system (its own documentation)
	}
	return encodeID(uint64(at.UnixMilli()), random)
}

func encodeID(ms uint64, random [10]byte) string {
	var out [idLength]byte
	for i := idTimePart - 1; i >= 0; i-- {
		out[i] = crockford[ms&31]
		ms >>= 5
	}
	var acc uint64
	bits, at := 0, idTimePart
	for _, b := range random {
		acc = acc<<8 | uint64(b)
		bits += 8
		for bits >= 5 {
			bits -= 5
			out[at] = crockford[acc>>bits&31]
			at++
		}
	}
	return string(out[:])
}

// ParseRunID checks a full id. Lower case is accepted and raised.
func ParseRunID(s string) (RunID, error) {
	up := strings.ToUpper(s)
	if len(up) != idLength || up[0] > '7' || !IsIDFragment(up) {
		return "", &Error{Op: "schema.run-id", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 160)), Err: fmt.Errorf("not a run id"),
			Hint: "a run id has 26 letters and digits; `runpin list` shows them"}
	}
	return RunID(up), nil
}

// IsIDFragment reports whether s (any case) could be the head or the tail of an id.
func IsIDFragment(s string) bool {
	for _, c := range strings.ToUpper(s) {
		if !strings.ContainsRune(crockford, c) {
			return false
		}
	}
	return s != "" && len(s) <= idLength
}

// Short gives the random tail, which is what short displays show: the heads of runs made on one day look alike.
func (id RunID) Short() string {
	if len(id) != idLength {
		return string(id)
	}
	return string(id[idLength-ShortIDLength:])
}

// Time gives the creation time that the id carries, to the millisecond.
func (id RunID) Time() Time {
	if len(id) != idLength {
		return Time{}
	}
	var ms uint64
	for i := 0; i < idTimePart; i++ {
		ms = ms<<5 | uint64(strings.IndexByte(crockford, id[i]))
	}
	return At(time.UnixMilli(int64(ms)))
}

// UnmarshalText accepts a full id only.
func (id *RunID) UnmarshalText(b []byte) error {
	v, err := ParseRunID(string(b))
	if err == nil {
		*id = v
	}
	return err
}

// UnmarshalText accepts a full id only.
func (id *DocumentID) UnmarshalText(b []byte) error {
	v, err := ParseRunID(string(b))
	if err == nil {
		*id = DocumentID(v)
	}
	return err
}
