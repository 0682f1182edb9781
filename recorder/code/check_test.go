package code

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// tampered gives the pin with another object id for its first changed file: the record is whole, and yet commit and changes do not make its tree.
func tampered(t *testing.T, pin schema.CodePin, blobs *codetest.Blobs) schema.CodePin {
	t.Helper()
	var list schema.Changes
	if err := json.Unmarshal(blobs.Get(pin.Changes.Digest), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Files, func(c schema.Change) bool { return !c.Deleted })
	list.Files[i].Object = schema.ObjectID(strings.Repeat("1", 40))
	b, err := schema.Canonical(list)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := blobs.PutBlob(t.Context(), schema.BlobChanges, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	pin.Changes = &ref
	return pin
}

// TestCheckProvesTheTree: where the commit's trees are at hand, a record that contradicts itself is found out before anything is restored.
func TestCheckProvesTheTree(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("dir/a", "1").Write("b", "1").Commit("first")
	repo.Remote()
	repo.Write("dir/a", "changed").Write("new", "n").Remove("b")
	pin, blobs := capture(t, resolver(false), repo)
	bad := tampered(t, pin, blobs)
	other := pin
	other.CommitTree = pin.Tree
	state := func(how string, pin schema.CodePin, want schema.State) {
		t.Helper()
		a := resolver(false).CheckCode(t.Context(), pin, blobs)
		if a.State != want || a.How != how {
			t.Errorf("%s: %+v, want %s", how, a, want)
		}
		if want == schema.StateChanged && (a.Reason == "" || a.Remedy == "") {
			t.Errorf("%+v", a)
		}
	}
	state("object-present", pin, schema.StateAvailable)
	state("object-present", bad, schema.StateChanged)
	state("object-present", other, schema.StateChanged)

	elsewhere := func(p schema.CodePin) schema.CodePin { p.Root = nil; return p }
	state("ls-remote", elsewhere(pin), schema.StateAvailable)
	state("ls-remote", elsewhere(bad), schema.StateAvailable) // the remote says that it has the commit, and no more
	repo.Git("stash", "--quiet", "--include-untracked")
	repo.Write("c", "later").Commit("later")
	repo.Git("push", "--quiet")
	state("fetched", elsewhere(pin), schema.StateAvailable)
	state("fetched", elsewhere(bad), schema.StateChanged)
	state("fetched", elsewhere(other), schema.StateChanged)

	alone := codetest.Another(t)
	alone.Write("dir/a", "1").Commit("first")
	alone.Write("dir/a", "2").Write("dir/b", "2")
	pin, blobs = capture(t, resolver(false), alone)
	state("bundle", elsewhere(pin), schema.StateAvailable)
	state("bundle", elsewhere(tampered(t, pin, blobs)), schema.StateChanged)
	whole := blobs.Get(pin.Bundle.Digest)
	cut, err := blobs.PutBlob(t.Context(), schema.BlobBundle, bytes.NewReader(whole[:len(whole)-30]))
	if err != nil {
		t.Fatal(err)
	}
	broken := elsewhere(pin)
	broken.Bundle = &cut
	if a := resolver(false).CheckCode(t.Context(), broken, blobs); a.State != schema.StateGone || !strings.Contains(a.Reason, "bundle") {
		t.Errorf("%+v", a)
	}
	unborn := codetest.Another(t)
	unborn.Write("x", "1")
	pin, blobs = capture(t, resolver(false), unborn)
	state("blobs", pin, schema.StateAvailable)
	state("blobs", tampered(t, pin, blobs), schema.StateChanged)
}

// damaged is a store with one blob whose bytes are others, or that cannot be reached.
type damaged struct {
	*codetest.Blobs
	digest schema.Digest
	err    error
}

func (d damaged) OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	if ref.Digest != d.digest {
		return d.Blobs.OpenBlob(ctx, ref)
	}
	if d.err != nil {
		return nil, d.err
	}
	return io.NopCloser(strings.NewReader(strings.Repeat("x", int(ref.Bytes)))), nil
}

func TestCheckReadsTheChanges(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "1").Commit("first")
	repo.Write("a", "changed")
	pin, blobs := capture(t, resolver(false), repo)
	file := schema.SHA256([]byte("changed"))
	for name, c := range map[string]struct {
		err  error
		want schema.State
	}{
		"other bytes": {nil, schema.StateGone},
		"missing":     {&schema.Error{Kind: schema.Gone, Err: errors.New("no such blob")}, schema.StateGone},
		"damaged":     {&schema.Error{Kind: schema.Internal, Err: errors.New("its bytes are not those that were stored")}, schema.StateGone},
		"away":        {&schema.Error{Kind: schema.Unavailable, Err: errors.New("locked")}, schema.StateUnknown},
	} {
		for what, d := range map[string]schema.Digest{"the file": file, "the list": pin.Changes.Digest} {
			a := resolver(false).CheckCode(t.Context(), pin, damaged{blobs, d, c.err})
			if a.State != c.want || a.Reason == "" {
				t.Errorf("%s of %s: %+v", name, what, a)
			}
		}
	}
	// Several things that are lost are told at once, what is certain first.
	repo.Write("b", "new").Write("c", "new too").Write("d", "d").Write("e", "e")
	pin, blobs = capture(t, resolver(false), repo)
	pin.Root, pin.Bundle, pin.Remote = nil, nil, "http://127.0.0.1:1/x.git"
	for _, content := range []string{"new", "new too", "d", "e"} {
		blobs.Delete(schema.SHA256([]byte(content)))
	}
	a := resolver(false).CheckCode(t.Context(), pin, blobs)
	if a.State != schema.StateGone || !strings.HasPrefix(a.Reason, `"b": `) || !strings.Contains(a.Reason, `"c": `) || !strings.Contains(a.Reason, "and 2 more") || !strings.Contains(a.Remedy, "store check") {
		t.Errorf("%+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := resolver(false).CheckCode(ctx, pin, blobs); a.State != schema.StateUnknown {
		t.Errorf("interrupted: %+v", a)
	}
}

// TestRememberAsksOnce: many pins of a few commits ask a remote about each commit once; what was interrupted is not remembered.
func TestRememberAsksOnce(t *testing.T) {
	var m memo[int]
	var asked atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := m.get(t.Context(), true, "k", func() int { return int(asked.Add(1)) }); got != 1 {
				t.Errorf("got %d", got)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	m.get(ctx, true, "other", func() int { cancel(); return 7 })
	if got := m.get(t.Context(), true, "other", func() int { return 8 }); got != 8 {
		t.Errorf("an interrupted answer is remembered: %d", got)
	}
	if got := m.get(ctx, true, "k", func() int { return 9 }); got != 0 {
		t.Errorf("got %d after the end", got)
	}
	m.get(t.Context(), false, "fleeting", func() int { return 1 })
	if got := m.get(t.Context(), false, "fleeting", func() int { return 2 }); got != 2 {
		t.Errorf("remembered %d without being told to", got)
	}
}

func TestHostOf(t *testing.T) {
	for remote, want := range map[string]string{"https://Git.example.com:8443/a/b": "git.example.com:8443", "git@host.example:a/b.git": "host.example", "host:a": "host", "/srv/a:b": "",
		"file:///srv/a": "", "./a": "", "ssh://git@h/x": "h", "": ""} {
		if got := hostOf(remote); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

// TestTreeCache: nothing is believed that does not have its id, and memory is bounded.
func TestTreeCache(t *testing.T) {
	var c treeCache
	big := bytes.Repeat([]byte("x"), maxTrees/5)
	for i := range 10 {
		c.put(schema.ObjectID(fmt.Sprint(i)), treeObject{"tree", big})
	}
	if c.bytes > maxTrees || len(c.objects) == 0 {
		t.Errorf("%d bytes, %d objects", c.bytes, len(c.objects))
	}
	c.put("blob", treeObject{"blob", nil})
	if _, ok := c.get("blob"); ok {
		t.Error("a file is kept")
	}
	_, _, err := (&treeReader{cache: &c}).ReadObject("absent")
	if !errors.Is(err, git.ErrMissing) {
		t.Error(err)
	}
}
