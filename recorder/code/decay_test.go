package code

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

func TestOnRemoteAndBundle(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "1").Commit("first")
	eachJudge(t, func(t *testing.T, r *Resolver) { // no remote at all: everything is kept
		pin, blobs := capture(t, r, repo)
		if pin.OnRemote.State != "no" || pin.Bundle == nil || pin.Remote != "" {
			t.Fatalf("%+v", pin)
		}
		pin.Root = nil
		if a := resolver(false).CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable || a.How != "bundle" {
			t.Errorf("%+v", a)
		}
		restore(t, resolver(false), pin, blobs)
		// Anybody's git reads the bundle.
		file := filepath.Join(t.TempDir(), "b.bundle")
		os.WriteFile(file, blobs.Get(pin.Bundle.Digest), 0o644)
		codetest.Git(t, t.TempDir(), "clone", "--quiet", file, "x")
	})
	bare := repo.Remote()
	repo.Write("a", "2").Commit("second")
	repo.Git("push", "--quiet")
	repo.Git("reset", "--quiet", "--hard", "HEAD~1")
	eachJudge(t, func(t *testing.T, r *Resolver) { // behind the remote's branch
		pin, _ := capture(t, r, repo)
		if pin.OnRemote.State != "yes" || pin.OnRemote.Ref != "refs/remotes/origin/main" || pin.Bundle != nil {
			t.Errorf("%+v", pin.OnRemote)
		}
	})
	repo.Git("merge", "--quiet", "--ff-only", "@{upstream}")
	repo.Write("a", "3").Commit("unpushed")
	repo.Write("b", "4").Commit("unpushed too")
	eachJudge(t, func(t *testing.T, r *Resolver) { // ahead of it
		pin, blobs := capture(t, r, repo)
		if pin.OnRemote.State != "no" || pin.Bundle == nil {
			t.Fatalf("%+v", pin)
		}
		pin.Root = nil
		if a := resolver(false).CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable || a.How != "bundle" {
			t.Errorf("%+v", a)
		}
		dir := restore(t, resolver(false), pin, blobs)
		if diff := cmp.Diff(codetest.Files(t, repo.Dir), codetest.Files(t, dir)); diff != "" {
			t.Error(diff)
		}
	})
	// A stale remote-tracking ref says yes; the remote itself says no.
	repo.Git("push", "--quiet")
	codetest.Rewrite(t, bare, "main")
	ask := func(r *Resolver) schema.CodePin {
		pin, err := r.ResolveCode(t.Context(), recorder.CodeRequest{Ref: ".", WorkDir: repo.Dir, Sink: &codetest.Blobs{}, AskRemote: true})
		if err != nil {
			t.Fatal(err)
		}
		return pin
	}
	if pin := ask(resolver(false)); pin.OnRemote.State != "no" || pin.OnRemote.Basis != "ls-remote" || pin.Bundle == nil {
		t.Errorf("%+v", pin.OnRemote)
	}
	repo.Git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/elsewhere")
	if pin := ask(resolver(false)); pin.OnRemote.State != "yes" || pin.OnRemote.Ref != "refs/heads/elsewhere" {
		t.Errorf("%+v", pin.OnRemote)
	}
	repo.Git("update-ref", "-d", "refs/remotes/origin/elsewhere")
	other := codetest.Another(t)
	other.Git("fetch", "--quiet", "file://"+bare, "elsewhere")
	other.Git("checkout", "--quiet", "-B", "main", "FETCH_HEAD")
	other.Write("x", "x").Commit("on top")
	other.Git("push", "--quiet", "file://"+bare, "HEAD:refs/heads/elsewhere")
	if pin := ask(resolver(false)); pin.OnRemote.State != "yes" || pin.OnRemote.Basis != "ls-remote" {
		t.Errorf("below a tip that we do not have: %+v", pin.OnRemote)
	}
	if err := os.RemoveAll(bare); err != nil {
		t.Fatal(err)
	}
	if pin := ask(resolver(false)); pin.OnRemote.State != "unknown" || !hasReason(pin, "remote-unasked") {
		t.Errorf("%+v", pin.OnRemote)
	}
}

func TestBundleCap(t *testing.T) {
	repo := codetest.New(t)
	noise := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(noise)
	repo.Write("noise", string(noise)).Commit("large")
	repo.Remove("noise").Write("a", "a").Commit("small")
	for _, noGit := range []bool{false, true} {
		pin, blobs := capture(t, New(Options{MaxBundle: 100 << 10, NoGit: noGit}), repo)
		if pin.Bundle == nil || !hasReason(pin, "bundle-snapshot") {
			t.Fatalf("%+v", pin)
		}
		pin.Root = nil
		if diff := cmp.Diff(codetest.Files(t, repo.Dir), codetest.Files(t, restore(t, resolver(false), pin, blobs))); diff != "" {
			t.Error(diff)
		}
	}
	repo.Write("noise", string(noise)).Commit("large again")
	if err := refused(t, New(Options{MaxBundle: 100 << 10}), repo); schema.KindOf(err) != schema.Unpinnable || !strings.Contains(schema.HintOf(err), "git push") {
		t.Errorf("%v", err)
	}
}

// TestDecay: the remote is rewritten and collected. What check says beforehand is what restore then does.
func TestDecay(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "1").Commit("first")
	bare := repo.Remote()
	pin, blobs := capture(t, resolver(false), repo)
	clean := codetest.Files(t, repo.Dir)
	codetest.Rewrite(t, bare, "main")
	repo.Write("a", "later").Commit("later")
	r := resolver(false)
	if a := r.CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable || a.How != "object-present" {
		t.Errorf("%+v", a)
	}
	if diff := cmp.Diff(clean, codetest.Files(t, restore(t, r, pin, blobs))); diff != "" {
		t.Error(diff)
	}
	// The clone loses it too.
	if err := os.RemoveAll(repo.Dir); err != nil {
		t.Fatal(err)
	}
	a := r.CheckCode(t.Context(), pin, blobs)
	if a.State != schema.StateGone || a.Reason == "" || a.Remedy == "" {
		t.Errorf("%+v", a)
	}
	dir := filepath.Join(t.TempDir(), "x")
	if err := r.RestoreCode(t.Context(), pin, blobs, dir); schema.KindOf(err) != schema.Gone {
		t.Errorf("%v (%s)", err, schema.KindOf(err))
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRemoteSources(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "1").Commit("first")
	bare := repo.Remote()
	pin, blobs := capture(t, resolver(false), repo)
	pin.Root = nil
	r := resolver(false)
	if a := r.CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable || a.How != "ls-remote" {
		t.Errorf("%+v", a)
	}
	repo.Write("a", "2").Commit("second")
	repo.Git("push", "--quiet")
	if a := r.CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable || a.How != "fetched" {
		t.Errorf("%+v", a)
	}
	restore(t, r, pin, blobs)
	// A remote that is not there is gone where that is certain, unknown where nobody answers.
	pin.Remote, pin.Remotes = "http://127.0.0.1:1/x.git", nil
	if a := r.CheckCode(t.Context(), pin, blobs); a.State != schema.StateUnknown {
		t.Errorf("%+v", a)
	}
	pin.Remote = "ext::sh -c touch% " + filepath.Join(bare, "pwned")
	if a := r.CheckCode(t.Context(), pin, blobs); a.State != schema.StateGone {
		t.Errorf("%+v", a)
	}
	pin.Remote = "--upload-pack=touch " + filepath.Join(bare, "pwned")
	if err := r.RestoreCode(t.Context(), pin, blobs, filepath.Join(t.TempDir(), "x")); err == nil {
		t.Error("restored from an option")
	}
	if _, err := os.Stat(filepath.Join(bare, "pwned")); err == nil {
		t.Error("a URL of the record ran a program")
	}
}

func TestGitURL(t *testing.T) {
	repo := codetest.New(t)
	first := repo.Write("sub/a", "1").Commit("first")
	repo.Git("tag", "-a", "-m", "x", "v1")
	repo.Git("branch", "feature/x")
	bare := repo.Remote()
	repo.Git("push", "--quiet", "--tags", "origin", "feature/x")
	second := repo.Write("sub/a", "2").Commit("second")
	repo.Git("push", "--quiet")
	for rev, want := range map[string]string{"v1": first, "main": second, "feature/x": first, "refs/tags/v1": first, first: first, "": second} {
		ref := "git+file://" + bare
		if rev != "" {
			ref += "@" + rev
		}
		pin, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Name: "code", Ref: ref + "#sub", WorkDir: t.TempDir()})
		if err != nil {
			t.Errorf("%s: %v", rev, err)
			continue
		}
		if string(pin.Commit) != want || pin.Tree == "" || pin.Tree != pin.CommitTree || pin.Use != schema.Claimed || pin.Remote != "file://"+bare {
			t.Errorf("%s: %+v", rev, pin)
		}
		if a := resolver(false).CheckCode(t.Context(), pin, nil); a.State != schema.StateAvailable {
			t.Errorf("%s: %+v", rev, a)
		}
		restore(t, resolver(false), pin, &codetest.Blobs{})
	}
	repo.Git("push", "--quiet", "origin", second+":refs/tags/both", first+":refs/heads/both")
	for ref, kind := range map[string]schema.Kind{"@missing": schema.Unpinnable, "@" + first[:10]: schema.Unpinnable, "@both": schema.Unpinnable, "@a..b": schema.Invalid, "@main#../x": schema.Invalid, "@main#nodir": schema.Unpinnable,
		"@" + strings.Repeat("0", 39) + "1": schema.Unpinnable} {
		_, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Ref: "git+file://" + bare + ref})
		if schema.KindOf(err) != kind {
			t.Errorf("%s: %v (%s)", ref, err, schema.KindOf(err))
		}
	}
	for _, ref := range []string{"git+ext::sh -c x@main", "git+-oProxyCommand=x@main", "git+ftp://h/x@main", "git+https://h"} {
		if _, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Ref: ref}); schema.KindOf(err) != schema.Invalid {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Ref: "git+file:///nonexistent.git@main"}); schema.KindOf(err) != schema.Unpinnable {
		t.Errorf("%v (%s)", err, schema.KindOf(err))
	}
}

// TestRandomEdits is the property: whatever is done to a checkout, both judges agree, and after the world has changed a restore gives the
// identical tree and the identical files.
func TestRandomEdits(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewSource(int64(seed)))
			repo := codetest.New(t)
			randomEdits(rnd, repo, 25)
			repo.Write("keep", "k").Commit("first")
			bare := repo.Remote()
			if rnd.Intn(2) == 0 {
				randomEdits(rnd, repo, 5)
				repo.Commit("unpushed")
			}
			randomEdits(rnd, repo, rnd.Intn(15))
			if rnd.Intn(2) == 0 {
				repo.Git("add", "--all")
				randomEdits(rnd, repo, rnd.Intn(8))
			}
			want := codetest.Files(t, repo.Dir)
			tree := gitTree(t, repo)
			var pins []schema.CodePin
			var stores []*codetest.Blobs
			for _, noGit := range []bool{false, true} {
				pin, blobs := capture(t, resolver(noGit), repo)
				if string(pin.Tree) != tree {
					t.Errorf("no git %v: tree %s, git says %s", noGit, pin.Tree, tree)
				}
				pins, stores = append(pins, pin), append(stores, blobs)
			}
			codetest.Rewrite(t, bare, "main")
			randomEdits(rnd, repo, 10)
			repo.Write("more", "m").Commit("later")
			for i, pin := range pins {
				dir := restore(t, resolver(false), pin, stores[i])
				if diff := cmp.Diff(want, codetest.Files(t, dir)); diff != "" {
					t.Errorf("restored files differ:\n%s", diff)
				}
				restored := &codetest.Repo{T: t, Dir: dir}
				if got := gitTree(t, restored); got != tree {
					t.Errorf("git says the restored tree is %s, want %s", got, tree)
				}
			}
		})
	}
}

func randomEdits(rnd *rand.Rand, repo *codetest.Repo, n int) {
	names := []string{"a", "b.py", "sp ace", "ü", "dir", "q\"uote", "nl\nx", "\xff\xfe", "-x", "deep"}
	path := func() string {
		p := names[rnd.Intn(len(names))]
		for rnd.Intn(3) == 0 {
			p += "/" + names[rnd.Intn(len(names))]
		}
		return p
	}
	// clear makes room: a parent that is a file or a link goes.
	clear := func(p string) {
		parts := strings.Split(p, "/")
		for i := 1; i < len(parts); i++ {
			at := strings.Join(parts[:i], "/")
			if info, err := os.Lstat(repo.Path(at)); err == nil && !info.IsDir() {
				repo.Remove(at)
			}
		}
		repo.Remove(p)
	}
	for range n {
		p := path()
		switch rnd.Intn(6) {
		case 0, 1, 2:
			b := make([]byte, rnd.Intn(200))
			rnd.Read(b)
			clear(p)
			repo.Write(p, string(b))
			if rnd.Intn(3) == 0 {
				repo.Chmod(p, 0o755)
			}
		case 3:
			clear(p)
		case 4:
			clear(p)
			repo.Link(path(), p)
		case 5:
			if info, err := os.Lstat(repo.Path(p)); err == nil && info.Mode().IsRegular() {
				repo.Chmod(p, []os.FileMode{0o644, 0o755}[rnd.Intn(2)])
			}
		}
	}
}
