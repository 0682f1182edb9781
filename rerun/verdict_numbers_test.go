package rerun

import (
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestCompareNumbers(t *testing.T) {
	tolerance, err := schema.ParseTolerance("0.01")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		a, b string
		want string // the first difference; "" for none
	}{
		"same":                       {"x 1\n", "x 1\n", ""},
		"within":                     {"x 1\n", "x 1.005\n", ""},
		"an exponent":                {"1e-3", "0.002", ""},
		"beyond":                     {"a\nb\nx 1\n", "a\nb\nx 1.02\n", "line 3: 1.02 instead of 1, beyond"},
		"JSON":                       {`{"a":[1,{"b":2}],"c":"x"}`, `{ "a": [1.001, {"b": 2.0}], "c": "x" }`, ""},
		"JSON key":                   {`{"a":1}`, `{"b":1}`, `"b" instead of "a"`},
		"JSON text":                  {`{"a":"x  y"}`, `{"a":"x y"}`, `"x y" instead of "x  y"`},
		"JSON number and text":       {`{"a":1}`, `{"a":"1"}`, "1 instead of 1"},
		"a number in quotes":         {`"1","a"`, `"1.001","a"`, ""},
		"an escape":                  {`"a\"b" 1`, `"a\"b" 1.001`, ""},
		"half a quote":               {"5\" disk 1\n", "5\" disk 1.001\n", ""},
		"columns":                    {"  0.50  1\n -0.50  2\n", "0.501 1\n-0.501 2", ""},
		"a row less":                 {"1 2\n3 4\n", "1 2\n", "the end instead of a new line"},
		"a column less":              {"1 2\n3 4\n", "1\n3 4\n", "a new line instead of 2"},
		"rows and columns":           {"1 2\n3 4\n", "1 2 3 4\n", "3 instead of a new line"},
		"a value more":               {"1,2", "1,2,3", `"," instead of the end`},
		"a date":                     {"2026-11-28 1", "2026-11-29 1", `"2026-11-29" instead of "2026-11-28"`},
		"a version":                  {"v1.2.3", "v1.2.4", `"v1.2.4"`},
		"a name with digits":         {"layer1 1", "layer2 1", `"layer2"`},
		"no hexadecimal":             {"0x10", "0x11", `"0x11"`},
		"NaN":                        {"NaN inf -inf", "nan Infinity -Infinity", ""},
		"NaN and a number":           {"NaN", "1", "1 instead of NaN"},
		"an infinity and the other":  {"inf", "-inf", "-inf instead of inf"},
		"a colon":                    {"loss:0.5", "loss:0.501", ""},
		"an equals sign":             {"loss=0.5;acc=1", "loss=0.501;acc=1", ""},
		"empty":                      {"", "", ""},
		"only one is empty":          {"", "1", "1 instead of the end"},
		"a carriage return":          {"1\r\n2\r\n", "1\n2\n", ""},
		"more digits than a float64": {strings.Repeat("9", 30) + ".5", strings.Repeat("9", 30) + ".6", "beyond"},
		"binary":                     {"\x00", "\x01", "no text"},
		"not UTF-8":                  {"\xff", "a", "no text"},
	} {
		found := compareNumbers([]byte(c.a), []byte(c.b), tolerance)
		if said := found.problem + found.differs; !strings.Contains(said, c.want) || (said == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, said, c.want)
		}
	}
}

func FuzzCompareNumbers(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5e3, "x"]}`, "1,2\n3,4\n", "a \"b\\\" 1\nNaN", "\x00", "\"", "1e999 -.5 +5."} {
		f.Add(s, s+"1")
	}
	tolerance, err := schema.ParseTolerance("1e-3")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if same := compareNumbers([]byte(a), []byte(a), schema.Tolerance{}); same.differs != "" || same.numbers != 0 {
			t.Fatalf("%q differs from itself: %+v", a, same)
		}
		there, back := compareNumbers([]byte(a), []byte(b), tolerance), compareNumbers([]byte(b), []byte(a), tolerance)
		if (there.differs == "") != (back.differs == "") || (there.problem == "") != (back.problem == "") {
			t.Fatalf("%q and %q: %+v one way, %+v the other", a, b, there, back)
		}
		if exact := compareNumbers([]byte(a), []byte(b), schema.Tolerance{}); exact.differs == "" && there.differs != "" {
			t.Fatalf("%q and %q are equal and not within a tolerance", a, b)
		}
	})
}
