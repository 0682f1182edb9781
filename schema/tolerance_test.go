package schema

import (
	"math"
	"strings"
	"testing"
)

func TestParseTolerance(t *testing.T) {
	for in, want := range map[string]string{
		"1e-3": "0.001", "±1e-3": "0.001", "+-0.00100": "0.001", "1%": "1%", "±1.0%": "1%", "0.01,rel": "1%", "1e-3,rel": "0.1%", "0": "0", "0%": "0%", "-0": "", "+5": "5", "1e3": "1000",
		"1500": "1500", "1e-9": "1e-9", "12.5e-9": "1.25e-8", "1e30": "1e30", "9007199254740993": "9007199254740993", ".5": "0.5", "5.": "5", " 1 % ": "1%",
		"": "", "%": "", "-1": "", "NaN": "", "Inf%": "", "1e400": "", "0x1": "", "1_0": "", "±": "", "1%%": "", "1%,rel": "", "much": "", "1e-310": "", strings.Repeat("1", 81): "",
	} {
		tol, err := ParseTolerance(in)
		if (err != nil) != (want == "") || err == nil && tol.String() != want {
			t.Errorf("%q gives %q, %v, want %q", in, tol, err, want)
		}
		if err != nil && KindOf(err) != Invalid {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		tol       string
		want, got Text
		within    bool
	}{
		{"0", "1.0", "1.00", true}, {"0", "1.0", "1e0", true}, {"0", "1.0", "1.0000000000000000000001", false}, {"", "1", "1.0", true},
		{"0", "9007199254740993", "9007199254740992", false}, {"1", "9007199254740993", "9007199254740992", true}, {"0", "9007199254740993", "9007199254740993.0", true},
		{"0", Text(strings.Repeat("9", 300) + "1"), Text(strings.Repeat("9", 300) + "2"), false}, {"1", Text(strings.Repeat("9", 300) + "1"), Text(strings.Repeat("9", 300) + "2"), true},
		{"0.1", "0.3", "0.4", true}, {"0.1", "0.3", "0.40000000000000000001", false}, {"1e-3", "0.5", "0.501", true}, {"1e-3", "0.5", "0.4989999", false},
		{"1%", "100", "101", true}, {"1%", "100", "101.0000001", false}, {"1%", "-100", "-99", true}, {"1%", "0", "1e-300", false}, {"1%", "0", "-0.0", true},
		{"1%", "NaN", "nan", true}, {"1%", "NaN", "0", false}, {"1e300", "0", "NaN", false}, {"1%", "+Inf", "Infinity", true}, {"1%", "inf", "-inf", false}, {"1e300", "inf", "1", false},
		{"1", "x", "x", true}, {"1", "x", "y", false}, {"1", "0x10", "16", false}, {"1", "1_0", "10", false}, {"1", "1e-999999999", "0", true}, {"1", "1e999999999", "1e999999999.0", false},
		{"1e300", "1.7e308", "-1.7e308", false}, {"1e-300", "0", "4e-324", true},
	} {
		tol := Tolerance{}
		if c.tol != "" {
			var err error
			if tol, err = ParseTolerance(c.tol); err != nil {
				t.Fatal(err)
			}
		}
		if got := tol.Within(c.want, c.got); got != c.within {
			t.Errorf("%s → %s within %s: %v", Shorten(string(c.want), 40), Shorten(string(c.got), 40), tol, got)
		}
		if !tol.relative && tol.Within(c.got, c.want) != c.within {
			t.Errorf("%s and %s: an amount is the same either way round", c.want, c.got)
		}
	}
}

func FuzzParseTolerance(f *testing.F) {
	for _, s := range []string{"1e-3", "±1%", "", "-1", "NaN", "Inf%", "%", "0", "1,rel", "00.0e+2%", "1e-300"} {
		f.Add(s, "1", "1.001")
	}
	f.Fuzz(func(t *testing.T, s, want, got string) {
		tol, err := ParseTolerance(s)
		if err != nil {
			return
		}
		again, err := ParseTolerance(tol.String())
		if err != nil || again.String() != tol.String() {
			t.Fatalf("%q is written %q, which is read as %q, %v", s, tol, again, err)
		}
		if tol.amount.Sign() < 0 || tol.float < 0 || math.IsNaN(tol.float) {
			t.Fatalf("%q is %v", s, tol.amount)
		}
		if within := tol.Within(Text(want), Text(got)); within != again.Within(Text(want), Text(got)) {
			t.Fatalf("%q and %q do not agree on %q and %q", s, tol, want, got)
		}
		if (Tolerance{}).Within(Text(want), Text(got)) && !tol.Within(Text(want), Text(got)) {
			t.Fatalf("%q → %q is within nothing and not within %s", want, got, tol)
		}
	})
}
