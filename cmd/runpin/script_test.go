package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/runpin/runpin/store/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	testscript.Main(andStop{m}, map[string]func(){
		"runpin": func() { os.Exit(run(context.Background(), os.Args, newEnv())) },
	})
}

// andStop ends the servers that tests share.
type andStop struct{ *testing.M }

func (m andStop) Run() int {
	defer postgrestest.Stop()
	return m.M.Run()
}

var update = os.Getenv("RUNPIN_TEST_UPDATE") != ""

// TestScript runs testdata/script/*.txtar: the specification of the command line. Each script has a registry, a home, a store and a git identity of its own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       update,
		Setup:               setupScript,
		Condition: func(cond string) (bool, error) {
			if name, ok := strings.CutPrefix(cond, "part:"); ok {
				_, err := exec.LookPath(name)
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode":    cmdExitCode,
			"push-image":  cmdPushImage,
			"copy-image":  cmdCopyImage,
			"git-init":    cmdGitInit,
			"git-commit":  cmdGitCommit,
			"store-id":    cmdStoreID,
			"capture":     cmdCapture,
			"registry-is": cmdRegistryIs,
			"matches":     cmdMatches,
			"store-sql":   cmdStoreSQL,
			"store-lock":  cmdStoreLock,
			"serve":       cmdServe,
			"serve-stop":  cmdServeStop,
			"store-unlock": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value("lock").(*heldLock).release()
			},
		},
	})
}

// scriptRegistry is an in-process registry whose answers a script can spoil with registry-is.
type scriptRegistry struct {
	inner http.Handler
	mu    sync.Mutex
	mode  string
	asked int
}

func (r *scriptRegistry) is() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mode == "vanish-now" {
		r.asked++
		if r.asked > 2 { // the ping and the HEAD of the tag
			return "vanished"
		}
		return "fine"
	}
	return r.mode
}

func (r *scriptRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	fail := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"as the script asked"}]}`, code)
	}
	switch r.is() {
	case "denied":
		fail(http.StatusUnauthorized, "UNAUTHORIZED")
	case "broken":
		fail(http.StatusInternalServerError, "UNKNOWN")
	case "busy":
		w.Header().Set("Retry-After", "3600")
		fail(http.StatusTooManyRequests, "TOOMANYREQUESTS")
	case "lying":
		if strings.Contains(req.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = io.WriteString(w, `{"schemaVersion":2}`)
			return
		}
		r.inner.ServeHTTP(w, req)
	case "vanished": // the tag has answered; now what it names is gone
		if strings.Contains(req.URL.Path, "/manifests/") {
			fail(http.StatusNotFound, "MANIFEST_UNKNOWN")
			return
		}
		r.inner.ServeHTTP(w, req)
	case "hanging":
		<-req.Context().Done()
	case "garbage":
		_, _ = io.WriteString(w, "<html>not a registry</html>")
	default:
		r.inner.ServeHTTP(w, req)
	}
}

func setupScript(e *testscript.Env) error {
	handler := &scriptRegistry{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(handler)
	e.Defer(server.Close)
	second := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	e.Defer(second.Close)
	e.Setenv("REGISTRY2", strings.TrimPrefix(second.URL, "http://"))
	e.Values["registry"] = handler
	e.Values["lock"] = &heldLock{}
	running := &servers{}
	e.Values["servers"] = running
	e.Defer(running.stop)
	e.Defer(func() { e.Values["lock"].(*heldLock).release() })
	home := filepath.Join(e.WorkDir, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	for k, v := range map[string]string{
		"REGISTRY": strings.TrimPrefix(server.URL, "http://"), "HOME": home, "RUNPIN_STORE": filepath.Join(e.WorkDir, "store", "runpin.db"), "RUNPIN_USER": "tester",
		"XDG_CACHE_HOME": filepath.Join(home, ".cache"), "XDG_DATA_HOME": filepath.Join(home, ".local", "share"), "TMPDIR": e.WorkDir,
		"GIT_AUTHOR_NAME": "T", "GIT_AUTHOR_EMAIL": "t@example.com", "GIT_COMMITTER_NAME": "T", "GIT_COMMITTER_EMAIL": "t@example.com",
		"GIT_CONFIG_NOSYSTEM": "1", "RUNPIN_RETRY_BUDGET": "2s",
	} {
		e.Setenv(k, v)
	}
	return nil
}

// cmdExitCode: exitcode N CMD [ARG…] runs CMD and requires that it exits with N; stdout and stderr can be matched afterwards.
func cmdExitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N CMD [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdPushImage: push-image REPO:TAG [PLATFORM…] pushes a new random image; with platforms an index.
func cmdPushImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: push-image REPO:TAG [PLATFORM...]")
	}
	ref, err := name.ParseReference(ts.Getenv("REGISTRY") + "/" + args[0])
	ts.Check(err)
	newImage := func() v1.Image {
		img, err := random.Image(256, 1)
		ts.Check(err)
		img, err = mutate.Config(img, v1.Config{Labels: map[string]string{"org.opencontainers.image.revision": "9fceb02d0ae598e95dc970b74767f19372d61af8"}})
		ts.Check(err)
		return img
	}
	var digest v1.Hash
	if len(args) == 1 {
		img := newImage()
		ts.Check(remote.Write(ref, img))
		digest, err = img.Digest()
		ts.Check(err)
	} else {
		index := mutate.IndexMediaType(empty.Index, "application/vnd.oci.image.index.v1+json")
		for _, p := range args[1:] {
			platform, err := v1.ParsePlatform(p)
			ts.Check(err)
			img := newImage()
			cfg, err := img.ConfigFile()
			ts.Check(err)
			cfg.OS, cfg.Architecture, cfg.Variant = platform.OS, platform.Architecture, platform.Variant
			img, err = mutate.ConfigFile(img, cfg)
			ts.Check(err)
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
		}
		ts.Check(remote.WriteIndex(ref, index))
		digest, err = index.Digest()
		ts.Check(err)
	}
	ts.Setenv("PUSHED", digest.String())
}

// cmdCopyImage: copy-image FROM TO copies an image or index as it is, to another registry too. FROM and TO name their registries.
func cmdCopyImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: copy-image FROM TO")
	}
	from, err := name.ParseReference(args[0])
	ts.Check(err)
	to, err := name.ParseReference(args[1])
	ts.Check(err)
	found, err := remote.Get(from)
	ts.Check(err)
	if index, err := found.ImageIndex(); err == nil && found.MediaType.IsIndex() {
		ts.Check(remote.WriteIndex(to, index))
		return
	}
	image, err := found.Image()
	ts.Check(err)
	ts.Check(remote.Write(to, image))
}

func cmdGitInit(ts *testscript.TestScript, neg bool, args []string) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	ts.Check(ts.Exec("git", "init", "-q", "-b", "main", dir))
}

func cmdGitCommit(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("git", "add", "-A"))
	ts.Check(ts.Exec("git", append([]string{"commit", "-q", "--allow-empty", "-m"}, args...)...))
}

// cmdStoreID: store-id VAR RUN puts the full id of a run into a variable.
func cmdStoreID(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("runpin", "show", args[1], "--json"))
	m := regexp.MustCompile(`"id": "([0-9A-Z]{26})"`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no id in the output")
	}
	ts.Setenv(args[0], m[1])
}

// cmdCapture: capture VAR REGEXP takes the first group of a match in stdout.
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("no match for %q in stdout", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func cmdRegistryIs(ts *testscript.TestScript, neg bool, args []string) {
	r := ts.Value("registry").(*scriptRegistry)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = args[0]
}

// cmdMatches: matches FILE REGEXP… requires that FILE matches each expression.
func cmdMatches(ts *testscript.TestScript, neg bool, args []string) {
	data := []byte(ts.ReadFile(args[0]))
	for _, expr := range args[1:] {
		if regexp.MustCompile("(?m)"+expr).Match(data) == neg {
			ts.Fatalf("%s: match of %q is %v\n%s", args[0], expr, !neg, bytes.TrimSpace(data))
		}
	}
}

// cmdStoreSQL: store-sql FILE STATEMENT changes a database behind the program's back.
func cmdStoreSQL(ts *testscript.TestScript, neg bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

// heldLock is the write lock of a store, held by this process.
type heldLock struct {
	db   *sql.DB
	conn *sql.Conn
}

func (l *heldLock) release() {
	if l.conn != nil {
		_, _ = l.conn.ExecContext(context.Background(), "ROLLBACK")
		_ = l.conn.Close()
		_ = l.db.Close()
		l.conn = nil
	}
}

// cmdStoreLock: store-lock FILE takes the write lock, until store-unlock or the end of the script.
func cmdStoreLock(ts *testscript.TestScript, neg bool, args []string) {
	l := ts.Value("lock").(*heldLock)
	var err error
	l.db, err = sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	l.conn, err = l.db.Conn(context.Background())
	ts.Check(err)
	_, err = l.conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
	ts.Check(err)
}
