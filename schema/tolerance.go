package schema

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// The ways in which an output is compared with the same output of a rerun ([Output.Compare]).
const (
	CompareExact     = "exact"     // bit for bit
	CompareIgnore    = "ignore"    // not at all
	CompareTolerance = "tolerance" // as text whose numbers may be off by a tolerance
	CompareCommand   = "command"   // by a command that looks at both
)

// compareModes lists them.
var compareModes = []string{CompareExact, CompareIgnore, CompareTolerance, CompareCommand}

// CompareRule says how an output is compared. Where Mode is "" it is compared bit for bit, and metrics with a tolerance may speak for it.
type CompareRule struct {
	Mode      string
	Tolerance Text   // of mode tolerance; none: the numbers must be equal as numbers
	Command   []Text // of mode command: argv, with {original} and {rerun} for the two paths
}

// CompareRule gives the rule that is recorded with an output.
func (o Output) CompareRule() CompareRule {
	return CompareRule{Mode: o.Compare, Tolerance: o.Tolerance, Command: o.CompareCommand}
}

// SetCompareRule records a rule with an output.
func (o *Output) SetCompareRule(r CompareRule) {
	o.Compare, o.Tolerance, o.CompareCommand = r.Mode, r.Tolerance, r.Command
}

// Tolerance says how far a number may be off the one it is compared with: by an amount, or by a share of that one. The zero value allows no difference.
type Tolerance struct {
	text     string
	amount   *big.Rat // of a relative one the share: 0.01 for 1%
	float    float64
	relative bool
}

// ParseTolerance reads an amount ("1e-3", "±1e-3") or a share of the original's value ("1%", "±1%", "0.01,rel").
func ParseTolerance(s string) (Tolerance, error) {
	bad := &Error{Op: "schema.tolerance", Kind: Invalid, Subject: strconv.Quote(Shorten(s, 80)), Err: fmt.Errorf("not a tolerance"), Hint: "write 1e-3 for an amount, or 1% for a share of the original's value"}
	number := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(s), "±"), "+-")
	percent, share := strings.HasSuffix(number, "%"), strings.HasSuffix(number, ",rel")
	number = strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(number, "%"), ",rel"))
	shift := 0
	if share {
		shift = 2
	}
	text, ok := plainNumber(number, shift)
	if !ok || percent && share {
		return Tolerance{}, bad
	}
	t := Tolerance{text: text, relative: percent || share}
	t.amount, _ = new(big.Rat).SetString(text)
	if t.relative {
		t.amount.Quo(t.amount, big.NewRat(100, 1))
		t.text += "%"
	}
	t.float, _ = t.amount.Float64()
	return t, nil
}

// String gives the one spelling of a tolerance, which [ParseTolerance] reads: "0.001", "1%".
func (t Tolerance) String() string {
	if t.text == "" {
		return "0"
	}
	return t.text
}

// plainNumber gives the one spelling of a decimal number that is not negative, times ten to the power of shift.
func plainNumber(s string, shift int) (string, bool) {
	s = strings.TrimPrefix(s, "+")
	if _, ok := exactNumber(s); !ok || strings.HasPrefix(s, "-") || len(s) > 80 {
		return "", false
	}
	digits, exponent := s, shift
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.Atoi(s[i+1:])
		if err != nil || n < -300 || n > 300 {
			return "", false
		}
		digits, exponent = s[:i], exponent+n
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	point := len(short) + exponent // digits before the point
	switch {
	case short == "":
		return "0", true
	case point > 21 || point < -5:
		text := short[:1]
		if len(short) > 1 {
			text += "." + short[1:]
		}
		return text + "e" + strconv.Itoa(point-1), true
	case point <= 0:
		return "0." + strings.Repeat("0", -point) + short, true
	case exponent >= 0:
		return short + strings.Repeat("0", exponent), true
	default:
		return short[:point] + "." + short[point:], true
	}
}

// Within reports whether got is as near to want as the tolerance asks. Numbers are compared exactly, however many digits they have. NaN is as good as NaN, an
// infinity as the same infinity; text that is no number must be the same.
func (t Tolerance) Within(want, got Text) bool {
	if want == got {
		return true
	}
	x, okX := ParseNumber(string(want))
	y, okY := ParseNumber(string(got))
	switch {
	case !okX || !okY:
		return false
	case math.IsNaN(x) || math.IsNaN(y):
		return math.IsNaN(x) && math.IsNaN(y)
	case math.IsInf(x, 0) || math.IsInf(y, 0):
		return x == y
	}
	off, most := math.Abs(x-y), t.float
	if t.relative {
		most *= math.Abs(x)
	}
	// Where rounding could decide, the decimals themselves do: float64 cannot tell 9007199254740993 from …992, nor 0.3 from 0.1+0.2.
	if slack := 1e-12 * (math.Abs(x) + math.Abs(y) + most); !math.IsInf(off, 0) && math.Abs(off-most) > slack {
		return off < most
	}
	a, okA := exactNumber(string(want))
	b, okB := exactNumber(string(got))
	if !okA || !okB {
		return false
	}
	limit := new(big.Rat)
	if t.amount != nil {
		limit.Set(t.amount)
	}
	if t.relative {
		limit.Mul(limit, new(big.Rat).Abs(a))
	}
	return new(big.Rat).Abs(a.Sub(a, b)).Cmp(limit) <= 0
}

// maxNumber bounds the text of a number that is compared.
const maxNumber = 400

// ParseNumber gives the nearest float64 of a decimal number, NaN or infinity; ok is false for anything else and for what is out of its range.
func ParseNumber(s string) (f float64, ok bool) {
	if s == "" || len(s) > maxNumber {
		return 0, false
	}
	if strings.Trim(s, "0123456789+-.eE") != "" {
		switch strings.ToLower(strings.TrimLeft(s, "+-")) {
		case "nan", "inf", "infinity":
		default:
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// exactNumber gives a finite decimal number as it stands. What float64 can hardly tell from 0 is taken as float64 has it: its digits would fill memory.
func exactNumber(s string) (*big.Rat, bool) {
	f, ok := ParseNumber(s)
	switch {
	case !ok || math.IsNaN(f) || math.IsInf(f, 0):
		return nil, false
	case math.Abs(f) < 1e-300:
		return new(big.Rat).SetFloat64(f), true
	}
	return new(big.Rat).SetString(s)
}

// CanBeCompared reports whether a run says what a rerun of it is to be compared by: an output that is not ignored, or metrics.
func (r Run) CanBeCompared() bool {
	if r.MetricsFile != nil || len(r.Metrics) > 0 {
		return true
	}
	return slices.ContainsFunc(slices.Concat(r.DeclaredOutputs, r.Outputs), func(o Output) bool { return o.Compare != CompareIgnore })
}
