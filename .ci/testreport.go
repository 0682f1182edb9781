// Testreport turns `go test -json` on stdin into what `go test` prints, and lists the tests that were skipped, with the reason, just before
// the last package's line. It always exits 0: the verdict is go test's own (set -o pipefail).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// event is a line of test2json (go doc test2json), or of the go command itself about a build.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

type skip struct {
	reason string
	tests  []string
}

type report struct {
	output map[string]*strings.Builder // by package and test, until the test has ended
	skips  []*skip
	held   string // the last package's line, printed once it is known not to be the last
	total  map[string]int
}

func main() {
	r := report{output: map[string]*strings.Builder{}, total: map[string]int{}}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Print(line) // not an event: the go command talks
			} else {
				r.add(e)
			}
		}
		if err != nil {
			break
		}
	}
	r.end()
}

func (r *report) add(e event) {
	key := e.Package + "\x00" + e.Test
	switch e.Action {
	case "output":
		if e.Test == "" && isPackageLine(e.Output) {
			r.line(e.Output)
			return
		}
		if r.output[key] == nil {
			r.output[key] = new(strings.Builder)
		}
		r.output[key].WriteString(e.Output)
	case "build-output":
		r.line(e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e)
			return
		}
		r.total[e.Action]++
		switch out := r.text(key); e.Action {
		case "skip":
			r.addSkip(path.Base(e.Package)+"."+e.Test, reasonOf(out))
		case "fail":
			r.line(out)
		}
		delete(r.output, key)
	}
}

// endPackage prints what a failed package left without an owner: a panic, a race, a test that never ended.
func (r *report) endPackage(e event) {
	for key := range r.output {
		if pkg, _, _ := strings.Cut(key, "\x00"); pkg == e.Package {
			if e.Action == "fail" {
				held := r.held
				r.held = ""
				fmt.Print(r.text(key))
				r.held = held
			}
			delete(r.output, key)
		}
	}
}

func (r *report) text(key string) string {
	if r.output[key] == nil {
		return ""
	}
	var kept strings.Builder
	for line := range strings.Lines(r.output[key].String()) {
		if !strings.HasPrefix(line, "=== ") && strings.TrimSpace(line) != "PASS" {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func (r *report) line(s string) {
	fmt.Print(r.held)
	r.held = s
}

func (r *report) addSkip(test, reason string) {
	i := slices.IndexFunc(r.skips, func(s *skip) bool { return s.reason == reason })
	if i < 0 {
		i = len(r.skips)
		r.skips = append(r.skips, &skip{reason: reason})
	}
	r.skips[i].tests = append(r.skips[i].tests, test)
}

func (r *report) end() {
	fmt.Printf("tests: %d passed, %d failed, %d skipped\n", r.total["pass"], r.total["fail"], r.total["skip"])
	for _, s := range r.skips {
		fmt.Printf("skipped: %s\n", s.reason)
		for _, t := range s.tests {
			fmt.Printf("    %s\n", t)
		}
	}
	fmt.Print(r.held)
}

// isPackageLine knows the lines that go test prints for a package, whatever else a test writes.
func isPackageLine(s string) bool {
	return strings.HasPrefix(s, "ok  \t") || strings.HasPrefix(s, "FAIL\t") || strings.HasPrefix(s, "?   \t") || strings.HasPrefix(s, "\t") && strings.Contains(s, "coverage:")
}

// reasonOf finds the reason in a skipped test's output, "    file_test.go:12: reason".
func reasonOf(out string) string {
	for line := range strings.Lines(out) {
		if file, reason, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && strings.Contains(file, ".go:") {
			return reason
		}
	}
	return "no reason given"
}
