package schema

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseDigest(t *testing.T) {
	hex64, hex128 := strings.Repeat("0a", 32), strings.Repeat("0a", 64)
	for in, ok := range map[string]bool{
		"sha256:" + hex64: true, "sha512:" + hex128: true,
		"": false, "sha256": false, "sha256:": false, hex64: false, "sha256:" + hex64[1:]: false, "sha256:" + hex64 + "0": false, "sha512:" + hex64: false, "sha256:" + hex128: false,
		"SHA256:" + hex64: false, "sha256:" + strings.ToUpper(hex64): false, "md5:" + hex64: false, "sha256:sha256:" + hex64[7:]: false, " sha256:" + hex64: false, "sha256:" + hex64[1:] + "\n": false,
	} {
		d, err := ParseDigest(in)
		if (err == nil) != ok || d.Valid() != ok || (ok && string(d) != in) {
			t.Errorf("%q: got %q, %v", in, d, err)
		}
	}
	if got := SHA256([]byte("abc")); got != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("SHA-256 of abc is %s", got)
	}
}

func TestParseName(t *testing.T) {
	for in, ok := range map[string]bool{"a": true, "train_2": true, strings.Repeat("a", 63): true, "": false, "A": false, "2a": false, "_a": false, "a-b": false, "a.b": false, "a\n": false, "é": false, strings.Repeat("a", 64): false} {
		if _, err := ParseName(in); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-23T18:00:00Z":              "2026-11-23T18:00:00.000Z",
		"2026-11-23T18:00:00.1239Z":         "2026-11-23T18:00:00.123Z",
		"2026-11-23T19:00:00.5+01:00":       "2026-11-23T18:00:00.500Z",
		"1970-01-01T00:00:00Z":              "1970-01-01T00:00:00.000Z",
		"9999-12-31T23:59:59.999999Z":       "9999-12-31T23:59:59.999Z",
		"9999-12-31T23:59:59-01:00":         "",
		"1970-01-01T00:00:00+01:00":         "",
		"1969-12-31T23:59:59Z":              "",
		"2026-11-23":                        "",
		"2026-11-23T25:00:00Z":              "",
		"2026-02-30T00:00:00Z":              "",
		"":                                  "",
		"0001-01-01T00:00:00Z":              "",
		"2026-11-23T18:00:00":               "",
		" 2026-11-23T18:00:00Z":             "",
		"2026-11-23T18:00:00.000000000000Z": "2026-11-23T18:00:00.000Z",
	} {
		got, err := ParseTime(in)
		if (err == nil) != (want != "") || got.String() != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	local := time.Date(2026, 1, 2, 3, 4, 5, 6_999_999, time.FixedZone("x", 3600))
	if a, b := At(local), At(local.UTC()); a != b || !a.Equal(b) || a.String() != "2026-01-02T02:04:05.006Z" {
		t.Errorf("%v and %v", a, b)
	}
	if !At(time.Time{}).IsZero() || At(time.Time{}).String() != "" {
		t.Error("an absent time became present")
	}
	if now := At(time.Now()); now != At(now.Time()) {
		t.Error("a monotonic clock reading survived")
	}
}

func TestText(t *testing.T) {
	for _, s := range []Text{"", "a", "é", "\xff", "a\x00b", "\xed\xa0\x80", "<>&\u2028", "{\"b64\":\"\"}", "NaN", "9007199254740993"} {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Text
		if err := json.Unmarshal(b, &back); err != nil || back != s {
			t.Errorf("%q became %s and %q, %v", s, b, back, err)
		}
		if isObject := b[0] == '{'; isObject == utf8.ValidString(string(s)) {
			t.Errorf("%q is written as %s", s, b)
		}
	}
	for _, in := range []string{`null`, `1`, `[]`, `{}`, `{"b64":"YQ=="}`, `{"b64":""}`, `{"b64":null}`, `{"B64":"/w=="}`, `{"b64":"/w==","x":""}`, `{"b64":"/w"}`, `{"b64":"_w=="}`, `{"b64":"/x=="}`, `{"b64":"/w==\n"}`, `{"b64":"/w=\r="}`,
		`{"b64":1}`, `"\ud800"`, "\"\xff\""} {
		var back Text
		if err := json.Unmarshal([]byte(in), &back); err == nil {
			t.Errorf("%s was read as %q", in, back)
		}
	}
}

func TestRunID(t *testing.T) {
	now := time.Date(2026, 11, 23, 18, 0, 0, 123_456_789, time.UTC)
	id := NewRunID(now)
	if back, err := ParseRunID(strings.ToLower(string(id))); err != nil || back != id {
		t.Errorf("%s: %s, %v", id, back, err)
	}
	if id.Time() != At(now) {
		t.Errorf("time is %s, want %s", id.Time(), At(now))
	}
	if !strings.HasSuffix(string(id), id.Short()) || len(id.Short()) != ShortIDLength {
		t.Errorf("short form of %s is %s", id, id.Short())
	}
	for _, in := range []string{"", string(id[1:]), string(id) + "0", "8" + string(id[1:]), string(id[:25]) + "U", string(id[:25]) + "I", string(id[:25]) + " ", string(id[:24]) + "ſ", string(id[:25]) + "ſ", strings.Repeat("é", 13)} {
		if got, err := ParseRunID(in); err == nil {
			t.Errorf("%q was read as %s", in, got)
		}
		if !RunID(in).Time().IsZero() {
			t.Errorf("%q has a time", in)
		}
	}
	for in, ok := range map[string]bool{"01K": true, "z": true, string(id): true, "": false, "i": false, "l": false, "o": false, "u": false, "ſ": false, string(id) + "0": false, "a-b": false} {
		if IsIDFragment(in) != ok {
			t.Errorf("fragment %q: %v", in, !ok)
		}
	}
}

func TestIDsOfImpossibleTimes(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(-5, 0), time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		id := NewRunID(at)
		if _, err := ParseRunID(string(id)); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		if got := id.Time(); !got.IsZero() && !got.writable() {
			t.Errorf("%s: time %s", at, got)
		}
	}
}

// Ids sort by time, and within a millisecond in the order in which a process makes them: a run that starts and ends within one keeps its story.
func TestIDsSort(t *testing.T) {
	var ids []string
	for ms := range 200 {
		for range 50 {
			ids = append(ids, string(NewDocumentID(fixtureTime.Add(time.Duration(ms)*time.Millisecond))))
		}
	}
	if !slices.IsSorted(ids) {
		t.Error("ids are not in the order in which they were made")
	}
	if n := len(slices.Compact(ids)); n != 200*50 {
		t.Errorf("%d distinct ids", n)
	}
}

func TestIDsAreUnique(t *testing.T) {
	const workers, each = 8, 5000
	var wg sync.WaitGroup
	all := make([][]RunID, workers)
	for w := range workers {
		wg.Go(func() {
			for range each {
				all[w] = append(all[w], NewRunID(fixtureTime))
			}
		})
	}
	wg.Wait()
	ids, tails := map[RunID]bool{}, map[string]bool{}
	for _, made := range all {
		for _, id := range made {
			ids[id], tails[id.Short()] = true, true
		}
	}
	if len(ids) != workers*each {
		t.Errorf("%d distinct ids of %d", len(ids), workers*each)
	}
	// Tails have 40 bits; of 40,000 some two may meet, a thousand may not.
	if len(tails) < workers*each-100 {
		t.Errorf("%d distinct tails of %d", len(tails), workers*each)
	}
}

func TestEncodeID(t *testing.T) {
	if got := encodeID(maxIDTime, [10]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255}); got != "7ZZZZZZZZZZZZZZZZZZZZZZZZZ" {
		t.Error(got)
	}
	if got := encodeID(0, [10]byte{9: 1}); got != "00000000000000000000000001" {
		t.Error(got)
	}
	// The example of the ULID specification: 1469918176385 is 01ARYZ6S41.
	if got := encodeID(1469918176385, [10]byte{}); got[:10] != "01ARYZ6S41" {
		t.Error(got)
	}
	if _, ok := addRandom([10]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, [10]byte{}); ok {
		t.Error("80 bits overflowed unseen")
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"é", 1, ""}, {"aé", 2, "a"}, {"abc", 0, ""}, {"abc", -1, ""}, {"\x80\x80", 1, ""}} {
		if got := Shorten(test.in, test.n); got != test.want {
			t.Errorf("%q to %d: %q", test.in, test.n, got)
		}
	}
}

func FuzzParseDigest(f *testing.F) { fuzzParser(f, ParseDigest, string(fixedDigest("a"))) }
func FuzzParseObjectID(f *testing.F) {
	fuzzParser(f, ParseObjectID, string(fixedObject("a")), strings.Repeat("0", 64))
}
func FuzzParseFingerprint(f *testing.F) {
	fuzzParser(f, ParseFingerprint, "fp1:"+strings.Repeat("a", 64))
}

func FuzzParseRunID(f *testing.F) {
	fuzzParser(f, ParseRunID, string(fixtureRun), "01aryz6s41tsv4rrffq69g5fav")
}

// fuzzParser: never panic; what is accepted is kept (or raised to one spelling), survives JSON, and is accepted again.
func fuzzParser[T ~string](f *testing.F, parse func(string) (T, error), seeds ...string) {
	for _, s := range append(seeds, "", ":", "sha256:", "\xff", "ſ") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := parse(in)
		if err != nil {
			if v != "" || KindOf(err) != Invalid || len(err.Error()) > 2000 {
				t.Fatalf("%q: %q, %v", in, v, err)
			}
			return
		}
		if !strings.EqualFold(string(v), in) {
			t.Fatalf("%q became %q", in, v)
		}
		if again, err := parse(string(v)); err != nil || again != v {
			t.Fatalf("%q: not accepted again: %v", v, err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var back T
		if err := json.Unmarshal(b, &back); err != nil || back != v {
			t.Fatalf("%q: through JSON it is %q, %v", v, back, err)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-11-23T18:00:00Z", "9999-12-31T23:59:59-23:59", "2026-11-23T18:00:00,5+14:00", "1970-01-01T00:00:00.001Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := ParseTime(in)
		if err != nil {
			return
		}
		if len(v.String()) != len(timeLayout) || !v.writable() {
			t.Fatalf("%q is printed as %q", in, v)
		}
		if again, err := ParseTime(v.String()); err != nil || again != v {
			t.Fatalf("%q: %q, %v", in, again, err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`""`, `"é"`, `{"b64":"/w=="}`, `{"b64":"YQ=="}`, `"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", `{"B64":"/w=="}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		// Any bytes survive as a text.
		b, err := Canonical(Text(in))
		var back Text
		if err != nil || json.Unmarshal(b, &back) != nil || string(back) != string(in) {
			t.Fatalf("%q became %s, %v", in, b, err)
		}
		// What is accepted as a text has one canonical spelling.
		var text Text
		if json.Unmarshal(in, &text) != nil {
			return
		}
		want, err := CanonicalBytes(in)
		got, err2 := Canonical(text)
		if err != nil || err2 != nil || string(got) != string(want) {
			t.Fatalf("%s is read as %q and written as %s (%v, %v)", in, text, got, err, err2)
		}
	})
}
