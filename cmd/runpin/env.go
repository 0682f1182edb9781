package main

import (
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// Env is the world as a verb sees it: tests put another in its place.
type Env struct {
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Getenv  func(string) string
	Environ func() []string
	Now     func() time.Time

	OutTTY bool // stdout is a terminal: tables with a header, relative times
	ErrTTY bool // stderr is a terminal: progress bars, hints for people
	Color  bool

	forceColor bool // --color=always: also into a pipe
}

func newEnv() *Env {
	e := &Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Now: clock(os.Getenv("RUNPIN_TEST_CLOCK"))}
	e.OutTTY, e.ErrTTY = term.IsTerminal(int(os.Stdout.Fd())), term.IsTerminal(int(os.Stderr.Fd()))
	e.Color = e.OutTTY && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb"
	return e
}

// clock gives the time; scripts that print times set RUNPIN_TEST_CLOCK to an instant from which the clock then starts.
func clock(fixed string) func() time.Time {
	start, err := time.Parse(time.RFC3339, fixed)
	if fixed == "" || err != nil {
		return time.Now
	}
	begun := time.Now()
	return func() time.Time { return start.Add(time.Since(begun)) }
}

// dataDir is where the default store lives: $XDG_DATA_HOME/runpin, else the system's place for such files. "" without a home directory.
func (e *Env) dataDir() string {
	return e.userDir("XDG_DATA_HOME", ".local/share", "Library/Application Support")
}

// cacheDir is where deletable caches live: $XDG_CACHE_HOME/runpin, else the system's place for such files. "" without a home directory: then nothing is cached.
func (e *Env) cacheDir() string { return e.userDir("XDG_CACHE_HOME", ".cache", "Library/Caches") }

func (e *Env) userDir(variable, unix, mac string) string {
	if dir := e.Getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "runpin")
	}
	if runtime.GOOS == "windows" {
		if dir := e.Getenv("LocalAppData"); dir != "" {
			return filepath.Join(dir, "runpin")
		}
		return ""
	}
	home := e.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return ""
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, filepath.FromSlash(mac), "runpin")
	}
	return filepath.Join(home, filepath.FromSlash(unix), "runpin")
}

// user is the name under which runs are recorded.
func (e *Env) user() string {
	for _, name := range []string{"RUNPIN_USER", "USER", "LOGNAME", "USERNAME"} {
		if v := e.Getenv(name); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (e *Env) host() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// variable is Getenv for a name that may be "".
func (e *Env) variable(name string) string {
	if name == "" {
		return ""
	}
	return e.Getenv(name)
}

// submission describes the CI job that submits, when there is one.
func (e *Env) submission() *schema.Submission {
	for _, ci := range []struct{ when, name, url, commit string }{
		{"GITHUB_ACTIONS", "github-actions", "", "GITHUB_SHA"},
		{"GITLAB_CI", "gitlab-ci", "CI_JOB_URL", "CI_COMMIT_SHA"},
		{"BUILDKITE", "buildkite", "BUILDKITE_BUILD_URL", "BUILDKITE_COMMIT"},
		{"JENKINS_URL", "jenkins", "BUILD_URL", "GIT_COMMIT"},
		{"CIRCLECI", "circleci", "CIRCLE_BUILD_URL", "CIRCLE_SHA1"},
		{"BITBUCKET_BUILD_NUMBER", "bitbucket-pipelines", "", "BITBUCKET_COMMIT"},
		{"TF_BUILD", "azure-pipelines", "", "BUILD_SOURCEVERSION"},
		{"CI", "ci", "", ""}, // a convention that nearly all others follow too
	} {
		if when := e.Getenv(ci.when); when == "" || when == "false" {
			continue
		}
		s := &schema.Submission{Host: e.host(), CI: ci.name, Commit: e.variable(ci.commit)}
		if ci.url != "" {
			s.JobURL, _ = redact.URL(e.Getenv(ci.url))
		}
		if ci.name == "github-actions" && e.Getenv("GITHUB_RUN_ID") != "" {
			s.JobURL = strings.Join([]string{e.Getenv("GITHUB_SERVER_URL"), e.Getenv("GITHUB_REPOSITORY"), "actions/runs", e.Getenv("GITHUB_RUN_ID")}, "/")
		}
		return s
	}
	return nil
}
