package render

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	k8s "sigs.k8s.io/yaml"
)

// TestYAML: two readers, of YAML 1.2 and of 1.1 as Kubernetes reads it, get back what was written.
func TestYAML(t *testing.T) {
	texts := append([]string{"0b1", "0o7", "1_000", "1:30", "12e03", ".5", "+1", "~", "-", "--", "---", "-x", "-1", "--lr=1", "...", "?x", "yes", "No", "ON", "y", "N", "NaN", ".inf", "Infinity", "=", "a:", "a: b", "a #b", "01JDABCDEFGHJKMNPQRSTVWXYZ",
		"12345678901234567890123456", "1234567890123456789012345E", "a\u2029b", "\u00a0", "\U000e0001", "tab\there"}, nasty...)
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var b strings.Builder
		for range r.IntN(10) {
			if r.IntN(2) == 0 {
				b.WriteByte(" \n\t:-#'\"\\|>{}[]&*!%@`~0129abzyntf.,=+_/"[r.IntN(39)])
			} else {
				b.WriteRune([]rune{0x7f, 0x85, 0xa0, 0xe9, 0x2028, 0xfeff, 0x1f600, 1, 0x1b, '\r', 0xfffd, 'x'}[r.IntN(12)])
			}
		}
		texts = append(texts, b.String())
	}
	for _, s := range texts {
		doc := []pair{{"text", s}, {s + "k", "key"}, {"lines", literal(s)}, {"more", literal("x\n" + s + "\n")}, {"list", []string{s, "z"}}, {"nested", []any{[]pair{{"a", s}, {"b", []any{literal("q\n" + s)}}}, []pair{}}},
			{"empty", []string{}}, {"flag", true}, {"number", 256}, {"none", nil}}
		want := map[string]any{"text": s, s + "k": "key", "lines": s, "more": "x\n" + s + "\n", "list": []any{s, "z"}, "nested": []any{map[string]any{"a": s, "b": []any{"q\n" + s}}, map[string]any{}}, "empty": []any{}, "flag": true}
		var out strings.Builder
		if err := (&Plan{Title: []string{"title"}}).writeYAML(&out, doc); err != nil {
			t.Fatal(err)
		}
		for reader, read := range map[string]func([]byte, any) error{"yaml.v3": yaml.Unmarshal, "Kubernetes": func(b []byte, v any) error { return k8s.UnmarshalStrict(b, v) }} {
			got := map[string]any{}
			err := read([]byte(out.String()), &got)
			if n := got["number"]; err != nil || n != 256 && n != 256.0 {
				t.Errorf("%s: %q: %v, number %v\n%s", reader, s, err, n, out.String())
			}
			delete(got, "number")
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %q:\n got %q\nwant %q\n%s", reader, s, got, want, out.String())
			}
		}
	}
}
