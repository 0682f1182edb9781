package code

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

// withSubmodules makes a checkout with libs/inner, which holds deep/er, both pushed.
func withSubmodules(t *testing.T) *codetest.Repo {
	repo := codetest.New(t)
	deep := codetest.Another(t)
	deep.Write("deep.py", "deep\n").Commit("deep")
	deepURL := "file://" + deep.Remote()
	inner := codetest.Another(t)
	inner.Write("inner.py", "inner\n").Commit("inner")
	inner.Git("submodule", "--quiet", "add", deepURL, "deep/er")
	inner.Commit("with deep")
	innerURL := "file://" + inner.Remote()
	repo.Write("top.py", "top\n").Commit("top")
	repo.Git("submodule", "--quiet", "add", innerURL, "libs/inner")
	repo.Git("submodule", "--quiet", "update", "--init", "--recursive")
	repo.Commit("with inner")
	repo.Remote()
	return repo
}

func TestSubmodules(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*codetest.Repo)
		dirty bool
	}{
		"clean":        {func(*codetest.Repo) {}, false},
		"inner edited": {func(r *codetest.Repo) { r.Write("libs/inner/inner.py", "edited\n").Write("libs/inner/new.py", "n\n") }, true},
		"deep edited":  {func(r *codetest.Repo) { r.Write("libs/inner/deep/er/deep.py", "edited\n") }, true},
		"inner commits": {func(r *codetest.Repo) {
			(&codetest.Repo{T: r.T, Dir: r.Path("libs/inner")}).Write("inner.py", "2\n").Commit("unpushed")
		}, true},
		"removed": {func(r *codetest.Repo) { r.Git("rm", "--quiet", "--force", "libs/inner") }, true},
		"all at once": {func(r *codetest.Repo) {
			(&codetest.Repo{T: r.T, Dir: r.Path("libs/inner")}).Write("inner.py", "2\n").Commit("unpushed")
			r.Write("libs/inner/deep/er/deep.py", "edited\n").Write("top.py", "edited\n").Remove("libs/inner/inner.py")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			repo := withSubmodules(t)
			c.edit(repo)
			var first schema.CodePin
			for _, noGit := range []bool{false, true} {
				pin, blobs, _ := roundTrip(t, resolver(noGit), repo)
				if pin.Dirty != c.dirty || pin.Dirty != (pin.Changes != nil) {
					t.Errorf("dirty %v", pin.Dirty)
				}
				if name != "removed" && len(pin.Submodules) != 2 {
					t.Errorf("submodules %+v", pin.Submodules)
				}
				if name != "inner commits" && name != "all at once" && pin.Tree != pin.CommitTree && name != "removed" {
					t.Errorf("tree %s, commit's %s", pin.Tree, pin.CommitTree)
				}
				if a := resolver(false).CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable {
					t.Errorf("%+v", a)
				}
				elsewhere := pin
				elsewhere.Root = nil
				dir := restore(t, resolver(false), elsewhere, blobs)
				if diff := cmp.Diff(codetest.Files(t, repo.Dir), codetest.Files(t, dir)); diff != "" {
					t.Errorf("without the clone: %s", diff)
				}
				pin.Judge, pin.Origin.By = "", ""
				for i := range pin.Submodules {
					pin.Submodules[i].Bundle = nil // packs need not be equal
				}
				if !noGit {
					first = pin
				} else if diff := cmp.Diff(first, pin, cmp.Comparer(func(a, b schema.Time) bool { return a == b })); diff != "" {
					t.Errorf("the judges differ:\n%s", diff)
				}
			}
		})
	}
}

func TestUninitialisedSubmodule(t *testing.T) {
	repo := withSubmodules(t)
	clone := &codetest.Repo{T: t, Dir: filepath.Join(t.TempDir(), "clone")}
	codetest.Git(t, repo.Dir, "clone", "--quiet", repo.Git("config", "remote.origin.url"), clone.Dir)
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, _, _ := roundTrip(t, r, clone)
		if pin.Dirty || !hasReason(pin, "submodule-uninitialised") || len(pin.Submodules) != 0 {
			t.Errorf("%+v", pin)
		}
	})
	clone.Write("libs/inner/stray.py", "s\n")
	eachJudge(t, func(t *testing.T, r *Resolver) {
		if err := refused(t, r, clone); !strings.Contains(err.Error(), "libs/inner") {
			t.Errorf("%v", err)
		}
	})
}

func TestLFS(t *testing.T) {
	codetest.RequirePart(t, "git-lfs")
	repo := codetest.New(t)
	repo.Git("lfs", "install", "--skip-repo")
	repo.Git("lfs", "track", "*.bin")
	big := strings.Repeat("weights ", 1000)
	repo.Write("model.bin", big).Write("data/other.bin", big+"2").Write("a.py", "a\n").Commit("first")
	bare := repo.Remote()
	r := resolver(false)

	pin, blobs, _ := roundTrip(t, r, repo)
	want := []schema.LFSObject{{Path: "data/other.bin", OID: schema.SHA256([]byte(big + "2")), Bytes: int64(len(big) + 1)}, {Path: "model.bin", OID: schema.SHA256([]byte(big)), Bytes: int64(len(big))}}
	if diff := cmp.Diff(want, pin.LFS); diff != "" || pin.Dirty {
		t.Errorf("dirty %v: %s", pin.Dirty, diff)
	}
	if err := refused(t, resolver(true), repo); schema.KindOf(err) != schema.Unpinnable {
		t.Error("go-git judged a checkout with LFS files")
	}

	// Edited bytes are kept; the tree holds the pointer that git-lfs would make of them.
	repo.Write("model.bin", big+"edited")
	dirty, dirtyBlobs, _ := roundTrip(t, r, repo)
	if string(dirty.Tree) != gitTree(t, repo) || len(changesOf(t, dirty.Changes, dirtyBlobs)) != 1 || dirty.LFS[1].Bytes != int64(len(big)+6) {
		t.Errorf("%+v", dirty)
	}
	repo.Git("checkout", "--quiet", "model.bin")

	// Without the clone the remote's objects do, and without those the pin is gone.
	elsewhere := pin
	elsewhere.Root = nil
	dir := restore(t, r, elsewhere, blobs)
	if diff := cmp.Diff(codetest.Files(t, repo.Dir), codetest.Files(t, dir)); diff != "" {
		t.Error(diff)
	}
	if a := r.CheckCode(t.Context(), elsewhere, blobs); a.State != schema.StateAvailable {
		t.Errorf("%+v", a)
	}
	if err := os.RemoveAll(filepath.Join(bare, "lfs")); err != nil {
		t.Fatal(err)
	}
	if a := r.CheckCode(t.Context(), elsewhere, blobs); a.State != schema.StateGone || !strings.Contains(a.Reason, "data/other.bin") {
		t.Errorf("%+v", a)
	}
	target := filepath.Join(t.TempDir(), "out")
	if err := r.RestoreCode(t.Context(), elsewhere, blobs, target); err == nil {
		t.Error("restored without its LFS objects")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("something was left behind")
	}

	// A clone that never fetched the content holds pointers, and so does its restore.
	t.Setenv("GIT_LFS_SKIP_SMUDGE", "1")
	clone := &codetest.Repo{T: t, Dir: filepath.Join(t.TempDir(), "clone")}
	codetest.Git(t, repo.Dir, "clone", "--quiet", "file://"+bare, clone.Dir)
	pointers, _, _ := roundTrip(t, r, clone)
	for i := range want {
		want[i].PointerOnly = true
	}
	if diff := cmp.Diff(want, pointers.LFS); diff != "" || !hasReason(pointers, "lfs-pointer") {
		t.Errorf("%+v: %s", pointers, diff)
	}
}
