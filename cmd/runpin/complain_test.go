package main

import "testing"

func TestOneLineKeepsControlCharactersOut(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                       "plain",
		"a\tb\n":                      "a b",
		"two\nlines":                  "two\n  lines",
		"\x1b[31mred\x1b[0m":          "\x1b[31mred\x1b[0m",
		"\x1b]0;title\a \x1b[2J \x9b": "?]0;title? ?[2J \ufffd",
		"bell\a del\x7f c1\u009b":     "bell? del? c1?",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}
