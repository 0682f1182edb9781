package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Digest is a content digest in the OCI form "algorithm:hex": sha256 with 64 or sha512 with 128 lower-case digits.
// The zero value means "absent" and is never written.
type Digest string

// ParseDigest checks s and returns it as a Digest.
func ParseDigest(s string) (Digest, error) {
	alg, hexPart, ok := strings.Cut(s, ":")
	want := map[string]int{"sha256": 64, "sha512": 128}[alg]
	if !ok || want == 0 || len(hexPart) != want || !isLowerHex(hexPart) {
		return "", &Error{Op: "schema.digest", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 160)),
			Err: fmt.Errorf("not a digest"), Hint: "a digest is sha256: and 64 lower-case hexadecimal digits"}
	}
	return Digest(s), nil
}

// SHA256 gives the digest of b.
func SHA256(b []byte) Digest {
	sum := sha256.Sum256(b)
	return SHA256Sum(sum)
}

// SHA256Sum gives the digest that a finished SHA-256 stands for.
func SHA256Sum(sum [32]byte) Digest { return Digest("sha256:" + hex.EncodeToString(sum[:])) }

// Valid reports whether d is a well-formed digest; the zero value is not.
func (d Digest) Valid() bool { _, err := ParseDigest(string(d)); return err == nil }

// Hex gives the digits without the algorithm.
func (d Digest) Hex() string { _, h, _ := strings.Cut(string(d), ":"); return h }

// Short gives the algorithm and the first twelve digits, for people.
func (d Digest) Short() string {
	alg, h, ok := strings.Cut(string(d), ":")
	if !ok || len(h) < 12 {
		return string(d)
	}
	return alg + ":" + h[:12]
}

// UnmarshalText accepts a well-formed digest only.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	if err == nil {
		*d = v
	}
	return err
}

// ObjectID is a git object name: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits. It names commits, trees and blobs.
type ObjectID string

// ParseObjectID checks s and returns it as an ObjectID.
func ParseObjectID(s string) (ObjectID, error) {
	if (len(s) != 40 && len(s) != 64) || !isLowerHex(s) {
		return "", &Error{Op: "schema.object", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 160)),
			Err: fmt.Errorf("not a full git object id"), Hint: "give all 40 (or 64) hexadecimal digits"}
	}
	return ObjectID(s), nil
}

// Short gives the first twelve digits, for people.
func (o ObjectID) Short() string { return Shorten(string(o), 12) }

// UnmarshalText accepts a full object id only.
func (o *ObjectID) UnmarshalText(b []byte) error {
	v, err := ParseObjectID(string(b))
	if err == nil {
		*o = v
	}
	return err
}

var pinName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// ParseName checks the name of a pin or an output: [a-z][a-z0-9_]*, 63 characters at most (DESIGN §5).
func ParseName(s string) (string, error) {
	if !pinName.MatchString(s) {
		return "", &Error{Op: "schema.name", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 160)), Err: fmt.Errorf("not a name"),
			Hint: "a name is a lower-case letter followed by lower-case letters, digits or underscores"}
	}
	return s, nil
}

// timeLayout is RFC 3339 in UTC with exactly three decimals, so that text order is time order.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is an instant, kept and printed to the millisecond in UTC with a fixed width.
type Time struct{ t time.Time }

// At gives t as a Time, cut to the millisecond.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Millisecond)}
}

// ParseTime reads RFC 3339, with or without decimals.
func ParseTime(s string) (Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !(Time{t.UTC()}).writable() {
		return Time{}, &Error{Op: "schema.time", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 160)), Err: fmt.Errorf("not a time"),
			Hint: "write it like 2026-11-23T18:00:00Z"}
	}
	return At(t), nil
}

// writable reports whether the fixed-width form can hold t. The year is asked for in UTC: an offset can move a time over the edge.
func (t Time) writable() bool { year := t.t.Year(); return year >= 1970 && year <= 9999 }

// Equal reports whether both are the same instant, or both absent.
func (t Time) Equal(u Time) bool { return t.t.Equal(u.t) }

// Before reports whether t is earlier than u; an absent time is earlier than any other.
func (t Time) Before(u Time) bool { return t.t.Before(u.t) }

// Time gives the standard library's form.
func (t Time) Time() time.Time { return t.t }

// IsZero reports whether the time is absent; encoding/json's omitzero uses it.
func (t Time) IsZero() bool { return t.t.IsZero() }

// String gives the fixed-width form, or "" when absent.
func (t Time) String() string {
	if t.IsZero() {
		return ""
	}
	return t.t.Format(timeLayout)
}

// MarshalText writes the fixed-width form.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads RFC 3339.
func (t *Time) UnmarshalText(b []byte) error {
	v, err := ParseTime(string(b))
	if err == nil {
		*t = v
	}
	return err
}

// Shorten cuts s to at most n bytes at a rune boundary, for messages only: a record never holds a shortened value.
func Shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:max(n, 0)]
}

func isLowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
