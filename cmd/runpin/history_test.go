package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/all"
	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/sqlite"
)

// history is a store of many runs that share images, commits and data sets, beside the registry and the git server that have them. Each checkout has a change of
// its own. The servers count what they are asked.
type history struct {
	dir      string
	location string // of the store
	registry *countingServer
	gitHost  *countingServer

	images   []schema.ImagePin
	commits  []schema.ObjectID
	datasets []schema.DatasetPin
}

// countingServer counts requests by method and path, and may be slow.
type countingServer struct {
	*httptest.Server
	mu     sync.Mutex
	counts map[string]int
	delay  time.Duration
	before func(req *http.Request) // called ahead of each request
}

func serveCounting(t testing.TB, inner http.Handler) *countingServer {
	s := &countingServer{counts: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.counts[req.Method+" "+req.URL.Path]++
		delay, before := s.delay, s.before
		s.mu.Unlock()
		if before != nil {
			before(req)
		}
		select {
		case <-time.After(delay):
			inner.ServeHTTP(w, req)
		case <-req.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// count adds up the requests whose method and path contain all of the parts, and gives the most for one path.
func (s *countingServer) count(parts ...string) (sum, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
next:
	for request, n := range s.counts {
		for _, part := range parts {
			if !strings.Contains(request, part) {
				continue next
			}
		}
		sum, most = sum+n, max(most, n)
	}
	return sum, most
}

func (s *countingServer) set(delay time.Duration, before func(req *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts, s.delay, s.before = map[string]int{}, delay, before
}

// newHistory makes one. Images have one layer unless layers says how many.
func newHistory(t testing.TB, runs, images, commits, datasets int, layers ...int64) *history {
	t.Helper()
	requirePart(t, "git")
	h := &history{dir: t.TempDir()}
	h.location = filepath.Join(h.dir, "runpin.db")
	for k, v := range map[string]string{
		"HOME": h.dir, "XDG_CACHE_HOME": filepath.Join(h.dir, "cache"), "XDG_CONFIG_HOME": filepath.Join(h.dir, "config"), "GIT_CONFIG_NOSYSTEM": "1", "DOCKER_CONFIG": h.dir,
	} {
		t.Setenv(k, v)
	}
	h.push(t, images, append(layers, 1)[0])
	objects := h.serveGit(t, commits)
	h.writeData(t, datasets)
	db, err := store.Open(t.Context(), sqlite.Dialect{}, h.location, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const atOnce = 1000
	for from := 0; from < runs; from += atOnce {
		var report schema.Report
		for i := from; i < min(runs, from+atOnce); i++ {
			doc, blobs := h.run(t, i, objects)
			end := schema.Document{Schema: schema.SchemaV1, Kind: schema.KindStatus, ID: schema.NewDocumentID(doc.At.Time()), Run: doc.Run, At: doc.At, Reporter: doc.Reporter,
				Status: &schema.StatusChange{To: schema.Succeeded, Finished: doc.At, ExitCode: new(int)}}
			report.Documents, report.Blobs = append(report.Documents, doc, end), append(report.Blobs, blobs...)
		}
		if err := db.Save(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	h.registry.set(0, nil)
	h.gitHost.set(0, nil)
	return h
}

func (h *history) push(t testing.TB, n int, layers int64) {
	h.registry = serveCounting(t, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	repository := strings.TrimPrefix(h.registry.URL, "http://") + "/team/trainer"
	for i := range n {
		img, err := random.Image(64, layers)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := name.NewTag(fmt.Sprintf("%s:%d", repository, i))
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(tag, img, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
		digest, _ := img.Digest()
		config, _ := img.ConfigName()
		h.images = append(h.images, schema.ImagePin{Name: "main", Ref: schema.Text(tag.String()), Repository: repository, Tag: fmt.Sprint(i),
			PlatformDigest: schema.Digest(digest.String()), ConfigDigest: schema.Digest(config.String()), Platform: "linux/amd64", Engine: "podman", Use: schema.Enforced})
	}
}

// serveGit makes a repository of n commits in a row and serves it over http. It gives what reads its objects.
func (h *history) serveGit(t testing.TB, n int) git.ObjectReader {
	bare := filepath.Join(h.dir, "git", "train.git")
	runGit := func(stdin io.Reader, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Stdin = stdin
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	runGit(nil, "init", "--quiet", "--bare", "--initial-branch=main", bare)
	runGit(nil, "-C", bare, "config", "uploadpack.allowFilter", "true")
	var script bytes.Buffer
	for i := range n {
		fmt.Fprintf(&script, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 1\nx\n", 1767225600+i)
		fmt.Fprintf(&script, "M 100644 inline src/step.py\ndata %d\n%d\nM 100644 inline train.py\ndata 1\nt\n", len(fmt.Sprint(i)), i)
	}
	runGit(&script, "-C", bare, "fast-import", "--quiet")
	for _, id := range strings.Fields(runGit(nil, "-C", bare, "rev-list", "--reverse", "main")) {
		h.commits = append(h.commits, schema.ObjectID(id))
	}
	execPath := strings.TrimSpace(runGit(nil, "--exec-path"))
	h.gitHost = serveCounting(t, &cgi.Handler{Path: filepath.Join(execPath, "git-http-backend"),
		Env:        []string{"GIT_PROJECT_ROOT=" + filepath.Dir(bare), "GIT_HTTP_EXPORT_ALL=1"},
		InheritEnv: []string{"PATH", "HOME", "GIT_CONFIG_NOSYSTEM"}, Stderr: io.Discard})
	program, err := git.FindProgram()
	if err != nil {
		t.Fatal(err)
	}
	scratch, err := program.NewStore(20, []string{filepath.Join(bare, "objects")})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := scratch.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objects.Close(); scratch.Close() })
	return objects
}

func (h *history) writeData(t testing.TB, n int) {
	resolver := dataset.New(all.Backends(dataset.Options{Now: time.Now}))
	for i := range n {
		dir := filepath.Join(h.dir, "data", fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x.csv"), fmt.Appendf(nil, "%d\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
		pin, err := resolver.ResolveDataset(t.Context(), recorder.DatasetRequest{Name: "train", URI: dir, WorkDir: h.dir, Sink: discardBlobs{}})
		if err != nil {
			t.Fatal(err)
		}
		h.datasets = append(h.datasets, pin)
	}
}

// discardBlobs forgets manifests: a check needs none.
type discardBlobs struct{}

func (discardBlobs) PutBlob(_ context.Context, kind schema.BlobKind, content io.Reader) (schema.BlobRef, error) {
	b, err := io.ReadAll(content)
	return schema.BlobRef{Kind: kind, Digest: schema.SHA256(b), Bytes: int64(len(b))}, err
}

// run gives the ith run: it ran in a container, on a commit with a change of its own.
func (h *history) run(t testing.TB, i int, objects git.ObjectReader) (schema.Document, []schema.Blob) {
	at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
	commit := h.commits[i%len(h.commits)]
	commitTree, _, err := git.CommitTree(objects, commit)
	if err != nil {
		t.Fatal(err)
	}
	content := fmt.Appendf(nil, "run %d\n", i)
	file := git.HashObject("blob", content, 20)
	tree, err := git.RewriteTree(objects, commitTree, []git.Edit{{Path: "src/step.py", Mode: git.ModeFile, ID: file}}, 20)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := schema.Canonical(schema.Changes{Schema: schema.ChangesV1, Commit: commit, Tree: tree,
		Files: []schema.Change{{Path: "src/step.py", Mode: "100644", Object: file, Digest: schema.SHA256(content), Bytes: int64(len(content))}}})
	if err != nil {
		t.Fatal(err)
	}
	list := schema.NewBlob(schema.BlobChanges, changes)
	id := schema.NewRunID(at)
	plan := schema.Plan{Name: fmt.Sprint("run-", i), Project: fmt.Sprint("p", i%2), Created: schema.At(at), Recorder: "runpin test", Launcher: "podman",
		Images: []schema.ImagePin{h.images[i%len(h.images)]}, Datasets: []schema.DatasetPin{h.datasets[i%len(h.datasets)]},
		Code: []schema.CodePin{{Name: "code", Kind: schema.CodeGit, Ref: ".", Remote: h.gitHost.URL + "/train.git", Commit: commit, CommitTree: commitTree, Tree: tree, Dirty: true,
			Changes: &list.Ref, Use: schema.Observed, Origin: schema.Origin{Kind: schema.FromGit}}},
		Command: schema.Texts([]string{"python", "train.py"}), CommandTemplate: schema.Texts([]string{"python", "train.py"})}
	doc := schema.Document{Schema: schema.SchemaV1, Kind: schema.KindRun, ID: schema.DocumentID(id), Run: id, At: schema.At(at), Plan: &plan,
		Reporter: schema.Reporter{Kind: "runner", Host: "h1"}}
	return doc, []schema.Blob{list, schema.NewBlob(schema.BlobFile, content)}
}

// check runs `runpin check` on the history and gives what it printed.
func (h *history) check(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "runpin", append([]string{"check"}, args...)...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "RUNPIN_STORE="+h.location, "RUNPIN_USER=tester")
	return cmd
}
