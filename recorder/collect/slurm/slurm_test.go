package slurm

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/schema"
)

func report(t testing.TB, tries []collect.Try) schema.Run {
	t.Helper()
	at, _ := schema.ParseTime("2026-11-23T17:00:00Z")
	id := schema.DeriveRunID(at, "test")
	docs := []schema.Document{{Schema: schema.SchemaV1, Kind: schema.KindRun, ID: schema.DocumentID(id), Run: id, At: at, Reporter: schema.Reporter{Kind: "submitter"},
		Plan: &schema.Plan{Created: at, Recorder: "test"}}}
	c := &collect.Collector{Where: "slurm", Interval: 30}
	out, _, err := c.Report(context.Background(), docs, tries)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range out {
		if _, err := d.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	run, err := schema.Fold(slices.Concat(docs, out))
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestJobs(t *testing.T) {
	const t0, t1, t2, t3 = "1795456800", "1795457000", "1795457100", "1795458000"
	for _, c := range []struct {
		name, text string
		want       schema.Status
		exit       int // -1: none
		signal     string
		attempts   int
	}{
		{"completed", "1|COMPLETED|0:0|" + t0 + "|" + t1 + "|" + t2 + "|n1", schema.Succeeded, 0, "", 1},
		{"failed", "1|FAILED|3:0|" + t0 + "|" + t1 + "|" + t2 + "|n1", schema.Failed, 3, "", 1},
		{"killed", "1|FAILED|0:9|" + t0 + "|" + t1 + "|" + t2 + "|n1", schema.Failed, 137, "SIGKILL", 1},
		{"cancelled", "1|CANCELLED by 1000|0:15|" + t0 + "|" + t1 + "|" + t2 + "|n1", schema.Failed, 143, "SIGTERM", 1},
		{"timeout", "1|TIMEOUT|0:0|" + t0 + "|" + t1 + "|" + t2 + "|n1", schema.Failed, -1, "", 1},
		{"pending", "1|PENDING|0:0|" + t0 + "|Unknown|Unknown|None assigned", schema.Planned, -1, "", 0},
		{"running", "1|RUNNING|0:0|" + t0 + "|" + t1 + "|Unknown|n1", schema.Running, -1, "", 1},
		{"suspended", "1|SUSPENDED|0:0|" + t0 + "|" + t1 + "|Unknown|n1", schema.Running, -1, "", 1},
		{"requeued", "1|REQUEUED|0:0|" + t0 + "|" + t0 + "|" + t1 + "|n1\n1|COMPLETED|0:0|" + t1 + "|" + t2 + "|" + t3 + "|n2", schema.Succeeded, 0, "", 2},
		{"preempted, back in the queue", "1|PREEMPTED|0:0|" + t0 + "|" + t0 + "|" + t1 + "|n1\n1|RUNNING|0:0|" + t1 + "|" + t2 + "|Unknown|n2", schema.Running, -1, "", 2},
		{"an array, one failed", "1_0|COMPLETED|0:0|" + t0 + "|" + t1 + "|" + t2 + "|n1\n1_1|FAILED|2:0|" + t0 + "|" + t1 + "|" + t3 + "|n1", schema.Failed, 2, "", 2},
		{"with a header", "JobIDRaw|JobID|State|ExitCode|End|Start|NodeList\n7|1|COMPLETED|0:0|" + t2 + "|" + t1 + "|n[1-2]\n7.0|1.0|COMPLETED|0:0|" + t2 + "|" + t1 + "|n1", schema.Succeeded, 0, "", 1},
		{"scontrol", "JobId=1 JobName=a b JobState=FAILED Reason=NonZeroExitCode ExitCode=4:0 Restarts=2\n   SubmitTime=" + t0 + " StartTime=" + t1 + " EndTime=" + t2 + "\n   NodeList=n[1-2]", schema.Failed, 4, "", 1},
		{"scontrol, running", "JobId=1 JobState=RUNNING ExitCode=0:0 Restarts=0 SubmitTime=" + t0 + " StartTime=" + t1 + " EndTime=" + t3 + " NodeList=n1", schema.Running, -1, "", 1},
		{"scontrol, array", "JobId=5 ArrayJobId=4 ArrayTaskId=0 JobState=COMPLETED ExitCode=0:0 SubmitTime=" + t0 + " StartTime=" + t1 + " EndTime=" + t2 +
			"\nJobId=4 ArrayJobId=4 ArrayTaskId=1-9%2 JobState=PENDING ExitCode=0:0 SubmitTime=" + t0 + " StartTime=Unknown", schema.Succeeded, 0, "", 1},
	} {
		tries, err := ReadJobs(strings.NewReader(c.text), "test")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		run := report(t, tries)
		exit := -1
		if run.ExitCode != nil {
			exit = *run.ExitCode
		}
		if run.Status != c.want || exit != c.exit || run.Signal != c.signal || len(run.Attempts) != c.attempts {
			t.Errorf("%s: %s, exit code %d %s, %d attempts", c.name, run.Status, exit, run.Signal, len(run.Attempts))
		}
	}
}

// TestAttempts: a job that was requeued is two attempts, each with its node and its times.
func TestAttempts(t *testing.T) {
	tries, err := ReadJobs(strings.NewReader("1|REQUEUED|0:0|1795456700|1795456800|1795457000|n1\n1|COMPLETED|0:0|1795457000|1795457100|1795458000|n2"), "test")
	if err != nil {
		t.Fatal(err)
	}
	run := report(t, tries)
	a, b := run.Attempts[0], run.Attempts[1]
	if a.ID != "1.0" || a.Number != 1 || a.Node != "n1" || a.Reason != "REQUEUED" || a.Finished.String() != "2026-11-23T18:03:20.000Z" || b.ID != "1.1" || b.Number != 2 || b.Node != "n2" || *b.ExitCode != 0 {
		t.Errorf("attempts %+v", run.Attempts)
	}
	if run.Started.String() != "2026-11-23T18:00:00.000Z" || run.Finished.String() != "2026-11-23T18:20:00.000Z" {
		t.Errorf("from %s to %s", run.Started, run.Finished)
	}
}

func TestNodes(t *testing.T) {
	for list, want := range map[string]string{
		"n1": "n1", "n1,n2": "n1 n2", "node[01-04,7]": "node01 node02 node03 node04 node7", "r[1-2]n[1-2],x": "r1n1 r1n2 r2n1 r2n2 x", "a[008-010]-ib": "a008-ib a009-ib a010-ib",
		"": "", "(null)": "", "None assigned": "", "n[1": "", "n[2-1]": "", "n[1-999999999]": "", "n[1-9][1-9][1-9][1-9][1-9]": "", "n;rm": "", "n[-1]": "",
	} {
		if got := strings.Join(Nodes(list), " "); got != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

func TestAskFails(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := Ask(t.Context(), "12"); !schema.IsKind(err, schema.Unavailable) {
		t.Errorf("without Slurm: %v", err)
	}
	if _, err := Ask(t.Context(), "12; rm"); !schema.IsKind(err, schema.Invalid) {
		t.Errorf("no id: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sacct"), []byte("#!/bin/sh\necho 'not what sacct says'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(t.Context(), "12"); !schema.IsKind(err, schema.Invalid) {
		t.Errorf("nonsense: %v", err)
	}
}

func FuzzReadJobs(f *testing.F) {
	f.Add("1|COMPLETED|0:0|1795456800|1795456800|1795457000|n[1-2]")
	f.Add("JobId=5 ArrayJobId=4 ArrayTaskId=0 JobState=COMPLETED Restarts=3 ExitCode=0:9 StartTime=2026-11-23T18:00:00 EndTime=Unknown NodeList=a[01-02]b")
	f.Fuzz(func(t *testing.T, text string) {
		if tries, err := ReadJobs(strings.NewReader(text), "fuzz"); err == nil {
			report(t, tries)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// What a program says without end is not kept.
func TestOutputIsBounded(t *testing.T) {
	var l limited
	if _, err := io.Copy(&l, io.LimitReader(endless{}, 3*MaxFileBytes)); err != nil || l.kept.Len() != MaxFileBytes+1 {
		t.Errorf("%d bytes are kept, %v", l.kept.Len(), err)
	}
}
