package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// world answers every reference with a digest made from it, and counts.
type world struct {
	mu    sync.Mutex
	asked map[string]int
	fails map[string]error
}

func (w *world) count(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[what]++
	return w.fails[what]
}

func (w *world) ResolveImage(_ context.Context, ref, platform string) (Image, error) {
	err := w.count(ref)
	image := Image{Registry: "index.docker.io", Repository: ref, Digest: schema.SHA256([]byte(ref)), MediaType: "application/vnd.oci.image.index.v1+json", Bytes: 7}
	if platform != "" {
		image.PlatformDigest = schema.SHA256([]byte(ref + platform))
	}
	return image, err
}

func (w *world) ImageExists(_ context.Context, ref string) error { return w.count(ref) }

func (w *world) ResolveCommit(_ context.Context, repository, revision string) (schema.ObjectID, error) {
	return schema.ObjectID(strings.Repeat("c", 40)), w.count(repository + "@" + revision)
}

func newWorld() (*world, *Resolver) {
	w := &world{asked: map[string]int{}, fails: map[string]error{}}
	now := schema.At(time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC))
	return w, &Resolver{Images: w, Code: w, Now: func() schema.Time { return now }, Jobs: 8}
}

func manyFiles(files, each, distinct int) (out []File) {
	for i := range files {
		text := "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n"
		for j := range each {
			text += fmt.Sprintf("  - name: c%d\n    image: team/i%d:1\n", j, (i*each+j)%distinct)
		}
		out = append(out, File{Name: fmt.Sprintf("f%04d.yaml", i), Data: []byte(text)})
	}
	return out
}

// However many files name a reference, it is asked for once, whatever its spelling.
func TestEachReferenceOnce(t *testing.T) {
	w, r := newWorld()
	files := append(manyFiles(50, 5, 20), File{Name: "other.yaml", Data: []byte("services: {a: {image: docker.io/team/i3:1}, b: {image: 'index.docker.io/team/i3:1'}}\n")})
	results, err := r.Pin(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range w.asked {
		total += n
	}
	if total != 20 {
		t.Errorf("%d questions: %v", total, w.asked)
	}
	for _, res := range results {
		if !res.Changed || bytes.Count(res.Pinned, []byte("@sha256:")) != len(res.Pins) {
			t.Errorf("%s: %s", res.Name, res.Pinned)
		}
	}
	lock, err := r.Lock.Text()
	if err != nil {
		t.Fatal(err)
	}
	// From the lock alone the same comes out, in any order of files, and the lock stays as it is.
	known, err := ParseLock("lock", lock)
	if err != nil {
		t.Fatal(err)
	}
	_, offline := newWorld()
	offline.Images, offline.Code, offline.Lock, offline.Locked = nil, nil, known, true
	again, err := offline.Pin(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	for i := range again {
		if !bytes.Equal(again[i].Pinned, results[i].Pinned) {
			t.Errorf("%s differs", again[i].Name)
		}
	}
	if text, _ := known.Text(); !bytes.Equal(text, lock) {
		t.Error("the lock changed by being read")
	}
}

// Every failure is told, at each place, with its kind; the files beside it are pinned.
func TestFailures(t *testing.T) {
	w, r := newWorld()
	w.fails["team/i1:1"] = &schema.Error{Op: "x", Kind: schema.Unpinnable, Subject: "i1", Err: errors.New("is not there"), Hint: "push it"}
	w.fails["team/i2:1"] = &schema.Error{Op: "x", Kind: schema.Unavailable, Subject: "i2", Err: errors.New("does not answer")}
	_, err := r.Pin(t.Context(), manyFiles(3, 2, 4)) // i0 i1 | i2 i3 | i0 i1
	text := fmt.Sprint(err)
	for _, want := range []string{"f0000.yaml:8:12: spec.containers[1].image: i1: is not there", "f0001.yaml:6:12: spec.containers[0].image: i2: does not answer", "f0002.yaml:8:12"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	kinds := schema.Kinds(err)
	if len(kinds) != 3 || !schema.IsKind(err, schema.Unpinnable) || !schema.IsKind(err, schema.Unavailable) || schema.HintOf(schema.Failures(err)[0]) != "push it" {
		t.Errorf("%v", kinds)
	}
	r.AllowUnpinned = true
	results, err := r.Pin(t.Context(), manyFiles(3, 2, 4))
	if err != nil || len(results[0].Left) != 1 || !results[0].Left[0].Failed || !bytes.Contains(results[0].Pinned, []byte("image: team/i1:1\n")) {
		t.Errorf("%v %+v", err, results[0].Left)
	}
}

func TestPlatformShapeCodeAndData(t *testing.T) {
	_, r := newWorld()
	r.Platform, r.Shape = "linux/arm64", jobspec.DigestOnly
	spec := `apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
spec:
  initializer:
    dataset: {storageUri: "hf://datasets/a/b@main"}
    model: {storageUri: "https://user:hunter2@example.com/model"}
  trainer:
    image: team/t:1
---
apiVersion: v1
kind: Pod
spec:
  containers:
  - image: git-sync/git-sync:v4
    args: [--repo=https://user:hunter2@example.com/r.git, --ref=main]
`
	results, err := r.Pin(t.Context(), []File{{Name: "f", Data: []byte(spec)}})
	if err != nil {
		t.Fatal(err)
	}
	out := string(results[0].Pinned)
	if want := "image: team/t@" + string(schema.SHA256([]byte("team/t:1linux/arm64"))); !strings.Contains(out, want) || !strings.Contains(out, "--ref="+strings.Repeat("c", 40)) {
		t.Error(out)
	}
	if len(results[0].Left) != 2 {
		t.Errorf("%+v", results[0].Left)
	}
	lock, _ := r.Lock.Text()
	if said := fmt.Sprint(results[0].Left) + string(lock); strings.Contains(said, "hunter2") {
		t.Error("a password is told: " + said)
	}
	// The next reader finds the commit though its URL has other credentials.
	l, err := ParseLock("lock", lock)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.code("https://other:word@example.com/r.git", "main"); !ok {
		t.Error("the lock does not know the repository")
	}
}

func TestCancelled(t *testing.T) {
	_, r := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Pin(ctx, manyFiles(1, 1, 1)); schema.KindOf(err) != schema.Interrupted {
		t.Error(err)
	}
}

func FuzzParseLock(f *testing.F) {
	_, r := newWorld()
	if _, err := r.Pin(context.Background(), manyFiles(1, 2, 2)); err != nil {
		f.Fatal(err)
	}
	text, _ := r.Lock.Text()
	f.Add(text)
	f.Add([]byte(`{"schema":"runpin.dev/lock/v1","images":[{"reference":"x","registry":"evil","digest":"sha256:0"}],"code":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLock("f", data)
		if err != nil {
			if schema.KindOf(err) != schema.Invalid {
				t.Fatal(err)
			}
			return
		}
		once, err := l.Text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseLock("f", once)
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		if twice, _ := again.Text(); !bytes.Equal(once, twice) {
			t.Fatalf("%s\n%s", once, twice)
		}
	})
}
