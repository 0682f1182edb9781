package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// summaryOf runs check --all --summary --json.
func summaryOf(t testing.TB, h *history, want int, args ...string) (summaryJSON, string) {
	t.Helper()
	cmd := h.check(t.Context(), append([]string{"--all", "--summary", "--json"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Fatalf("exit code %d, want %d\n%s%s", code, want, out.String(), errs.String())
	}
	var s summaryJSON
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return s, errs.String()
}

// TestCheckAsksOnce: ten thousand runs that share a hundred images, two hundred commits, each with other changes, and fifty data sets, ask about each of them once.
func TestCheckAsksOnce(t *testing.T) {
	runs, images, commits, datasets := 10_000, 100, 200, 50
	if raceDetector { // the same questions; `make bench` counts them for all runs
		runs = 2_000
	}
	if testing.Short() {
		runs, images, commits, datasets = 600, 20, 30, 10
	}
	h := newHistory(t, runs, images, commits, datasets)
	s, _ := summaryOf(t, h, 0)
	if s.Runs != runs || s.Rerunnable != runs {
		t.Errorf("%+v", s)
	}
	for what, c := range map[string]struct {
		server *countingServer
		parts  []string
		want   int
	}{
		"manifests":      {h.registry, []string{"HEAD", "/manifests/"}, images},
		"parts of them":  {h.registry, []string{"HEAD", "/blobs/"}, 2 * images},
		"manifest bytes": {h.registry, []string{"GET", "/manifests/"}, images}, // the cache is empty
	} {
		if sum, most := c.server.count(c.parts...); sum != c.want || most != 1 {
			t.Errorf("%s: %d requests, %d for one of them; want %d, each once", what, sum, most, c.want)
		}
	}
	// One ls-remote, and a look at each commit but the one that it showed.
	if sum, _ := h.gitHost.count("GET", "/info/refs"); sum != 1+commits-1 {
		t.Errorf("git was asked %d times about %d commits", sum, commits)
	}
}

// TestCheckSumsUp: images and a data set go; the summary says how many runs that costs, and names what they lost.
func TestCheckSumsUp(t *testing.T) {
	const runs, images, commits, datasets = 600, 20, 6, 10
	h := newHistory(t, runs, images, commits, datasets)
	h.lose(t, 3)
	if err := os.RemoveAll(filepath.Join(h.dir, "data", "0")); err != nil {
		t.Fatal(err)
	}
	s, _ := summaryOf(t, h, exitGone)
	lostImage := 3 * runs / images
	lost := []rerun.Loss{{Kind: "image", State: schema.StateGone, Runs: lostImage}, {Kind: "dataset", State: schema.StateGone, Runs: runs / datasets}}
	if s.Runs != runs || s.Lost == 0 || s.Rerunnable+s.Lost != runs || !slices.Equal(s.Losses, lost) {
		t.Errorf("%+v", s)
	}
	if len(s.Causes) != 2 || s.Causes[0].Runs < s.Causes[1].Runs {
		t.Fatalf("%+v", s.Causes)
	}
	for _, c := range s.Causes {
		if c.Kind == "image" && (len(c.Pins) != 3 || c.Pins[0].Value == "" || c.Pins[0].Runs != runs/images || len(c.Examples) == 0 || c.Remedy == "") {
			t.Errorf("%+v", c)
		}
	}
}

// TestCheckSaysThatHistoryWasRewritten: each lost commit costs one question, and the cause is one.
func TestCheckSaysThatHistoryWasRewritten(t *testing.T) {
	const commits = 5
	h := newHistory(t, 40, 1, commits, 1)
	bare := filepath.Join(h.dir, "git", "train.git")
	for _, args := range [][]string{{"fast-import", "--quiet", "--force"}, {"reflog", "expire", "--expire=now", "--all"}, {"gc", "--quiet", "--prune=now"}} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", bare}, args...)...)
		cmd.Stdin = strings.NewReader("commit refs/heads/main\ncommitter A <a@example.com> 1 +0000\ndata 1\nx\nM 100644 inline other\ndata 1\nt\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
	s, _ := summaryOf(t, h, exitGone)
	if s.Lost != 40 || len(s.Causes) != 1 || s.Causes[0].Kind != "code" || s.Causes[0].Runs != 40 || len(s.Causes[0].Pins) != commits {
		t.Errorf("%+v", s)
	}
	if n, _ := h.gitHost.count("GET", "/info/refs"); n != 1+commits {
		t.Errorf("git was asked %d times about %d commits", n, commits)
	}
}

// TestCheckLeavesASilentRemoteAlone: a git server that breaks off is not asked about every commit.
func TestCheckLeavesASilentRemoteAlone(t *testing.T) {
	const commits = 40
	h := newHistory(t, commits, 1, commits, 1)
	var asked atomic.Int32
	h.gitHost.set(0, func(*http.Request) {
		if asked.Add(1) > 2 { // it lists its refs, and goes down
			panic(http.ErrAbortHandler)
		}
	})
	s, _ := summaryOf(t, h, exitUnavailable)
	if s.Lost != 0 || s.Unknown < commits-1 || len(s.Causes) == 0 || s.Causes[0].Kind != "code" {
		t.Errorf("%+v", s)
	}
	if n, _ := h.gitHost.count("GET", "/info/refs"); n > commits/2 {
		t.Errorf("a server that is down was asked %d times", n)
	}
}

// lose deletes n images as a registry's garbage collector does.
func (h *history) lose(t testing.TB, n int) {
	for _, pin := range h.images[:n] {
		for _, reference := range []string{string(pin.PlatformDigest), pin.Tag} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, h.registry.URL+"/v2/team/trainer/manifests/"+reference, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusNotFound {
				t.Fatalf("delete %s: %s", reference, resp.Status)
			}
		}
	}
}

// TestCheckGoesOn: Ctrl-C ends a check at once, whatever it waits for; the next one asks only what is left, unless it is told to ask anew.
func TestCheckGoesOn(t *testing.T) {
	const images = 6
	h := newHistory(t, 60, images, 3, 2)
	journal := func() string {
		found, _ := filepath.Glob(filepath.Join(h.dir, "cache", "runpin", "check", "*.jsonl"))
		if len(found) == 0 {
			return ""
		}
		b, _ := os.ReadFile(found[0])
		return string(b)
	}
	interrupt := func(args ...string) {
		t.Helper()
		// The last image is never answered.
		hangs := "/manifests/" + string(h.images[images-1].PlatformDigest)
		var asked atomic.Bool
		h.registry.set(0, func(req *http.Request) {
			if strings.HasSuffix(req.URL.Path, hangs) {
				asked.Store(true)
				<-req.Context().Done()
			}
		})
		cmd := h.check(t.Context(), append([]string{"--all"}, args...)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); !asked.Load() || strings.Count(journal(), "head-layers") < images-1; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				cmd.Process.Kill()
				t.Fatalf("the journal has\n%s", journal())
			}
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(errs.String(), "goes on from there") {
			t.Fatalf("exit code %d\n%s", code, errs.String())
		}
		h.registry.set(0, nil)
	}
	interrupt()
	if info, err := filepath.Glob(filepath.Join(h.dir, "cache", "runpin", "check", "*")); err != nil || len(info) != 1 {
		t.Errorf("%v %v", info, err)
	}
	s, said := summaryOf(t, h, 0)
	n, _ := h.registry.count("HEAD", "/manifests/")
	if n != 1 || s.Resumed < images-1 || s.Rerunnable != 60 || !strings.Contains(said, "going on from the check that was interrupted") {
		t.Errorf("%d images were asked for, %+v\n%s", n, s, said)
	}
	if left := journal(); left != "" {
		t.Errorf("a finished check leaves\n%s", left)
	}
	interrupt()
	h.registry.set(0, nil)
	if s, _ := summaryOf(t, h, 0, "--fresh"); s.Resumed != 0 {
		t.Errorf("%+v", s)
	}
	if n, _ := h.registry.count("HEAD", "/manifests/"); n != images {
		t.Errorf("--fresh asked for %d images", n)
	}
	interrupt()
	// A rerun's own check believes no journal.
	h.lose(t, images)
	out, _ := h.check(t.Context(), "run-0").Output()
	if !strings.Contains(string(out), "image:main\tgone") {
		t.Errorf("a check of one run reads the journal:\n%s", out)
	}
}
