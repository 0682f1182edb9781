package store

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

// The kinds of term: what a run can be found by. They are stored, so they never change their meaning.
const (
	termProject     = "project"
	termUser        = "user"
	termOwner       = "owner" // name: project, value: user
	termStatus      = "status"
	termImage       = "image"    // a digest: index, platform, config or file
	termImageRef    = "imageref" // a reference as written, or a repository
	termObject      = "object"   // a commit or tree
	termDataset     = "dataset"  // a name, version id or digest
	termFile        = "file"     // the digest of a single file
	termPath        = "path"     // of a single file
	termListing     = "listing"  // the digest of a manifest or change list, where it is not a dataset's digest
	termOutput      = "output"   // a digest
	termLabel       = "label"
	termLabelName   = "labelname" // with any value
	termFingerprint = "fingerprint"
	termParent      = "parent"
	termRerunOf     = "rerun"
)

// The kinds of measure.
const (
	measureParam  = "p"
	measureMetric = "m"
)

// term is one value that runs can be found by.
type term struct{ kind, name, value string }

const (
	maxTermBytes  = 1024
	keptTermBytes = 256
)

// indexText gives the form in which a text is indexed and looked up: itself, unless it is not plain UTF-8 or too long for an index.
func indexText(s string) string {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		s = "\x01b64:" + base64.StdEncoding.EncodeToString([]byte(s))
	}
	if len(s) > maxTermBytes {
		s = schema.Shorten(s, keptTermBytes) + "\x01" + schema.SHA256([]byte(s)).Hex()
	}
	return s
}

// orEmpty gives the form in which an empty value of a label is indexed: an empty value is a value.
func orEmpty(v string) string {
	if v == "" {
		return "\x01"
	}
	return v
}

// number gives the float that a text stands for, for ordering and comparing; nil when it stands for none. NaN is none: it is not ordered.
func number(s string) any {
	if len(s) > 64 {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if (err != nil && !math.IsInf(f, 0)) || math.IsNaN(f) {
		return nil
	}
	return f
}

// sameNumber compares two decimal texts exactly: 0.10 and 1e-1 are the same, two big integers that round to one float are not.
func sameNumber(a, b string) bool {
	x, okX := decimalOf(a)
	y, okY := decimalOf(b)
	return okX && okY && x == y
}

type decimal struct {
	negative bool
	digits   string // without leading and trailing zeros
	exponent int    // of the last digit
}

func decimalOf(s string) (decimal, bool) {
	var d decimal
	if len(s) > 64 {
		return d, false
	}
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		d.negative, s = true, rest
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		e, err := strconv.Atoi(s[at+1:])
		if err != nil || e > 1e6 || e < -1e6 {
			return d, false
		}
		d.exponent, s = e, s[:at]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return d, false
	}
	d.exponent -= len(fraction)
	d.digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(d.digits, "0")
	d.exponent += len(d.digits) - len(trimmed)
	if d.digits = trimmed; trimmed == "" {
		return decimal{}, true
	}
	return d, true
}
