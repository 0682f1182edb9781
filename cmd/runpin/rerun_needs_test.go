package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestParseEnvFile(t *testing.T) {
	env := &Env{Environ: func() []string { return []string{"HERE=from here", "HEREAFTER=x", "EMPTY="} }}
	given := map[string]string{"A": "old"}
	text := "\uFEFFA=1\r\n# B=2\n\n\t C=a b=c # kept \nD=\n  HERE\nEMPTY\nQ=\"quoted\"\nA.b-c=2"
	want := map[string]string{"A": "1", "C": "a b=c # kept ", "D": "", "HERE": "from here", "EMPTY": "", "Q": `"quoted"`, "A.b-c": "2"}
	if err := parseEnvFile(env, "f", []byte(text), given); err != nil || !maps.Equal(given, want) {
		t.Errorf("%v %q", err, given)
	}
	for text, says := range map[string]string{
		"=hunter2":                               "f:1: it has no name",
		"A=1\nB C=hunter2":                       "f:2: what stands before the =",
		"export A=hunter2":                       "f:1: what stands before the =",
		"\n\nNOWHERE_hunter2":                    "f:3: what has no value is not set",
		"A*=hunter2":                             "f:1: what stands before the =",
		"A=hunter2\x00":                          "f:1: it is not text",
		"A=hunter2\xff":                          "f:1: it is not text",
		strings.Repeat("A", 300) + "=hunter2":    "f:1: what stands before the =",
		strings.Repeat("\n", maxEnvLines) + "A=": "more than",
	} {
		err := parseEnvFile(env, "f", []byte(text), map[string]string{})
		if schema.KindOf(err) != schema.Invalid || !strings.Contains(err.Error(), says) || strings.Contains(err.Error()+schema.HintOf(err), "hunter2") {
			t.Errorf("%q: %v", schema.Shorten(text, 40), err)
		}
	}
}

func FuzzParseEnvFile(f *testing.F) {
	env := &Env{Environ: func() []string { return []string{"HERE=x"} }}
	for _, s := range []string{"A=1\nHERE\n", "# x\n", "=", "A B=", "\xEF\xBB\xBFA=\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		given := map[string]string{}
		if err := parseEnvFile(env, "f", data, given); err != nil {
			return
		}
		for name, value := range given {
			if name == "" || strings.ContainsAny(name+value, "\x00\n") || strings.ContainsAny(name, " =*") {
				t.Errorf("%q gives %q=%q", data, name, value)
			}
		}
	})
}
