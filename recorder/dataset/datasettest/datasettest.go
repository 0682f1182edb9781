// Package datasettest answers: does a data set backend keep the law? Every backend's test calls [Run] with a [Kit] that makes data sets of
// its kind. It may import schema, recorder and recorder/dataset. Start with Run.
package datasettest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// Kit makes data sets of a backend's kind, in real storage or a service in process.
type Kit struct {
	// New makes a backend as a fresh process would.
	New func(t testing.TB, opts dataset.Options) dataset.Backend
	// Make stores a data set of files (by slash-separated path) and gives its URI.
	Make func(t testing.TB, files map[string]string) string
	// Put changes or adds one file.
	Put func(t testing.TB, uri, path, content string)
	// Delete removes one file.
	Delete func(t testing.TB, uri, path string)
	// Destroy removes the data set.
	Destroy func(t testing.TB, uri string)
	// PutUnnoticed changes one file to other content of the same size, with every time that can be set as it was. Nil where there is no such thing.
	PutUnnoticed func(t testing.TB, uri, path, content string)
	// WithSecret gives the URI of a data set that does not exist or is denied, which holds secret as a credential. Nil where a URI cannot.
	WithSecret func(t testing.TB, secret string) string
}

// Secret is what must never come out again.
const Secret = "hunter2-s3cr3t-Tok3n"

var files = map[string]string{"train/a.bin": "first", "train/b.bin": "second", "labels.csv": "x,y\n1,2\n", "empty": ""}

// Run holds a backend to the law: the same content has the same version and other content another; what is missing is Unpinnable; cancelling is
// respected; no credential is in a pin or an error; a check tells available, changed and gone apart; what is put in place is proved.
func Run(t *testing.T, kit Kit) {
	for name, test := range map[string]func(*testing.T, Kit){
		"Pin": testPin, "SameContentSameVersion": testSame, "OtherContentOtherVersion": testOther, "Unnoticed": testUnnoticed, "Missing": testMissing,
		"Cancelled": testCancelled, "NoSecrets": testSecrets, "Check": testCheck, "CheckElsewhere": testElsewhere, "Recheck": testRecheck,
		"Place": testPlace, "PlaceRefuses": testPlaceRefuses, "Concurrent": testConcurrent, "Manifest": testManifest,
	} {
		t.Run(name, func(t *testing.T) { test(t, kit) })
	}
}

func resolver(t testing.TB, kit Kit) *dataset.Resolver {
	return dataset.New([]dataset.Backend{kit.New(t, dataset.Options{CacheDir: t.TempDir(), Host: "here"})})
}

func resolve(t testing.TB, r *dataset.Resolver, uri string, sink schema.BlobSink) schema.DatasetPin {
	t.Helper()
	pin, err := r.ResolveDataset(context.Background(), recorder.DatasetRequest{Name: "d", URI: uri, WorkDir: t.TempDir(), Sink: sink})
	if err != nil {
		t.Fatalf("resolving %s: %v", uri, err)
	}
	return pin
}

// version is what two pins of the same data share, wherever it is: content where it is known, else the backend's own id.
func version(pin schema.DatasetPin) string {
	if pin.ContentDigest != "" {
		return pin.DigestKind + " " + string(pin.ContentDigest) + " " + string(pin.SidecarDigest)
	}
	return pin.Scheme + " " + pin.VersionKind + " " + pin.VersionID
}

func testPin(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	b := kit.New(t, dataset.Options{})
	pin := resolve(t, resolver(t, kit), uri, nil)
	switch {
	case pin.Name != "d" || pin.Role != schema.RoleData || string(pin.URI) != uri || pin.Scheme != b.Scheme():
		t.Errorf("names: %+v", pin)
	case pin.VersionKind == "" || pin.VersionID == "" || pin.Strength == "" || pin.Use == "" || pin.Origin.Kind == "" || pin.Origin.At.IsZero():
		t.Errorf("something is not said: %+v", pin)
	case pin.Strength == schema.StrengthContent && (!pin.ContentDigest.Valid() || pin.DigestKind == ""):
		t.Errorf("content strength without a content digest: %+v", pin)
	}
	if _, err := schema.Canonical(pin); err != nil {
		t.Errorf("the pin cannot be written: %v", err)
	}
}

func testSame(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	first := resolve(t, resolver(t, kit), uri, nil)
	if again := resolve(t, resolver(t, kit), uri, nil); version(again) != version(first) || again.VersionID != first.VersionID {
		t.Errorf("%s, then %s", version(first), version(again))
	}
	if first.ContentDigest == "" {
		return
	}
	if other := resolve(t, resolver(t, kit), kit.Make(t, files), nil); version(other) != version(first) {
		t.Errorf("the same files elsewhere: %s, want %s", version(other), version(first))
	}
}

func testOther(t *testing.T, kit Kit) {
	seen := map[string]string{}
	note := func(what, v string) {
		if other, twice := seen[v]; twice {
			t.Errorf("%q and %q have the same version", what, other)
		}
		seen[v] = what
	}
	r, uri := resolver(t, kit), kit.Make(t, files)
	note("as made", version(resolve(t, r, uri, nil)))
	kit.Put(t, uri, "train/a.bin", "First")
	note("a file changed", version(resolve(t, r, uri, nil)))
	kit.Put(t, uri, "train/c.bin", "")
	note("a file added", version(resolve(t, r, uri, nil)))
	kit.Delete(t, uri, "train/b.bin")
	note("a file removed", version(resolve(t, r, uri, nil)))
}

func testUnnoticed(t *testing.T, kit Kit) {
	if kit.PutUnnoticed == nil {
		t.Skip("this kind of data set cannot be changed unnoticed")
	}
	for _, wait := range []time.Duration{0, 2500 * time.Millisecond} { // at once, and when caches have come to trust it
		r, uri := resolver(t, kit), kit.Make(t, files)
		first := resolve(t, r, uri, nil)
		time.Sleep(wait)
		resolve(t, r, uri, nil)
		kit.PutUnnoticed(t, uri, "train/a.bin", "tsrif")
		if again := resolve(t, r, uri, nil); version(again) == version(first) {
			t.Errorf("after %s: a change of the same size and times did not show", wait)
		}
	}
}

func testMissing(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	kit.Destroy(t, uri)
	_, err := resolver(t, kit).ResolveDataset(context.Background(), recorder.DatasetRequest{Name: "d", URI: uri, WorkDir: t.TempDir()})
	if !schema.IsKind(err, schema.Unpinnable) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v (%s), want an error of kind unpinnable that is fs.ErrNotExist", err, schema.KindOf(err))
	}
}

func testCancelled(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	r := resolver(t, kit)
	pin := resolve(t, r, uri, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.ResolveDataset(ctx, recorder.DatasetRequest{Name: "d", URI: uri, WorkDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("resolve: %v", err)
	}
	if a := r.CheckDataset(ctx, pin, "", true); a.State == schema.StateGone || a.State == schema.StateChanged {
		t.Errorf("check: %+v", a)
	}
	if d := r.RecheckDataset(ctx, pin); d != nil {
		t.Errorf("recheck: %+v", d)
	}
	dest := filepath.Join(t.TempDir(), "data")
	if err := r.PlaceDataset(ctx, pin, "", dest, true, nil); err == nil {
		t.Error("placed")
	}
	absent(t, dest)
}

func testSecrets(t *testing.T, kit Kit) {
	if kit.WithSecret == nil {
		t.Skip("URIs of this kind hold no credentials")
	}
	pin, err := resolver(t, kit).ResolveDataset(context.Background(), recorder.DatasetRequest{Name: "d", URI: kit.WithSecret(t, Secret), WorkDir: t.TempDir()})
	text, jsonErr := json.Marshal(pin)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	all := string(text)
	if err != nil {
		all += err.Error() + schema.HintOf(err)
	}
	if strings.Contains(all, Secret) {
		t.Errorf("the secret came out: %s", all)
	}
}

func testCheck(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	r := resolver(t, kit)
	pin := resolve(t, r, uri, nil)
	expect := func(when string, want schema.State) {
		t.Helper()
		for _, deep := range []bool{false, true} {
			for _, r := range []*dataset.Resolver{r, resolver(t, kit)} {
				a := r.CheckDataset(context.Background(), pin, "", deep)
				if a.State != want || a.Pin != "dataset:d" || a.Ref != pin.URI {
					t.Errorf("%s (deep %v): %+v, want %s", when, deep, a, want)
				}
				if (want == schema.StateAvailable) != (a.Reason == "") || want == schema.StateAvailable && a.How == "" || want == schema.StateChanged && a.Found == "" {
					t.Errorf("%s (deep %v): something is not said: %+v", when, deep, a)
				}
			}
		}
	}
	expect("as recorded", schema.StateAvailable)
	kit.Put(t, uri, "train/a.bin", "other")
	expect("changed", schema.StateChanged)
	kit.Put(t, uri, "train/a.bin", files["train/a.bin"])
	if pin.ContentDigest != "" {
		expect("changed back", schema.StateAvailable)
	}
	kit.Destroy(t, uri)
	expect("destroyed", schema.StateGone)
}

func testElsewhere(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	r := resolver(t, kit)
	pin := resolve(t, r, uri, nil)
	kit.Destroy(t, uri)
	other := kit.Make(t, files)
	if a := r.CheckDataset(context.Background(), pin, other, false); pin.ContentDigest != "" && a.State != schema.StateAvailable {
		t.Errorf("a copy elsewhere: %+v", a)
	}
	kit.Delete(t, other, "empty")
	if a := r.CheckDataset(context.Background(), pin, other, false); a.State != schema.StateChanged {
		t.Errorf("another data set: %+v", a)
	}
	if a := r.CheckDataset(context.Background(), pin, "nosuchscheme://x", false); a.State != schema.StateUnknown {
		t.Errorf("an unknown kind of place: %+v", a)
	}
	unknown := pin
	unknown.Scheme = "nosuchscheme"
	if a := r.CheckDataset(context.Background(), unknown, "", false); a.State != schema.StateUnknown {
		t.Errorf("a pin of an unknown kind: %+v", a)
	}
}

func testRecheck(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	r := resolver(t, kit)
	pin := resolve(t, r, uri, nil)
	if d := r.RecheckDataset(context.Background(), pin); d != nil {
		t.Errorf("unchanged: %+v", d)
	}
	kit.Put(t, uri, "train/a.bin", "other")
	d := r.RecheckDataset(context.Background(), pin)
	if d == nil || d.Pin != "dataset:d" || d.Expected == "" || d.Found == "" || d.Found == d.Expected || d.Text == "" {
		t.Errorf("changed: %+v", d)
	}
	kit.Destroy(t, uri)
	if d := r.RecheckDataset(context.Background(), pin); d == nil || d.Found != "" || d.Text == "" {
		t.Errorf("destroyed: %+v", d)
	}
}

func testConcurrent(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	r := resolver(t, kit)
	want := version(resolve(t, r, uri, nil))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			pin, err := r.ResolveDataset(context.Background(), recorder.DatasetRequest{Name: "d", URI: uri})
			if err != nil || version(pin) != want {
				t.Errorf("%s, %v; want %s", version(pin), err, want)
			}
		})
	}
	group.Wait()
}

func testManifest(t *testing.T, kit Kit) {
	s := &sink{blobs: map[schema.Digest][]byte{}}
	pin := resolve(t, resolver(t, kit), kit.Make(t, files), s)
	if pin.Manifest == nil {
		if pin.ContentDigest != "" {
			t.Error("a content digest without a manifest")
		}
		return
	}
	if pin.Manifest.Digest != pin.ContentDigest || pin.Manifest.Kind != schema.BlobManifest || pin.Files != int64(len(files)) {
		t.Errorf("manifest %+v of %+v", pin.Manifest, pin)
	}
	got := map[string]schema.Digest{}
	for line, err := range dataset.ReadManifest(strings.NewReader(string(s.blobs[pin.Manifest.Digest])), pin.DigestKind) {
		if err != nil {
			t.Fatal(err)
		}
		got[line.Path] = schema.SHA256Sum(line.Sum)
	}
	for name, content := range files {
		if got[name] != schema.SHA256([]byte(content)) {
			t.Errorf("%s has %s in the manifest", name, got[name])
		}
	}
	if len(got) != len(files) {
		t.Errorf("the manifest lists %q", slices.Sorted(maps.Keys(got)))
	}
}

type sink struct {
	mu    sync.Mutex
	blobs map[schema.Digest][]byte
}

// PutBlob keeps the bytes in memory.
func (s *sink) PutBlob(_ context.Context, kind schema.BlobKind, r io.Reader) (schema.BlobRef, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return schema.BlobRef{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ref := schema.BlobRef{Kind: kind, Digest: schema.SHA256(b), Bytes: int64(len(b))}
	s.blobs[ref.Digest] = b
	return ref, nil
}

// realTemp is a temporary folder that is not reached through a link.
func realTemp(t testing.TB) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func absent(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was left at %s (%v)", path, err)
	}
}
