package code

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

var testTime = time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)

func resolver(noGit bool) *Resolver {
	return New(Options{Now: func() time.Time { return testTime }, NoGit: noGit, NetworkTime: 20 * time.Second})
}

// eachJudge runs a test over the git program and over go-git.
func eachJudge(t *testing.T, f func(t *testing.T, r *Resolver)) {
	for name, noGit := range map[string]bool{"git": false, "go-git": true} {
		t.Run(name, func(t *testing.T) { f(t, resolver(noGit)) })
	}
}

func capture(t testing.TB, r *Resolver, repo *codetest.Repo, exclude ...recorder.Excluded) (schema.CodePin, *codetest.Blobs) {
	t.Helper()
	blobs := &codetest.Blobs{}
	pin, err := r.ResolveCode(t.Context(), recorder.CodeRequest{Name: "code", Ref: ".", WorkDir: repo.Dir, Sink: blobs, Exclude: exclude})
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, schema.HintOf(err))
	}
	return pin, blobs
}

func refused(t testing.TB, r *Resolver, repo *codetest.Repo, exclude ...recorder.Excluded) error {
	t.Helper()
	pin, err := r.ResolveCode(t.Context(), recorder.CodeRequest{Name: "code", Ref: ".", WorkDir: repo.Dir, Sink: &codetest.Blobs{}, Exclude: exclude})
	if err == nil {
		t.Fatalf("no error; pin %+v", pin)
	}
	return err
}

func changesOf(t testing.TB, ref *schema.BlobRef, blobs *codetest.Blobs) map[string]schema.Change {
	t.Helper()
	all := map[string]schema.Change{}
	if ref == nil {
		return all
	}
	var list schema.Changes
	if err := json.Unmarshal(blobs.Get(ref.Digest), &list); err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Files {
		all[string(c.Path)] = c
	}
	return all
}

// restore puts the pin back and compares every file with the checkout as it stands now.
func restore(t testing.TB, r *Resolver, pin schema.CodePin, blobs *codetest.Blobs) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	if err := r.RestoreCode(t.Context(), pin, blobs, dir); err != nil {
		t.Fatalf("restore: %v", err)
	}
	return dir
}

// gitTree computes with git itself, through a temporary index, what the tree of a checkout is.
func gitTree(t testing.TB, repo *codetest.Repo) string {
	t.Helper()
	index := filepath.Join(t.TempDir(), "index")
	if b, err := os.ReadFile(repo.Path(".git/index")); err == nil {
		os.WriteFile(index, b, 0o644)
		if info, err := os.Stat(repo.Path(".git/index")); err == nil {
			os.Chtimes(index, info.ModTime(), info.ModTime()) // git trusts no entry that is as new as its index
		}
	}
	t.Setenv("GIT_INDEX_FILE", index)
	defer os.Unsetenv("GIT_INDEX_FILE")
	repo.Git("add", "--all")
	return repo.Git("write-tree")
}

func snapshotGitDir(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	filepath.Walk(filepath.Join(dir, ".git"), func(p string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			b, _ := os.ReadFile(p)
			all[p] = info.ModTime().String() + info.Mode().String() + hexSHA256(b)
		} else if err == nil {
			all[p] = info.Mode().String()
		}
		return nil
	})
	return all
}

func TestCleanCheckout(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("train.py", "print(1)\n").Write("lib/a.py", "a\n").Chmod("train.py", 0o755)
	commit := repo.Commit("first")
	remote := repo.Remote()
	eachJudge(t, func(t *testing.T, r *Resolver) {
		before := snapshotGitDir(t, repo.Dir)
		pin, blobs := capture(t, r, repo)
		if diff := cmp.Diff(before, snapshotGitDir(t, repo.Dir)); diff != "" {
			t.Errorf(".git was touched:\n%s", diff)
		}
		judge := pin.Judge
		if !strings.Contains(judge, "git ") {
			t.Errorf("judge %q", judge)
		}
		tree := schema.ObjectID(repo.Git("rev-parse", "HEAD^{tree}"))
		want := schema.CodePin{
			Name: "code", Kind: schema.CodeGit, Ref: ".", Root: &schema.Path{Typed: ".", Base: schema.BaseAbsolute, Located: schema.Text(repo.Dir)},
			Remote: "file://" + remote, Remotes: map[string]string{"origin": "file://" + remote}, Commit: schema.ObjectID(commit), CommitTree: tree, Tree: tree,
			RefName: "refs/heads/main", OnRemote: &schema.OnRemote{State: "yes", Basis: "remote-tracking", Remote: "origin", Ref: "refs/remotes/origin/main", At: pin.OnRemote.At},
			Judge: judge, Use: schema.Observed, Origin: schema.Origin{Kind: schema.FromGit, By: judge, At: schema.At(testTime)},
		}
		if diff := cmp.Diff(want, pin, cmp.Comparer(func(a, b schema.Time) bool { return a.String() == b.String() })); diff != "" {
			t.Error(diff)
		}
		if blobs.Len() != 0 {
			t.Errorf("a clean, pushed checkout stored %d blobs", blobs.Len())
		}
	})
}

// TestEdits holds both judges to what git itself says of every kind of edit, and to a restore that gives the same files.
func TestEdits(t *testing.T) {
	base := func(t *testing.T) *codetest.Repo {
		repo := codetest.New(t)
		repo.Write("a.txt", "a\n").Write("b.bin", "\x00\x01\xff").Write("dir/c.txt", "c\n").Write("dir/d.txt", "d\n").Write("run.sh", "#!/bin/sh\n").Chmod("run.sh", 0o755).
			Link("a.txt", "link").Write(".gitignore", "*.log\n/ignored/\n")
		repo.Commit("first")
		repo.Remote()
		return repo
	}
	for name, edit := range map[string]func(r *codetest.Repo){
		"nothing":              func(r *codetest.Repo) {},
		"modified":             func(r *codetest.Repo) { r.Write("a.txt", "changed\n") },
		"staged":               func(r *codetest.Repo) { r.Write("a.txt", "changed\n"); r.Git("add", "a.txt") },
		"staged then modified": func(r *codetest.Repo) { r.Write("a.txt", "one\n"); r.Git("add", "a.txt"); r.Write("a.txt", "two\n") },
		"staged then reverted": func(r *codetest.Repo) { r.Write("a.txt", "one\n"); r.Git("add", "a.txt"); r.Write("a.txt", "a\n") },
		"untracked":            func(r *codetest.Repo) { r.Write("new/deep/file.py", "x\n") },
		"ignored":              func(r *codetest.Repo) { r.Write("x.log", "x\n").Write("ignored/y", "y\n") },
		"binary":               func(r *codetest.Repo) { r.Write("b.bin", "\xfe\x00\r\n\x01") },
		"deleted":              func(r *codetest.Repo) { r.Remove("a.txt") },
		"deleted staged":       func(r *codetest.Repo) { r.Git("rm", "--quiet", "dir/c.txt") },
		"deleted directory":    func(r *codetest.Repo) { r.Remove("dir") },
		"renamed":              func(r *codetest.Repo) { r.Git("mv", "a.txt", "moved.txt") },
		"mode":                 func(r *codetest.Repo) { r.Chmod("a.txt", 0o755).Chmod("run.sh", 0o644) },
		"link changed":         func(r *codetest.Repo) { r.Link("b.bin", "link") },
		"link to file":         func(r *codetest.Repo) { r.Remove("link").Write("link", "now a file\n") },
		"file to link":         func(r *codetest.Repo) { r.Link("/etc/passwd", "a.txt") },
		"file to directory":    func(r *codetest.Repo) { r.Remove("a.txt").Write("a.txt/inner", "x\n") },
		"directory to file":    func(r *codetest.Repo) { r.Remove("dir").Write("dir", "x\n") },
		"directory to link":    func(r *codetest.Repo) { r.Remove("dir").Write("other/c.txt", "c\n").Link("other", "dir") },
		"empty file":           func(r *codetest.Repo) { r.Write("a.txt", "").Write("empty", "") },
		"odd names": func(r *codetest.Repo) {
			r.Write("with space", "1").Write("new\nline", "2").Write("quote\"s", "3").Write("tab\tt", "4").Write("back\\slash", "5").Write("caf\xe9", "6").Write("ünï", "7").Write("-dash", "8").Write("#hash", "9")
		},
		"added then gone":  func(r *codetest.Repo) { r.Write("n", "n"); r.Git("add", "n"); r.Remove("n") },
		"intent to add":    func(r *codetest.Repo) { r.Write("n", "n"); r.Git("add", "--intent-to-add", "n") },
		"dropped, kept":    func(r *codetest.Repo) { r.Git("rm", "--quiet", "--cached", "a.txt") },
		"dropped, edited":  func(r *codetest.Repo) { r.Git("rm", "--quiet", "--cached", "a.txt"); r.Write("a.txt", "z") },
		"dropped, ignored": func(r *codetest.Repo) { r.Git("rm", "--quiet", "--cached", "a.txt"); r.Write(".gitignore", "a.txt\n") },
		"ignored but added": func(r *codetest.Repo) {
			r.Write("x.log", "x\n")
			r.Git("add", "--force", "x.log")
			r.Write("x.log", "xx\n")
		},
		"negated ignore": func(r *codetest.Repo) {
			r.Write(".gitignore", "*.log\n!keep.log\n").Write("keep.log", "k").Write("drop.log", "d")
		},
		"nested ignore": func(r *codetest.Repo) {
			r.Write("dir/.gitignore", "/x*\n**/deep\n").Write("dir/x1", "").Write("x1", "1").Write("dir/a/deep", "")
		},
		"index lost": func(r *codetest.Repo) { r.Remove(".git/index") },
		"many": func(r *codetest.Repo) {
			for i := range 700 {
				r.Write("m/"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+"/f"+strings.Repeat("y", i/26), "content")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := base(t)
			edit(repo)
			want := gitTree(t, repo)
			var first schema.CodePin
			for _, noGit := range []bool{false, true} {
				pin, blobs := capture(t, resolver(noGit), repo)
				if string(pin.Tree) != want {
					t.Errorf("no git: %v: tree %s, git says %s; changes %v", noGit, pin.Tree, want, changesOf(t, pin.Changes, blobs))
				}
				if pin.Dirty != (pin.Tree != pin.CommitTree) || pin.Dirty != (pin.Changes != nil) {
					t.Errorf("dirty %v, changes %v", pin.Dirty, pin.Changes)
				}
				pin.Judge, pin.Origin.By = "", ""
				if !noGit {
					first = pin
				} else if diff := cmp.Diff(first, pin, cmp.Comparer(func(a, b schema.Time) bool { return a == b })); diff != "" {
					t.Errorf("the judges differ:\n%s", diff)
				}
				a := resolver(false).CheckCode(t.Context(), pin, blobs)
				if a.State != schema.StateAvailable || a.How != "object-present" {
					t.Errorf("check: %+v", a)
				}
				dir := restore(t, resolver(false), pin, blobs)
				wantFiles := codetest.Files(t, repo.Dir)
				for p := range wantFiles {
					if ignoredByGit(repo, p) {
						delete(wantFiles, p)
					}
				}
				if diff := cmp.Diff(wantFiles, codetest.Files(t, dir)); diff != "" {
					t.Errorf("restored files differ:\n%s", diff)
				}
				if got := codetest.Git(t, dir, "rev-parse", "HEAD"); got != string(pin.Commit) {
					t.Errorf("HEAD of the restored checkout is %s", got)
				}
			}
		})
	}
}

func ignoredByGit(r *codetest.Repo, path string) bool {
	out := r.Git("ls-files", "-z", "--others", "--ignored", "--exclude-standard")
	for _, p := range strings.Split(out, "\x00") {
		if p == path {
			return true
		}
	}
	return false
}

func TestCancelled(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "a").Commit("first")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	eachJudge(t, func(t *testing.T, r *Resolver) {
		_, err := r.ResolveCode(ctx, recorder.CodeRequest{Ref: ".", WorkDir: repo.Dir, Sink: &codetest.Blobs{}})
		if schema.KindOf(err) != schema.Interrupted {
			t.Errorf("got %v (%s)", err, schema.KindOf(err))
		}
	})
}
