package image_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/image/imagetest"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

// The test binary stands in for an engine when this variable is set.
const engineVariable = "RUNPIN_TEST_ENGINE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(engineVariable); mode != "" {
		os.Exit(actAsEngine(mode, os.Args[1:]))
	}
	// No test may see the credentials or registries of whoever runs it.
	home, err := os.MkdirTemp("", "runpin-image-test")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		os.Setenv(name, home)
	}
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "GITHUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	// With the race detector each process waits a second before it ends, and the engines of these tests are processes.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

// clock is a clock that a wait moves on, so that no test sleeps.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func (c *clock) total() (sum time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.slept {
		sum += d
	}
	return sum
}

// world is a registry, a client of it without a cache, and a resolver without engines.
type world struct {
	*imagetest.Registry
	clock  *clock
	client *registry.Client
	images *image.Resolver
}

func newWorld(t testing.TB, change ...func(*registry.Options, *image.Options)) *world {
	t.Helper()
	w := &world{Registry: imagetest.Start(), clock: &clock{now: time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)}}
	t.Cleanup(w.Close)
	ro := registry.Options{Version: "test", Now: w.clock.Now, Wait: w.clock.Wait}
	io := image.Options{Engines: []image.Engine{}, Now: w.clock.Now}
	for _, f := range change {
		f(&ro, &io)
	}
	w.client = registry.New(ro)
	io.Registry = w.client
	w.images = image.New(io)
	return w
}

func (w *world) resolve(t testing.TB, ref string) (schema.ImagePin, error) {
	return w.images.ResolveImage(t.Context(), recorder.ImageRequest{Name: "image", Ref: ref, Platform: "linux/amd64"})
}

// ok fails the test on an error: ok(t, err).
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// drop is for calls whose result does not matter: ok(t, drop(f())).
func drop[T any](_ T, err error) error { return err }

// wantError asserts kind and text of an error; nothing in a message may be a secret of these tests.
func wantError(t *testing.T, err error, kind schema.Kind, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %s", kind)
	}
	var e *schema.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("kind %s of %v; want %s", schema.KindOf(err), err, kind)
	}
	whole := err.Error() + "\n" + schema.HintOf(err)
	for _, s := range says {
		if !strings.Contains(whole, s) {
			t.Errorf("the message does not say %q:\n%s", s, whole)
		}
	}
	if strings.Contains(whole, "hunter2") {
		t.Errorf("the message shows a password:\n%s", whole)
	}
	if strings.ContainsAny(err.Error(), "\x1b\n\x00") {
		t.Errorf("the message has control characters: %q", err.Error())
	}
}

func hasReason(pin schema.ImagePin, code string) bool {
	for _, r := range pin.Reasons {
		if r.Code == code {
			return true
		}
	}
	return false
}

// requirePart skips the test where a program is missing, unless RUNPIN_TEST_REQUIRE asks for it.
func requirePart(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	for _, part := range strings.Split(os.Getenv("RUNPIN_TEST_REQUIRE"), ",") {
		if part == "all" || part == program {
			t.Fatalf("%s is required by RUNPIN_TEST_REQUIRE and not installed", program)
		}
	}
	t.Skipf("%s is not installed", program)
	return ""
}

func actAsEngine(mode string, args []string) int {
	if len(args) != 4 || strings.Join(args[:3], " ") != "image inspect --" {
		fmt.Fprintf(os.Stderr, "unexpected arguments %q\n", args)
		return 64
	}
	switch mode {
	case "absent":
		fmt.Fprintln(os.Stderr, "Error: inspecting object: x: image not known")
		return 125
	case "down":
		fmt.Fprintln(os.Stderr, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\x1b[31m")
		return 1
	case "garbage":
		fmt.Println("<html>")
	case "endless":
		for range 20 << 10 {
			fmt.Print(strings.Repeat("[", 1024))
		}
	default: // a file to print
		b, err := os.ReadFile(mode)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Stdout.Write(b)
	}
	return 0
}

type (
	httpWriter  = http.ResponseWriter
	httpRequest = http.Request
	httpHandler = http.Handler
)
