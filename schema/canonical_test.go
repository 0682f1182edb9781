package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestCanonicalBytes(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"scalars":       {` [ null , true , false , 0 , -1 , "a" ] `, `[null,true,false,0,-1,"a"]`},
		"empty":         {`{ "a" : { } , "b" : [ ] }`, `{"a":{},"b":[]}`},
		"sorted":        {`{"b":1,"a":2,"":3,"aa":4}`, `{"":3,"a":2,"aa":4,"b":1}`},
		"sorted inside": {`[{"b":{"d":1,"c":2},"a":0}]`, `[{"a":0,"b":{"c":2,"d":1}}]`},
		// RFC 8785 §3.2.3: the order is of UTF-16 code units, so U+1F600 (D83D DE00) stands before U+FB33.
		"UTF-16 order":               {`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`, "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}"},
		"private use":                {"{\"\ue000\":1,\"\U0010ffff\":2,\"\ud7ff\":3}", "{\"\ud7ff\":3,\"\U0010ffff\":2,\"\ue000\":1}"},
		"order of escapes":           {`{"\\":1,"\"":2,"\n":3,"A":4,"]":5}`, `{"\n":3,"\"":2,"A":4,"\\":1,"]":5}`},
		"escapes":                    {`"\u0000\u0008\u0009\u000a\u000b\u000c\u000d\u001f\u007f\u0022\u005c\u002f\/"`, "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\u007f\\\"\\\\//\""},
		"no HTML escapes":            {`"\u003c\u003e\u0026\u2028\u2029"`, "\"<>&\u2028\u2029\""},
		"pair":                       {`"\ud83d\uDE00\u00e9"`, `"😀é"`},
		"no normalisation":           {`"e\u0301"`, "\"e\u0301\""},
		"replacement char":           {`"\ufffd"`, "\"\ufffd\""},
		"escaped backslash before u": {`"\\ud800"`, `"\\ud800"`},
		"largest":                    {`[9007199254740991,-9007199254740991]`, `[9007199254740991,-9007199254740991]`},
		"deepest":                    {strings.Repeat("[", 101) + strings.Repeat("]", 101), strings.Repeat("[", 101) + strings.Repeat("]", 101)},
	} {
		got, err := CanonicalBytes([]byte(test.in))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
		again, err := CanonicalBytes(got)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s: the canonical form changes when it is made canonical: %q, %v", name, again, err)
		}
	}
}

func TestCanonicalBytesRefuses(t *testing.T) {
	for _, in := range []string{
		``, ` `, `{`, `}`, `[`, `]`, `[1`, `[1,`, `[1,]`, `[,]`, `[1 2]`, `[}`, `{]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{1:2}`, `{a:1}`, `{null:1}`, `{"a":1 "b":2}`, `{"a" 1}`, `{"a"::1}`,
		`1 2`, `{}{}`, `nul`, `True`, `nan`, `NaN`, `Infinity`, `-`, `+1`, `01`, `-0`, `-01`, `1.0`, `1e3`, `1E3`, `.5`, `0x10`, `1_000`, `--1`, `1-`, `9007199254740992`, `-9007199254740992`, `99999999999999999999`,
		`"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud800a"`, `"\ud800\n"`, `"\udc00\ud800"`, `"\ud800\\udc00"`, `"\ud800`, "\"\n\"", "\"\x00\"", "\"\xff\"", "\"\xed\xa0\x80\"",
		`{"a":1,"a":2}`, `{"a":1,"b":2,"a":3}`, `{"b":1,"a":2,"a":3}`, `{"a":1,"\u0061":2}`, `{"\n":1,"\u000a":2}`, `{"":1,"":2}`, `'a'`, `// a`, `[1] // a`, "\ufeff{}", "\u00a0{}",
		strings.Repeat("[", 102) + strings.Repeat("]", 102), strings.Repeat(`{"a":`, 102) + "1" + strings.Repeat("}", 102), strings.Repeat("[", 1<<20),
	} {
		if got, err := CanonicalBytes([]byte(in)); err == nil || KindOf(err) != Invalid {
			t.Errorf("%s: got %q, %v", Shorten(in, 60), got, err)
		}
	}
}

// A hostile document must not take more than its size deserves: many keys in the wrong order, all of them escaped, and deep nesting
// of objects that are not sorted.
func TestCanonicalBytesHostile(t *testing.T) {
	var many strings.Builder
	many.WriteString("{")
	for i := range 200_000 {
		fmt.Fprintf(&many, `"\n%06d":0,`, 999_999-i)
	}
	many.WriteString(`"":0}`)
	deep := strings.Repeat(`{"b":0,"a":`, 100) + strings.Repeat("[1,", 1) + `"` + strings.Repeat("x", 1<<20) + `"]` + strings.Repeat("}", 100)
	for _, in := range []string{many.String(), deep} {
		if _, err := CanonicalBytes([]byte(in)); (err != nil) != strings.HasPrefix(in, `{"b"`) {
			t.Error(err) // deep is one level too deep, and found to be so
		}
	}
}

func TestCanonical(t *testing.T) {
	type inner struct {
		S string `json:"s"`
		T Text   `json:"t"`
	}
	got, err := Canonical(map[string]any{"b": inner{"<\u2028>", "\xff"}, "a": []any{int64(1), nil, true}})
	if want := "{\"a\":[1,null,true],\"b\":{\"s\":\"<\u2028>\",\"t\":{\"b64\":\"/w==\"}}}"; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	type cycle struct {
		Next *cycle `json:"next"`
	}
	loop := &cycle{}
	loop.Next = loop
	for name, v := range map[string]any{
		"a float":           1.5,
		"a float in a map":  map[string]any{"a": 0.1},
		"bytes":             "\xff",
		"bytes in a list":   []string{"a", "\xff"},
		"bytes in any":      map[string]any{"a": []any{inner{S: "\xff"}}},
		"bytes in a key":    map[string]int{"\xff": 1},
		"bytes in Text key": map[Text]int{"\xff": 1},
		"a channel":         make(chan int),
		"itself":            loop,
	} {
		if got, err := Canonical(v); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if got, err := Canonical(nil); err != nil || string(got) != "null" {
		t.Errorf("nil: %s, %v", got, err)
	}
}

// The order of keys is checked against the standard library's UTF-16.
func TestCompareUTF16(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune{'a', 'b', 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff}
	word := func() string {
		rs := make([]rune, rng.IntN(4))
		for i := range rs {
			rs[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(rs)
	}
	for range 20_000 {
		a, b := word(), word()
		want := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		got := compareUTF16([]byte(a), []byte(b))
		if (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Fatalf("%q, %q: got %d, want %d", a, b, got, want)
		}
	}
}

func FuzzCanonicalBytes(f *testing.F) {
	for _, d := range fixtureDocuments() {
		b, _ := d.Encode()
		f.Add(b)
	}
	for _, s := range []string{`{"b":1,"a":[{}," \u00e9\ud83d\ude00",-5,null]}`, `"\ud800"`, `{"a":1,"a":2}`, `[1.5]`, "\"\xff\"", `{"\u20ac":1,"\ufb33":{"z":0,"":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := CanonicalBytes(in)
		if err != nil {
			return
		}
		again, err := CanonicalBytes(got)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q becomes %q, which becomes %q, %v", in, got, again, err)
		}
		// What is accepted is JSON, and means the same to the standard library.
		read := func(b []byte) any {
			var v any
			dec := json.NewDecoder(bytes.NewReader(b))
			dec.UseNumber()
			if err := dec.Decode(&v); err != nil {
				t.Fatalf("%q is accepted and is not JSON: %v", b, err)
			}
			return v
		}
		back, err := Canonical(read(in))
		if err != nil || !bytes.Equal(back, got) {
			t.Fatalf("%q: decoded and encoded it is %q, %v, not %q", in, back, err, got)
		}
	})
}
