package launchtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

func (h LauncherHarness) stdin(t *testing.T) {
	all := make([]byte, 1<<20)
	for i := range all {
		all[i] = byte(i * 7)
	}
	want := string(all)
	if h.NoStdin != "" {
		t.Log(h.NoStdin)
		want = ""
	}
	job := h.Job(t)
	job.Argv, job.Stdin = []string{"cat"}, bytes.NewReader(all)
	if got := h.output(t, job); got != want {
		t.Errorf("%d bytes came back, want %d", len(got), len(want))
	}
	r, w := io.Pipe() // a reader that never ends does not hold up the end of the command
	defer w.Close()
	job = h.shell(t, "exit 4")
	job.Stdin = r
	if exit, err := h.launch(t, job); err != nil || exit.Code != 4 {
		t.Errorf("with a reader that never ends: %+v %v", exit, err)
	}
}

func (h LauncherHarness) streams(t *testing.T) {
	var out, errs bytes.Buffer
	job := h.shell(t, "printf out; printf errors >&2; exit 3")
	job.Stdout, job.Stderr = &out, &errs
	if exit, err := h.launch(t, job); err != nil || exit.Code != 3 || out.String() != "out" || errs.String() != "errors" {
		t.Errorf("%+v %v %q %q", exit, err, &out, &errs)
	}
	job = h.shell(t, "echo out; echo errors >&2; exit 3") // nobody listens
	if exit, err := h.launch(t, job); err != nil || exit.Code != 3 {
		t.Errorf("without writers: %+v %v", exit, err)
	}
	var both bytes.Buffer
	var want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&want, "out %d\nerrors %d\n", i, i)
	}
	job = h.shell(t, "i=0; while [ $i -lt 100 ]; do echo out $i; echo errors $i >&2; i=$((i+1)); done")
	job.Stdout, job.Stderr = &both, &both
	if exit, err := h.launch(t, job); err != nil || exit.Code != 0 {
		t.Errorf("%+v %v", exit, err)
	}
	got, wanted := both.String(), want.String()
	if h.NoSameOrder != "" {
		t.Log(h.NoSameOrder)
		got, wanted = sorted(got), sorted(wanted)
	}
	if got != wanted {
		t.Errorf("one writer got %.200q", got)
	}
}

func sorted(lines string) string {
	all := strings.Split(lines, "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// numbers is what seq 1 n prints.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

func (h LauncherHarness) largeOutput(t *testing.T) {
	job := h.shell(t, "seq 1 400000")
	if got := h.output(t, job); got != numbers(400000) {
		t.Errorf("%d bytes", len(got))
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("nobody listens") }

// A writer of the caller's that fails is not felt by the command.
func (h LauncherHarness) brokenWriter(t *testing.T) {
	job := h.shell(t, "seq 1 20000 || exit 9; exit 5")
	job.Stdout = brokenWriter{}
	if exit, err := h.launch(t, job); err != nil || exit.Code != 5 {
		t.Errorf("%+v %v", exit, err)
	}
}

// Output is a writer that keeps what is written, and may be read meanwhile; one of [OnOutput] does something once a text is there.
type Output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	text string
	do   func()
}

// OnOutput gives a writer that calls do, once, when the text has been written.
func OnOutput(text string, do func()) *Output { return &Output{text: text, do: do} }

// Write keeps what is written.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(p)
	if o.do != nil && strings.Contains(o.buf.String(), o.text) {
		o.do()
		o.do = nil
	}
	return len(p), nil
}

// String gives what was written.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
