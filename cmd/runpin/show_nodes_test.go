package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestRanges(t *testing.T) {
	for want, in := range map[string][]int{"0": {0}, "0-3": {0, 1, 2, 3}, "0-1,3,7-9": {0, 1, 3, 7, 8, 9}, "": nil} {
		if got := ranges(in); got != want {
			t.Errorf("%v: %q, want %q", in, got, want)
		}
	}
}

// Nodes that are alike are described once, and the tries that went wrong come first.
func TestShowNodesAndAttempts(t *testing.T) {
	var out bytes.Buffer
	e := &Env{Out: &out}
	same := schema.Environment{ID: schema.SHA256([]byte("a")), OS: schema.OS{Pretty: "Debian 12"}}
	other := schema.Environment{ID: schema.SHA256([]byte("b")), Node: "c", OS: schema.OS{Pretty: "Debian 13"}, Ranks: []int{9}}
	a, b := same, same
	a.Node, a.Ranks, b.Node, b.Ranks = "a", []int{0, 1, 2, 3}, "b", []int{4, 5, 7}
	e.showMachines([]schema.Environment{a, other, b})
	for _, want := range []string{"Debian 12", "on a, ranks 0-3", "on b, ranks 4-5,7", "Debian 13", "on c, rank 9"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, out.String())
		}
	}
	out.Reset()
	zero, nine := 0, 9
	e.showAttempts([]schema.Attempt{{Number: 2, ID: "7.1", ExitCode: &zero}, {Number: 1, ID: "7.0", ExitCode: &nine, Node: "a"}})
	if lines := strings.Split(out.String(), "\n"); !strings.Contains(lines[0], "1, 7.0, on a, exit code 9") || !strings.Contains(lines[1], "2, 7.1, exit code 0") {
		t.Errorf("attempts:\n%s", out.String())
	}
	out.Reset()
	if e.showAttempts([]schema.Attempt{{Number: 1, ExitCode: &zero}}); out.Len() > 0 {
		t.Errorf("the only try is told of: %s", out.String())
	}
}
