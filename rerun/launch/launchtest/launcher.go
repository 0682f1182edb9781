package launchtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// LauncherHarness is a place that runs commands. There must be sh, env, cat, seq and sleep.
type LauncherHarness struct {
	Launcher launch.Launcher
	// Job gives a job that Launch takes as it is, once it has an Argv: with an image where one is needed, and an Env in which programs are found.
	Job func(t *testing.T) launch.Job
	// Directory gives the job a new directory of this host to run in, and says what it is called here.
	Directory func(t *testing.T, job *launch.Job) string
	// Added says which variables the place sets by itself, those that sh sets included.
	Added func(name string) bool
	// Plain is the path of a file that cannot be executed, as the command sees it.
	Plain string
	Codes []int // exit codes to try; nil: all

	// What the place cannot do. Each says why, and is then tested to do what it says instead.
	NoStdin     string // stdin is empty
	NoSignals   string // a command cannot end by a signal, because it is the first process of its machine
	NoRawBytes  string // what is not UTF-8 does not pass
	NoOwner     string // files do not belong to the caller
	Talks       string // it says itself why it could not start, on stderr
	AnyDir      string // a directory that is not there is made
	NoSameOrder string // stdout and stderr that go to one writer are two streams
}

// within bounds a test that waits in vain.
const within = 3 * time.Minute

func (h LauncherHarness) launch(t *testing.T, job launch.Job) (launch.Exit, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return h.Launcher.Launch(ctx, job)
}

// output launches and gives what was printed to stdout.
func (h LauncherHarness) output(t *testing.T, job launch.Job) string {
	t.Helper()
	var out, errs bytes.Buffer
	job.Stdout, job.Stderr = &out, &errs
	if exit, err := h.launch(t, job); err != nil || exit.Code != 0 {
		t.Fatalf("%.100q: %v %v %s", job.Argv, exit, err, &errs)
	}
	return out.String()
}

func (h LauncherHarness) shell(t *testing.T, script string) launch.Job {
	job := h.Job(t)
	job.Argv = []string{"sh", "-c", script}
	return job
}

// Launcher holds a launcher to its promises.
func Launcher(t *testing.T, h LauncherHarness) {
	t.Run("exit codes", h.exitCodes)
	t.Run("signals", h.signals)
	t.Run("cannot start", h.cannotStart)
	t.Run("arguments", h.arguments)
	t.Run("environment", h.environment)
	t.Run("directory", h.directory)
	t.Run("stdin", h.stdin)
	t.Run("streams", h.streams)
	t.Run("large output", h.largeOutput)
	t.Run("a writer that fails", h.brokenWriter)
	t.Run("end of the context", h.endOfContext)
	t.Run("context that has ended", h.endedContext)
	t.Run("several at once", h.several)
}

func (h LauncherHarness) exitCodes(t *testing.T) {
	codes := h.Codes
	for code := 0; codes == nil && code < 256; code++ {
		codes = append(codes, code)
	}
	for _, code := range codes {
		started := 0
		job := h.shell(t, fmt.Sprintf("exit %d", code))
		job.Started = func(int) { started++ }
		if exit, err := h.launch(t, job); err != nil || exit != (launch.Exit{Code: code}) || started != 1 {
			t.Errorf("exit %d: %+v %v, started %d times", code, exit, err, started)
		}
	}
}

func (h LauncherHarness) signals(t *testing.T) {
	if h.NoSignals != "" {
		t.Log(h.NoSignals)
		job := h.shell(t, "sh -c 'kill -KILL $$'; exit $?")
		if exit, err := h.launch(t, job); err != nil || exit.Code != 137 {
			t.Errorf("%+v %v", exit, err)
		}
		return
	}
	for name, want := range map[string]launch.Exit{"KILL": {Code: 137, Signal: "SIGKILL"}, "TERM": {Code: 143, Signal: "SIGTERM"}, "SEGV": {Code: 139, Signal: "SIGSEGV"}} {
		if exit, err := h.launch(t, h.shell(t, "ulimit -c 0; kill -"+name+" $$; sleep 60")); err != nil || exit != want {
			t.Errorf("%s: %+v %v", name, exit, err)
		}
	}
}

func (h LauncherHarness) cannotStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   int
		change func(*launch.Job)
	}{
		{"no such command", launch.CodeNotFound, func(j *launch.Job) { j.Argv = []string{"no-such-command-here", "x"} }},
		{"no such file", launch.CodeNotFound, func(j *launch.Job) { j.Argv = []string{"/no/such/command"} }},
		{"not executable", launch.CodeNotExecutable, func(j *launch.Job) { j.Argv = []string{h.Plain} }},
		{"no such directory", launch.CodeLauncher, func(j *launch.Job) { j.Dir = "/no/such/directory" }},
	} {
		if c.name == "no such directory" && h.AnyDir != "" {
			t.Log(h.AnyDir)
			continue
		}
		job := h.shell(t, "echo it runs")
		var out, errs bytes.Buffer
		job.Stdout, job.Stderr = &out, &errs
		job.Started = func(int) { t.Errorf("%s: started", c.name) }
		c.change(&job)
		exit, err := h.launch(t, job)
		var start *launch.StartError
		if !errors.As(err, &start) || start.Code != c.code || exit != (launch.Exit{}) {
			t.Errorf("%s: %+v %#v %v", c.name, exit, start, err)
			continue
		}
		wantErrorForm(t, err)
		if h.Talks != "" {
			errs.Reset()
		}
		if out.Len()+errs.Len() > 0 {
			t.Errorf("%s: prints %q and %q", c.name, &out, &errs)
		}
	}
}

// wantErrorForm holds an error to what all have: they are ours, of one line, and steer no terminal.
func wantErrorForm(t *testing.T, err error) {
	t.Helper()
	var e *schema.Error
	if !errors.As(err, &e) || e.Kind == "" || e.Op == "" {
		t.Errorf("%T is no *schema.Error with a kind and an operation: %v", err, err)
		return
	}
	if strings.IndexFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		t.Errorf("%q holds what steers a terminal", err.Error())
	}
}

func (h LauncherHarness) arguments(t *testing.T) {
	args := []string{"", " ", "a b", `it's "so"`, "$HOME `id` $(id) ${x}", `back\slash \n`, "*", "~", "#x", "!x", "a\nb\n", "\n", "x\r\ny", "\t", "-n", "--", "%s%d%%", "{}", "日本", ";&|<>()", strings.Repeat("long ", 20<<10)}
	if h.NoRawBytes != "" {
		t.Log(h.NoRawBytes)
	} else {
		args = append(args, "\xff\xfe", "\x01\x7f\x80")
	}
	job := h.Job(t)
	job.Argv = append([]string{"sh", "-c", `printf '%s\0' "$@"`, "sh"}, args...)
	if got, want := h.output(t, job), strings.Join(args, "\x00")+"\x00"; got != want {
		for i, g := range strings.Split(got, "\x00") {
			if i < len(args) && g != args[i] {
				t.Errorf("argument %d: %.100q, want %.100q", i, g, args[i])
			}
		}
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

func (h LauncherHarness) environment(t *testing.T) {
	job := h.Job(t)
	want := map[string]string{"EMPTY": "", "SPACES": " a  b ", "LINES": "x\ny\n", "QUOTES": `'"$HOME\`, "TWICE": "2", "lower_case": "日本", "BASH_FUNC_f%%": "() {  :\n}"}
	job.Env = append(slices.Clone(job.Env), "TWICE=1")
	for name, value := range want {
		job.Env = append(job.Env, name+"="+value)
	}
	if h.NoRawBytes == "" {
		want["BYTES"] = "\xff\x01"
		job.Env = append(job.Env, "BYTES=\xff\x01")
	}
	for _, kv := range h.Job(t).Env {
		name, value, _ := strings.Cut(kv, "=")
		want[name] = value
	}
	t.Setenv("RUNPIN_TEST_OWN", "of the process that launches")
	job.Argv = []string{"env", "-0"}
	got := map[string]string{}
	for kv := range strings.SplitSeq(strings.TrimSuffix(h.output(t, job), "\x00"), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		got[name] = value
	}
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s: %q (%v), want %q", name, v, ok, value)
		}
	}
	for name, value := range got {
		if _, ok := want[name]; !ok && !h.Added(name) {
			t.Errorf("%s=%q was not asked for", name, value)
		}
	}
}

func (h LauncherHarness) directory(t *testing.T) {
	job := h.shell(t, "pwd; echo text > made; exit 0")
	host := h.Directory(t, &job)
	before := names(t, host)
	if got := h.output(t, job); got != job.Dir+"\n" {
		t.Errorf("runs in %q, want %q", got, job.Dir)
	}
	text, err := os.ReadFile(filepath.Join(host, "made"))
	if err != nil || string(text) != "text\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if after := names(t, host); !slices.Equal(after, append(before, "made")) {
		t.Errorf("left are %q", after)
	}
	if h.NoOwner != "" {
		t.Log(h.NoOwner)
	} else if info, err := os.Stat(filepath.Join(host, "made")); err == nil && !isOurs(info) {
		t.Error("the file does not belong to the caller")
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A command whose context ends is asked to, takes its time, and is never killed.
func (h LauncherHarness) endOfContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	job := h.shell(t, "trap 'sleep 1; echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done")
	out := OnOutput("ready\n", cancel)
	job.Stdout = out
	exit, err := h.Launcher.Launch(ctx, job)
	if err != nil || exit != (launch.Exit{Code: 9}) || out.String() != "ready\nbye\n" {
		t.Errorf("%+v %v %q", exit, err, out.String())
	}
}

func (h LauncherHarness) endedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	exit, err := h.Launcher.Launch(ctx, h.shell(t, "sleep 100; exit 0"))
	var start *launch.StartError
	if errors.As(err, &start) && schema.IsKind(err, schema.Interrupted) && start.Code == launch.CodeLauncher {
		return
	}
	if err != nil || exit.Code == 0 { // it began, and was asked to end
		t.Errorf("%+v %v", exit, err)
	}
}

func (h LauncherHarness) several(t *testing.T) {
	var all sync.WaitGroup
	for i := range 4 {
		job := h.shell(t, fmt.Sprintf("echo %d; exit %d", i, i))
		all.Go(func() {
			var out bytes.Buffer
			job.Stdout = &out
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			if exit, err := h.Launcher.Launch(ctx, job); err != nil || exit.Code != i || out.String() != fmt.Sprintln(i) {
				t.Errorf("%d: %+v %v %q", i, exit, err, &out)
			}
		})
	}
	all.Wait()
}
