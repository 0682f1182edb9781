package schema

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
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
	maxIDTime  = 1<<48 - 1 // milliseconds; the first character is 7 at most
	// ShortIDLength is how many characters of the random tail short displays show.
	ShortIDLength = 8
)

// NewRunID makes an id for a run that is created at the given time.
func NewRunID(at time.Time) RunID { return RunID(newID(at)) }

// NewDocumentID makes an id for an event that is written at the given time.
func NewDocumentID(at time.Time) DocumentID { return DocumentID(newID(at)) }

// lastID is the last id that this process made. Ids of one millisecond grow, so that the events of one process keep their order.
var lastID struct {
	sync.Mutex
	ms     uint64
	random [10]byte
}

func newID(at time.Time) string {
	var random [10]byte
	if _, err := rand.Read(random[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system (its own documentation)
	}
	ms := uint64(min(max(at.UnixMilli(), 0), maxIDTime))
	lastID.Lock()
	defer lastID.Unlock()
	if ms == lastID.ms {
		// Grow by a random step of up to 2^40: the tails, which short displays show, stay unlike each other. 2^40 ids fit a millisecond.
		if next, ok := addRandom(lastID.random, random); ok {
			random = next
		}
	} else {
		random[0] &= 0x7f // leaves room to grow
	}
	lastID.ms, lastID.random = ms, random
	return encodeID(ms, random)
}

// addRandom adds the low 40 bits of step, and one, to a; it reports whether the sum fits 80 bits.
func addRandom(a, step [10]byte) ([10]byte, bool) {
	carry := uint(1)
	for i := len(a) - 1; i >= 0; i-- {
		sum := uint(a[i]) + carry
		if i >= 5 {
			sum += uint(step[i])
		}
		a[i], carry = byte(sum), sum>>8
	}
	return a, carry == 0
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

// DeriveRunID gives the id of a run that exists elsewhere (a tracker's, say): always the same for the same parts, so that bringing it in twice is
// bringing it in once. The parts name it uniquely.
func DeriveRunID(at Time, parts ...string) RunID { return RunID(deriveID(at, parts)) }

// DeriveDocumentID gives the id of an event that several reporters, or one reporter several times, state in the same words: saving it twice is saving it once.
func DeriveDocumentID(at Time, parts ...string) DocumentID { return DocumentID(deriveID(at, parts)) }

// deriveID takes the 80 bits behind the time from the SHA-256 of the parts, each with its length before it.
func deriveID(at Time, parts []string) string {
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return encodeID(uint64(min(max(at.Time().UnixMilli(), 0), maxIDTime)), [10]byte(hash.Sum(nil)[:10]))
}

// ParseRunID checks a full id. Lower case is accepted and raised.
func ParseRunID(s string) (RunID, error) {
	if up := upperASCII(s); len(up) == idLength && up[0] <= '7' && IsIDFragment(up) {
		return RunID(up), nil
	}
	return "", &Error{Op: "schema.run-id", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 160)), Err: fmt.Errorf("not a run id"),
		Hint: "a run id has 26 letters and digits; `runpin list` shows them"}
}

// IsIDFragment reports whether s (any case) could be the head or the tail of an id.
func IsIDFragment(s string) bool {
	for i := range len(s) {
		if idDigit(s[i]) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= idLength
}

// idDigit gives the value of a character in either case, or -1. Only ASCII counts: strings.ToUpper would take "ſ" for an S.
func idDigit(c byte) int {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	return strings.IndexByte(crockford, c)
}

func upperASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

// Short gives the random tail, which is what short displays show: the heads of runs made on one day look alike.
func (id RunID) Short() string {
	if len(id) != idLength {
		return string(id)
	}
	return string(id[idLength-ShortIDLength:])
}

// Time gives the creation time that the id carries, to the millisecond; it is absent when the id is malformed or its time cannot be written.
func (id RunID) Time() Time {
	if _, err := ParseRunID(string(id)); err != nil {
		return Time{}
	}
	var ms uint64
	for i := range idTimePart {
		ms = ms<<5 | uint64(idDigit(id[i]))
	}
	if t := At(time.UnixMilli(int64(ms))); t.writable() {
		return t
	}
	return Time{}
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
