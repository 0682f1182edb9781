package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// Program is the git program of this machine. It is safe for concurrent use.
type Program struct {
	path    string
	once    sync.Once
	version string
	err     error
}

// FindProgram looks for git in PATH.
func FindProgram() (*Program, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, err
	}
	return &Program{path: path}, nil
}

// oldest is the first version whose flags we rely on: status --porcelain=v2 --no-renames, --no-optional-locks, protocol v2.
const oldestMajor, oldestMinor = 2, 26

var versionText = regexp.MustCompile(`^git version (\d+)\.(\d+)(\S*)`)

// Version gives the program's version ("2.39.5"). A version that is too old to be relied on is an error.
func (p *Program) Version(ctx context.Context) (string, error) {
	p.once.Do(func() {
		out, err := p.Output(context.WithoutCancel(ctx), Call{Args: []string{"version"}})
		if err != nil {
			p.err = err
			return
		}
		m := versionText.FindStringSubmatch(string(out))
		if m == nil {
			p.err = fmt.Errorf("git version says %q", schema.Shorten(string(out), 80))
			return
		}
		p.version = m[1] + "." + m[2] + m[3]
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
			p.err = fmt.Errorf("git %s is older than %d.%d", p.version, oldestMajor, oldestMinor)
		}
	})
	return p.version, p.err
}

// Call is one run of the git program. Without Network it sees no configuration but what Env and the git directory that Env names
// give. With Network the user's own configuration counts, because it says how to reach and log in to a server.
type Call struct {
	Args    []string
	Dir     string
	Env     []string
	Stdin   io.Reader
	Network bool
}

// neverRun is put before each subcommand: settings of the user's that would run a program or change what is printed.
var neverRun = []string{
	"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "diff.external=", "-c", "core.quotePath=false",
	"-c", "core.attributesFile=" + os.DevNull, "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "submodule.recurse=false",
	"-c", "fetch.recurseSubmodules=false", "-c", "protocol.version=2", "-c", "advice.detachedHead=false", "-c", "color.ui=false",
}

func (p *Program) command(ctx context.Context, c Call) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path, append(append([]string{"--no-pager"}, neverRun...), c.Args...)...)
	cmd.Dir = c.Dir
	cmd.Env = append(environ(os.Environ(), c.Network), c.Env...)
	cmd.Stdin = c.Stdin
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Output runs git and gives what it printed.
func (p *Program) Output(ctx context.Context, c Call) ([]byte, error) {
	var out bytes.Buffer
	err := p.Stream(ctx, c, &out)
	return out.Bytes(), err
}

// Stream runs git and writes what it prints to w.
func (p *Program) Stream(ctx context.Context, c Call, w io.Writer) error {
	cmd := p.command(ctx, c)
	cmd.Stdout = w
	stderr := &tail{max: 16 << 10}
	cmd.Stderr = stderr
	return callError(ctx, c, cmd.Run(), stderr)
}

// CallError is a failed run of the git program. Text is what it said, with the user info of URLs taken out.
type CallError struct {
	Command string // the subcommand
	Text    string
	Err     error
}

func (e *CallError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("git %s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("git %s: %s", e.Command, e.Text)
}

// Unwrap gives the cause.
func (e *CallError) Unwrap() error { return e.Err }

func callError(ctx context.Context, c Call, err error, stderr *tail) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	name := "?"
	if len(c.Args) > 0 {
		name = c.Args[0]
	}
	return &CallError{Command: name, Text: Redact(lastLines(stderr.String(), 4)), Err: err}
}

// Code gives the exit code of a failed run, or -1.
func Code(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// lastLines gives the last n lines that say something, joined: git's cause stands there, progress and hints before it.
func lastLines(s string, n int) string {
	var kept []string
	for line := range strings.SplitSeq(strings.ReplaceAll(s, "\r", "\n"), "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "hint:") && !strings.HasPrefix(line, "warning:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-n):], "; ")
}

// keptVariables are the GIT_ variables that say how to reach a server or where the user's configuration is; all others (GIT_DIR and
// GIT_INDEX_FILE as a hook sets them, GIT_EXTERNAL_DIFF, GIT_TRACE…) would redirect or change what we ask.
var keptVariables = map[string]bool{
	"GIT_EXEC_PATH": true, "GIT_SSH": true, "GIT_SSH_COMMAND": true, "GIT_SSH_VARIANT": true, "GIT_ASKPASS": true, "GIT_PROXY_COMMAND": true,
	"GIT_SSL_CAINFO": true, "GIT_SSL_CAPATH": true, "GIT_SSL_NO_VERIFY": true, "GIT_SSL_CERT": true, "GIT_SSL_KEY": true,
	"GIT_CONFIG_GLOBAL": true, "GIT_CONFIG_SYSTEM": true, "GIT_CONFIG_NOSYSTEM": true, "GIT_CONFIG_COUNT": true, "GIT_CONFIG_PARAMETERS": true,
	"GIT_HTTP_LOW_SPEED_LIMIT": true, "GIT_HTTP_LOW_SPEED_TIME": true, "GIT_HTTP_USER_AGENT": true, "GIT_ALLOW_PROTOCOL": true,
}

func environ(base []string, network bool) []string {
	env := make([]string, 0, len(base)+10)
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "GIT_") {
			if !network && name != "GIT_EXEC_PATH" {
				continue
			}
			if !keptVariables[name] && !strings.HasPrefix(name, "GIT_CONFIG_KEY_") && !strings.HasPrefix(name, "GIT_CONFIG_VALUE_") {
				continue
			}
		}
		if name == "LC_ALL" || name == "LANGUAGE" || name == "LANG" {
			continue
		}
		env = append(env, kv)
	}
	env = append(env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1",
		"GIT_ATTR_NOSYSTEM=1", "GIT_PAGER=cat", "GCM_INTERACTIVE=never", "GIT_LFS_SKIP_SMUDGE=1")
	if !network {
		env = append(env, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	} else if os.Getenv("GIT_ALLOW_PROTOCOL") == "" {
		// A record names URLs: ext:: and other helpers would run what the record says.
		env = append(env, "GIT_ALLOW_PROTOCOL=file:git:http:https:ssh")
	}
	return env
}

// tail keeps the last max bytes written to it.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*t.max {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.max:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf[max(0, len(t.buf)-t.max):]) }
