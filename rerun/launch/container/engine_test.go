//go:build unix

package container

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// engine is a script in place of an engine: it does what the test says for each of its commands, and keeps their arguments.
func engine(t *testing.T, name string, does map[string]string) (*Launcher, func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script := "#!/bin/sh\necho \"$*\" >> '" + log + "'\ncd '" + dir + "'\ncase \"$1\" in\n"
	for verb, action := range does {
		script += verb + ") " + action + ";;\n"
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(script+"esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := New(name, Options{Program: path})
	if err != nil {
		t.Fatal(err)
	}
	return l, func() string { b, _ := os.ReadFile(log); return string(b) }
}

const never = `"StartedAt":"0001-01-01T00:00:00Z"`

func TestEngineStates(t *testing.T) {
	ref := "x.example.com/y@sha256:" + digits
	create := "echo warning; echo " + digits
	inspect := func(json string) string { return "echo '{" + json + "}'" }
	const ran = `"StartedAt":"2026-11-23T18:00:00.5Z"`
	for _, tc := range []struct {
		name string
		does map[string]string
		exit launch.Exit
		code int // of a StartError
		want string
		pid  bool
	}{
		{"ended", map[string]string{"create": create, "start": "cat; exit 3", "container": inspect(ran + `,"ExitCode":3`)}, launch.Exit{Code: 3}, 0, "", true},
		{"the client differs from the command", map[string]string{"create": create, "start": "exit 1", "container": inspect(ran + `,"ExitCode":0`)}, launch.Exit{}, 0, "", true},
		{"not found", map[string]string{"create": create, "start": "echo no >&2; exit 127", "container": inspect(never + `,"ExitCode":127,"Error":"exec: nope"`)},
			launch.Exit{}, 127, "docker: exec: nope", false},
		{"not executable", map[string]string{"create": create, "start": "exit 126", "container": inspect(never + `,"ExitCode":126,"Error":"permission denied"`)},
			launch.Exit{}, 126, "permission denied", false},
		{"not started", map[string]string{"create": create, "start": "exit 128", "container": inspect(never + `,"ExitCode":128,"Error":"port is in use"`)},
			launch.Exit{}, 125, "port is in use", false},
		{"not started and not said why", map[string]string{"create": create, "start": "exit 1", "container": inspect(never)}, launch.Exit{}, 125, "did not start the container (exit code 1)", false},
		{"not created", map[string]string{"create": "echo; echo 'Error response from daemon: no space left' >&2; exit 1"}, launch.Exit{}, 125, "docker: no space left", false},
		{"no id", map[string]string{"create": "echo hello"}, launch.Exit{}, 125, `gave no container id: "hello"`, false},
		{"still running when the client ends", map[string]string{"create": create, "start": "exit 255",
			"container": "if [ -e over ]; then echo '{" + ran + `,"ExitCode":5}'; else echo '{` + ran + `,"Running":true}'; fi`, "wait": "touch over"}, launch.Exit{Code: 5}, 0, "", true},
		{"no state", map[string]string{"create": create, "start": "exit 125", "container": "echo gone >&2; exit 1"}, launch.Exit{}, 125, "does not say how the command ended: gone", false},
		{"no state but the client's word", map[string]string{"create": create, "start": "exit 2", "container": "exit 1"}, launch.Exit{Code: 2}, 0, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, log := engine(t, Docker, tc.does)
			pids := 0
			exit, err := l.Launch(context.Background(), launch.Job{Image: ref, Argv: []string{"cmd"}, Started: func(int) { pids++ }})
			if exit != tc.exit || (err == nil) != (tc.code == 0) || (pids == 1) != tc.pid {
				t.Errorf("%v %v, started %d times", exit, err, pids)
			}
			var start *launch.StartError
			if err != nil && (!errors.As(err, &start) || start.Code != tc.code || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v", err)
			}
			if tc.does["start"] != "" && !strings.HasSuffix(log(), "rm --volumes "+digits+"\n") {
				t.Errorf("not removed:\n%s", log())
			}
		})
	}
}

func TestEngineStreams(t *testing.T) {
	l, log := engine(t, Docker, map[string]string{"create": "echo " + digits, "start": "cat; echo err >&2; exit 1", "container": `echo '{"StartedAt":"2026-11-23T18:00:00Z","ExitCode":1}'`})
	var out, errs bytes.Buffer
	exit, err := l.Launch(context.Background(), launch.Job{Image: "sha256:" + digits, Argv: []string{"cmd"}, Stdin: strings.NewReader("in"), Stdout: &out, Stderr: &errs})
	if err != nil || exit.Code != 1 || out.String() != "in" || errs.String() != "err\n" {
		t.Errorf("%v %v %q %q", exit, err, &out, &errs)
	}
	if got := log(); !strings.Contains(got, "start --attach --interactive "+digits) || strings.Contains(got, "init") {
		t.Error(got)
	}
}

func TestEnsureImage(t *testing.T) {
	ref := "x.example.com/y@sha256:" + digits
	config := schema.Digest("sha256:" + strings.Repeat("c", 64))
	id := func(d string) string { return "echo " + d }
	for _, tc := range []struct {
		name, ref string
		does      map[string]string
		kind      schema.Kind
		want      string
		pulls     int
	}{
		{"there", ref, map[string]string{"image": id(string(config))}, "", "", 0},
		{"there, in a store that names images by manifest", ref, map[string]string{"image": id("sha256:" + digits)}, "", "", 0},
		{"another", ref, map[string]string{"image": id("sha256:" + strings.Repeat("d", 64))}, schema.Drift, "recorded was " + string(config), 0},
		{"pulled", ref, map[string]string{"image": "[ -e here ] && echo " + string(config), "pull": "touch here"}, "", "", 1},
		{"pulled another", ref, map[string]string{"image": "[ -e here ] && echo sha256:" + digits[1:] + "0", "pull": "touch here"}, schema.Drift, "", 1},
		{"gone", ref, map[string]string{"image": "exit 1", "pull": "echo 'Error: manifest unknown: x' >&2; exit 1"}, schema.Gone, "docker pull: manifest unknown: x", 1},
		{"denied", ref, map[string]string{"image": "exit 1", "pull": "echo 'denied' >&2; exit 1"}, schema.Unavailable, "denied", 1},
		{"silent", ref, map[string]string{"image": "exit 1", "pull": "exit 3"}, schema.Unavailable, "exit status 3", 1},
		{"lost", ref, map[string]string{"image": "exit 1", "pull": "exit 0"}, schema.Unavailable, "has no image after pulling it", 1},
		{"local and gone", string(config), map[string]string{"image": "exit 1"}, schema.Gone, "does not have this image any more", 0},
		{"a tag", "x:1", nil, schema.Unpinnable, "names no digest", 0},
	} {
		l, log := engine(t, Docker, tc.does)
		err := l.EnsureImage(context.Background(), tc.ref, config, true)
		if schema.KindOf(err) != tc.kind || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := strings.Count(log(), "pull "+ref+"\n"); got != tc.pulls {
			t.Errorf("%s: %d pulls\n%s", tc.name, got, log())
		}
	}
	l, log := engine(t, Podman, map[string]string{"image": "exit 1"})
	for insecure, ref := range map[bool]string{true: ref, false: "localhost:5000/x@sha256:" + digits} {
		_ = l.EnsureImage(context.Background(), ref, config, insecure)
		if !strings.Contains(log(), "pull --tls-verify=false "+ref) {
			t.Error(log())
		}
	}
	_ = l.EnsureImage(context.Background(), "ghcr.io/x/y@sha256:"+digits, config, false)
	if !strings.Contains(log(), "pull ghcr.io/x/y@sha256:") {
		t.Error(log())
	}
}

// A cancelled pull ends at once and says so.
func TestCancelledPull(t *testing.T) {
	l, _ := engine(t, Docker, map[string]string{"image": "exit 1", "pull": "exec sleep 60"})
	ctx, cancel := context.WithCancel(context.Background())
	l.options.Progress = writerFunc(func([]byte) {})
	go cancel()
	if err := l.EnsureImage(ctx, "x@sha256:"+digits, "", false); schema.KindOf(err) != schema.Interrupted {
		t.Error(err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
