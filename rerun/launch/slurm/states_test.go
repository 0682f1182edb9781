//go:build unix

package slurm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// row is a line of squeue's as [columns] asks for it.
func row(id, raw, state, exit, reason string) string {
	return fmt.Sprintf("%-40s%-14s%-24s%-14s%-8s%-100s%-100s", id, raw, state, exit, "0", "node1", reason)
}

// played gives a launcher for a Slurm that says what the test wants: squeue of states and of places, and sacct.
func played(t *testing.T, states, places, accounts string, options Options) *Launcher {
	t.Helper()
	squeue := "case \"$*\" in *exit_code*) " + states + ";; *stdout*) " + places + ";; esac"
	options.Path = programs(t, map[string]string{"squeue": squeue, "sacct": accounts, "scontrol": "echo 'ClusterName             = test'", "scancel": "exit 0", "sbatch": "echo 12", "sinfo": "echo up"}) +
		":" + os.Getenv("PATH")
	if options.Interval == 0 {
		options.Interval = time.Millisecond
	}
	if options.Settle == 0 {
		options.Settle = 10 * time.Millisecond
	}
	return New(options)
}

const (
	unknown    = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
	noAccounts = "echo 'Slurm accounting storage is disabled' >&2; exit 1"
	nowhere    = "exit 1"
)

func say(lines ...string) string {
	return "cat <<'END'\n" + strings.Join(lines, "\n") + "\nEND\n"
}

var twelve = schema.Launched{On: "slurm", Job: "12", Place: "test"}

func TestHowJobsEnd(t *testing.T) {
	for _, c := range []struct {
		name, states, accounts string
		exit                   launch.Exit
		why                    string
		kind                   schema.Kind
	}{
		{"completed", say(row("12", "12", "COMPLETED", "0", "None")), noAccounts, launch.Exit{}, "", ""},
		{"another way of saying it", say(row("12", "12", "FAILED", "3:0", "NonZeroExitCode")), noAccounts, launch.Exit{Code: 3}, "job 12: FAILED", ""},
		{"signal", say(row("12", "12", "FAILED", "9", "RaisedSignal:9(Killed)")), noAccounts, launch.Exit{Code: 137, Signal: "SIGKILL"}, "job 12: FAILED", ""},
		{"out of memory", say(row("12", "12", "OUT_OF_MEMORY", "0:125", "OutOfMemory")), noAccounts, launch.Exit{Code: 137, Signal: "SIGKILL"}, "job 12: OUT_OF_MEMORY (OutOfMemory)", ""},
		{"timeout", say(row("12", "12", "TIMEOUT", "0", "TimeLimit")), noAccounts, launch.Exit{Code: 1}, "job 12: TIMEOUT (TimeLimit)", ""},
		{"node fail", say(row("12", "12", "NODE_FAIL", "0", "NodeDown")), noAccounts, launch.Exit{Code: 1}, "job 12: NODE_FAIL (NodeDown)", ""},
		{"boot fail", say(row("12", "12", "BOOT_FAIL", "0", "None")), noAccounts, launch.Exit{Code: 1}, "job 12: BOOT_FAIL", ""},
		{"preempted", say(row("12", "12", "PREEMPTED", "15", "None")), noAccounts, launch.Exit{Code: 143, Signal: "SIGTERM"}, "job 12: PREEMPTED", ""},
		{"no output file", say(row("12", "12", "FAILED", "4021", "JobLaunchFailure")), noAccounts, launch.Exit{Code: 125}, "job 12: FAILED: the node could not open its output file", ""},
		{"a state of tomorrow's, then the end", "if [ -e \"$0.seen\" ]; then " + say(row("12", "12", "COMPLETED", "0", "None")) + "else touch \"$0.seen\"; " + say(row("12", "12", "HIBERNATING", "0", "None")) + "fi",
			noAccounts, launch.Exit{}, "", ""},
		{"forgotten, with accounts", unknown, say("12|12|FAILED|7:0", "12.batch|12.batch|FAILED|7:0", "12.0|12.0|COMPLETED|0:0"), launch.Exit{Code: 7}, "job 12: FAILED", ""},
		{"cancelled, with accounts", unknown, say("12|12|CANCELLED by 1000|0:15"), launch.Exit{Code: 143, Signal: "SIGTERM"}, "job 12: CANCELLED", ""},
		{"an array, with accounts", unknown, say("12_0|13|COMPLETED|0:0", "12_1|12|TIMEOUT|0:0"), launch.Exit{Code: 1}, "1 of the 2 tasks of job 12 did not succeed: job 12_1: TIMEOUT", ""},
		{"forgotten", unknown, noAccounts, launch.Exit{}, "", schema.Gone},
		{"nothing", "exit 0", noAccounts, launch.Exit{}, "", schema.Gone},
		{"forgotten while it ran", "if [ -e \"$0.seen\" ]; then " + unknown + "; else touch \"$0.seen\"; " + say(row("12", "12", "RUNNING", "0", "None")) + "fi", noAccounts, launch.Exit{}, "", schema.Gone},
		{"garbage", "echo \"\x1b[2J what\nis this\"", noAccounts, launch.Exit{}, "", schema.Unavailable},
		{"another job", say(row("13", "13", "COMPLETED", "0", "None")), noAccounts, launch.Exit{}, "", schema.Unavailable},
		{"without end", "yes", noAccounts, launch.Exit{}, "", schema.Unavailable},
		{"accounts that are garbage", unknown, "echo what", launch.Exit{}, "", schema.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := played(t, c.states, nowhere, c.accounts, Options{Patience: time.Nanosecond})
			if c.kind != schema.Unavailable {
				l.options.Patience = time.Minute
			}
			outcome, err := l.Wait(context.Background(), twelve, nil)
			if schema.KindOf(err) != c.kind || outcome.Exit != c.exit || !strings.HasPrefix(outcome.Why, c.why) || (c.why == "") != (outcome.Why == "") {
				t.Errorf("%+v %v", outcome, err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%q", err.Error())
			}
		})
	}
}

// A program that hangs is left alone after a while.
func TestProgramsThatHang(t *testing.T) {
	l := played(t, "exec sleep 1000", nowhere, noAccounts, Options{})
	if _, err := l.ask(context.Background(), 50*time.Millisecond, "squeue", "exit_code"); err == nil || err.Error() != "squeue did not answer within 50ms" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := l.Wait(ctx, twelve, nil); schema.KindOf(err) != schema.Interrupted {
		t.Error(err)
	}
}

func placed(id, out, err, dir, name, comment string) string {
	return fmt.Sprintf("%-40s%-4096s%-4096s%-4096s%-1024s%-256s%-1024s", id, out, err, dir, name, "me", comment)
}

// Tasks that Slurm forgot before anybody asked are not passed over.
func TestForgottenTasks(t *testing.T) {
	dir := t.TempDir()
	place := say(placed("12_1", dir+"/%a.out", dir+"/%a.out", dir, "x", "runpin.dev/run=01M8H29CMFAMZH478YSVSA2X1C try=0123456789abcdef array=0-2%4"))
	states := say(row("12_2", "12", "COMPLETED", "0", "None"))
	if _, err := played(t, states, place, noAccounts, Options{}).Wait(context.Background(), twelve, nil); schema.KindOf(err) != schema.Gone {
		t.Error(err)
	}
	l := played(t, states, place, say("12_0|13|COMPLETED|0:0", "12_1|14|FAILED|3:0", "12_2|12|COMPLETED|0:0"), Options{})
	if outcome, err := l.Wait(context.Background(), twelve, nil); err != nil || outcome.Exit.Code != 3 || outcome.Why != "1 of the 3 tasks of job 12 did not succeed: job 12_1: FAILED" {
		t.Errorf("%+v %v", outcome, err)
	}
}

// Where nobody says how many tasks an array had, that is told.
func TestTasksWithoutNumber(t *testing.T) {
	var w []string
	states := say(row("12_2", "12", "COMPLETED", "0", "None"))
	l := played(t, states, say(placed("12_2", "/dev/null", "/dev/null", "/", "x", "a comment of the script's")), noAccounts, Options{Warn: func(f string, a ...any) { w = append(w, fmt.Sprintf(f, a...)) }})
	if outcome, err := l.Wait(context.Background(), twelve, nil); err != nil || outcome.Exit.Code != 0 || len(w) != 1 || !strings.Contains(w[0], "how many tasks the array 12 had; those that it knows are 1") {
		t.Errorf("%+v %v %q", outcome, err, w)
	}
}

func TestReasons(t *testing.T) {
	for reason, want := range map[string]string{"None": "None", "(null)": "null", "ReqNodeNotAvail, UnavailableNodes:node0": "ReqNodeNotAvail", "\x1b[2J": "", "RaisedSignal:9(Killed)": "RaisedSignal"} {
		if got := oneWord(reason); got != want {
			t.Errorf("%q: %q, want %q", reason, got, want)
		}
	}
}

// What a user's names hold is not taken for what Slurm says.
func TestHostileNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d\n12 COMPLETED")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a\nb.out"), []byte("printed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := played(t, say(row("12", "12", "FAILED", "256", "None")), say(placed("12", dir+"/%x.out", dir+"/%x.out", dir, "a\nb", "(null)")), noAccounts, Options{})
	var out strings.Builder
	if outcome, err := l.Wait(context.Background(), twelve, &out); err != nil || outcome.Exit.Code != 1 || out.String() != "printed\n" {
		t.Errorf("%+v %v %q", outcome, err, out.String())
	}
}

// What is no regular file is not followed, and a file that does not show up is named.
func TestOutputElsewhere(t *testing.T) {
	for pattern, want := range map[string]string{"/dev/zero": "", "/dev/null": "", "/no/such/%j.out": "is in /no/such/12.out, which does not show up", "/x/%s.out": "prints to /x/%s.out on node node1, which runpin cannot follow"} {
		var w []string
		l := played(t, say(row("12", "12", "COMPLETED", "0", "None")), say(placed("12", pattern, pattern, "/", "x", "")), noAccounts, Options{Warn: func(f string, a ...any) { w = append(w, fmt.Sprintf(f, a...)) }})
		var out strings.Builder
		if _, err := l.Wait(context.Background(), twelve, &out); err != nil || out.Len() > 0 || (want == "") != (len(w) == 0) || !strings.Contains(strings.Join(w, "\n"), want) {
			t.Errorf("%s: %v %d bytes %q", pattern, err, out.Len(), w)
		}
	}
}

func TestAnotherCluster(t *testing.T) {
	l := played(t, say(row("12", "12", "COMPLETED", "0", "None")), nowhere, noAccounts, Options{})
	other := schema.Launched{On: "slurm", Job: "12", Place: "other"}
	_, err := l.Wait(context.Background(), other, nil)
	for _, err := range []error{err, l.Stop(context.Background(), other), l.Remove(context.Background(), other)} {
		if schema.KindOf(err) != schema.Invalid || !strings.Contains(err.Error(), `is of the cluster "other", and this host talks to "test"`) {
			t.Error(err)
		}
	}
}

func TestSubmitRefusals(t *testing.T) {
	for _, c := range []struct {
		name, sbatch string
		kind         schema.Kind
		want         string
	}{
		{"taken", "cat >/dev/null; echo 12", "", ""},
		{"taken, of many clusters", "echo '12;test'", "", ""},
		{"no partition", "echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2; exit 1", schema.Invalid, "Invalid partition name specified"},
		{"over a limit", "echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user''s size and/or time limits)' >&2; exit 1", schema.Unavailable, "QOS policy"},
		{"no controller", "echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2; exit 1", schema.Unavailable, "Unable to contact slurm controller"},
		{"garbage", "printf 'no\\033[2J id\\n'", schema.Unavailable, `sbatch gave no job id: "no?[2J id"`},
		{"silence", "exit 1", schema.Unavailable, "exit status 1"},
	} {
		l := played(t, nowhere, nowhere, noAccounts, Options{})
		programs := programs(t, map[string]string{"sbatch": c.sbatch})
		l.options.Path = programs + ":" + l.options.Path
		_, err := l.Submit(context.Background(), launch.Spec{Name: "x.sbatch", Run: "01M8H29CMFAMZH478YSVSA2X1C", Dir: t.TempDir(), Data: []byte("#!/bin/sh\nexit 0\n")})
		if schema.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Nobody says whether there is a job: the error says so, and the directory that it would run in stays.
	for squeue, maybe := range map[string]bool{"exit 1": true, "exit 0": false} {
		files := t.TempDir()
		l := played(t, nowhere, nowhere, noAccounts, Options{Files: files})
		l.options.Path = programs(t, map[string]string{"sbatch": "exit 1", "squeue": squeue}) + ":" + l.options.Path
		_, err := l.Submit(context.Background(), launch.Spec{Name: "x.sbatch", Run: "01M8H29CMFAMZH478YSVSA2X1C", Data: []byte("#!/bin/sh\nexit 0\n")})
		left, _ := os.ReadDir(files)
		if schema.KindOf(err) != schema.Unavailable || strings.Contains(err.Error(), "there may be a job all the same, whose comment names 01M8H29CMFAMZH478YSVSA2X1C") != maybe || (len(left) == 1) != maybe {
			t.Errorf("%v, left %v", err, left)
		}
	}
	l := New(Options{Path: t.TempDir()})
	_, err := l.Submit(context.Background(), launch.Spec{Name: "x.sbatch", Run: "01M8H29CMFAMZH478YSVSA2X1C", Dir: t.TempDir(), Data: []byte("#!/bin/sh\nexit 0\n")})
	if schema.KindOf(err) != schema.Unavailable || schema.HintOf(err) == "" || !strings.Contains(err.Error(), "is not installed") {
		t.Error(err)
	}
	if err := l.Probe(context.Background(), launch.Spec{}); schema.KindOf(err) != schema.Unavailable {
		t.Error(err)
	}
	l = played(t, nowhere, nowhere, noAccounts, Options{})
	l.options.Path = programs(t, map[string]string{"sinfo": "echo down; echo drain"}) + ":" + l.options.Path
	if err := l.Probe(context.Background(), launch.Spec{}); schema.KindOf(err) != schema.Unavailable || !strings.Contains(err.Error(), "no partition is up") {
		t.Error(err)
	}
}
