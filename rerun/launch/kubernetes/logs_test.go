package kubernetes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Lines of several pods are told apart; one that breaks off does not run into another's.
func TestWaitSeveralPods(t *testing.T) {
	c, _, _, w, _ := started(t, Options{})
	for _, name := range []string{"train-a", "train-b"} {
		c.put("pods", c.pod(podState{name: name, phase: "Running", image: trainer, imageID: trainer}))
	}
	until(t, "a log", func() bool { return len(c.requests("/train-b/log")) > 0 })
	for i, s := range []string{"train-a", "train-b", "train-a"} {
		c.print(s, line(i+1, fmt.Sprintf("line %d\n", i)))
		until(t, "line", func() bool { return strings.Contains(w.output.String(), fmt.Sprintf("line %d\n", i)) })
	}
	c.mu.Lock()
	c.log("train-a").cuts = map[int]bool{3: true}
	c.mu.Unlock()
	c.print("train-a", line(5, "half"))
	until(t, "half a line", func() bool { return strings.HasSuffix(w.output.String(), "half") })
	c.print("train-b", line(6, "whole\n"))
	until(t, "a whole line", func() bool { return strings.HasSuffix(w.output.String(), "whole\n") })
	c.succeed("train-a", "train-b")
	if got := w.end(t).output.String(); got != "[train-a] line 0\n[train-b] line 1\n[train-a] line 2\n[train-a] half\n[train-b] whole\n" {
		t.Errorf("%q", got)
	}
}

// A log whose stream breaks off goes on where it was, without a line lost or shown twice, also in the middle of a long line.
func TestWaitLogResumes(t *testing.T) {
	c, _, _, w, _ := started(t, Options{})
	long := strings.Repeat("x", 200_000) + "\n"
	want := ""
	c.mu.Lock()
	c.log("train-a").cuts = map[int]bool{1: true, 2: true, 4: true, 5: true, 6: true}
	for i := range 5 {
		text := fmt.Sprintf("line %d\n", i)
		c.log("train-a").lines = append(c.log("train-a").lines, line(i/2, text)) // moments come twice
		want += text
	}
	c.log("train-a").lines = append(c.log("train-a").lines, line(7, long), line(8, "end\n"))
	c.mu.Unlock()
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	until(t, "the end", func() bool { return strings.HasSuffix(w.output.String(), "end\n") })
	c.succeed("train-a")
	if got := w.end(t).output.String(); got != want+long+"end\n" {
		t.Errorf("%d bytes, want %d", len(got), len(want+long+"end\n"))
	}
	if since := c.logs["train-a"].since; since[0] != "" || since[len(since)-1] != "2026-11-23T18:00:08Z" {
		t.Errorf("%q", since)
	}
}

// A stream that breaks off inside a line shows the rest of it, and no part twice.
func TestTailPartOfALine(t *testing.T) {
	var out bytes.Buffer
	tl := &tail{pod: "a", out: &merged{to: &out}}
	long := strings.Repeat("abcdefgh", 20_000)
	for _, part := range []string{line(1, "one\n") + line(2, long[:100]), line(1, "one\n") + line(2, long[:90_000]), line(1, "one\n") + line(2, long+"\n") + "no moment\n" + line(3, "last")} {
		if err := tl.copy(strings.NewReader(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); got != "one\n"+long+"\nno moment\nlast" {
		t.Errorf("%d bytes: %.40q … %.40q", len(got), got, got[max(0, len(got)-40):])
	}
}

// An output that nobody reads any more does not hold up the end.
func TestWaitOutputStuck(t *testing.T) {
	c, n := newCluster(t), &notes{}
	l := c.launcher(Options{Warn: n.add, Settle: 50 * time.Millisecond})
	job := submit(t, l, jobSpec("name: train"))
	read, write := io.Pipe()
	defer read.Close()
	done := make(chan error)
	go func() {
		_, err := l.Wait(t.Context(), job, write)
		done <- err
	}()
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	c.print("train-a", line(1, "x\n"))
	c.succeed("train-a")
	select {
	case err := <-done:
		if err != nil || !n.has("does not come to its end") {
			t.Errorf("%v %q", err, n.all)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the wait does not end")
	}
}

// Logs that cannot be read are told, and do not change how the job ended.
func TestWaitWithoutLogs(t *testing.T) {
	c, _, _, w, n := started(t, Options{})
	c.mu.Lock()
	c.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/log") {
			return false
		}
		refuse(w, 403, "Forbidden", "no logs")
		return true
	}
	c.mu.Unlock()
	c.put("pods", c.pod(podState{name: "train-a", phase: "Running", image: trainer, imageID: trainer}))
	c.succeed("train-a")
	if w.end(t); w.err != nil || !n.has("the log of pod train-a cannot be read") {
		t.Errorf("%v %q", w.err, n.all)
	}
}
