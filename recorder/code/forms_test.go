package code

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

func hasReason(pin schema.CodePin, code string) bool {
	for _, r := range pin.Reasons {
		if r.Code == code {
			return true
		}
	}
	return false
}

func TestEmptyRepository(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("train.py", "t\n").Write("lib/x.py", "x\n")
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs, _ := roundTrip(t, r, repo)
		if pin.Commit != "" || !pin.Dirty || !hasReason(pin, "no-commit") || len(changesOf(t, pin.Changes, blobs)) != 2 || string(pin.Tree) != gitTree(t, repo) {
			t.Errorf("%+v", pin)
		}
		if a := r.CheckCode(t.Context(), pin, blobs); !r.opts.NoGit && (a.State != schema.StateAvailable || a.How != "blobs") {
			t.Errorf("%+v", a)
		}
	})
}

func TestBareRepository(t *testing.T) {
	repo := codetest.New(t)
	repo.Commit("first")
	bare := repo.Remote()
	for _, dir := range []string{bare, filepath.Join(bare, "objects"), repo.Path(".git"), repo.Path(".git/refs")} {
		_, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Ref: dir, WorkDir: repo.Dir})
		if schema.KindOf(err) != schema.Unpinnable || !strings.Contains(err.Error(), "bare repository") || schema.HintOf(err) == "" {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestDamagedRepository(t *testing.T) {
	for name, damage := range map[string]func(*codetest.Repo){
		"index": func(r *codetest.Repo) {
			r.Write(".git/index", "DIRC\x00\x00\x00\x02\x00\x00\xff\xffgarbage garbage garbage")
		},
		"HEAD":   func(r *codetest.Repo) { r.Write(".git/HEAD", "rubbish\n") },
		"ref":    func(r *codetest.Repo) { r.Write(".git/refs/heads/main", strings.Repeat("0", 39)+"1\n") },
		"config": func(r *codetest.Repo) { r.Write(".git/config", "[core\n") },
		"commit": func(r *codetest.Repo) { r.Remove(".git/objects/" + r.Git("rev-parse", "HEAD")[:2]) },
	} {
		t.Run(name, func(t *testing.T) {
			repo := codetest.New(t)
			repo.Write("a", "a").Commit("first")
			damage(repo)
			eachJudge(t, func(t *testing.T, r *Resolver) {
				if err := refused(t, r, repo); schema.KindOf(err) != schema.Unpinnable {
					t.Errorf("%v (%s)", err, schema.KindOf(err))
				}
			})
		})
	}
}

func TestWorktreeDetachedSubdirectory(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("sub/a.py", "a\n").Commit("first")
	first := repo.Git("rev-parse", "HEAD")
	repo.Write("sub/b.py", "b\n").Commit("second")
	other := filepath.Join(filepath.Dir(repo.Dir), "other")
	repo.Git("worktree", "add", "--quiet", "--detach", other, first)
	if err := os.WriteFile(filepath.Join(other, "new.py"), []byte("n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree := &codetest.Repo{T: t, Dir: other}
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs := &schema.CodePin{}, &codetest.Blobs{}
		p, err := r.ResolveCode(t.Context(), recorder.CodeRequest{Name: "code", Ref: "sub", WorkDir: other, Sink: blobs})
		if err != nil {
			t.Fatal(err)
		}
		*pin = p
		if string(pin.Root.Located) != other || string(pin.Commit) != first || !pin.Detached || pin.RefName != "" || len(changesOf(t, pin.Changes, blobs)) != 1 {
			t.Errorf("%+v", pin)
		}
		dir := restore(t, resolver(false), *pin, blobs)
		if diff := cmp.Diff(codetest.Files(t, tree.Dir), codetest.Files(t, dir)); diff != "" {
			t.Error(diff)
		}
	})
	if root, ok := Root(filepath.Join(other, "sub")); !ok || root != other {
		t.Errorf("Root %q %v", root, ok)
	}
	if _, ok := Root(t.TempDir()); ok {
		t.Error("a root outside of any repository")
	}
}

func TestShallow(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "1").Commit("first")
	repo.Write("a", "2").Commit("second")
	bare := repo.Remote()
	clone := &codetest.Repo{T: t, Dir: filepath.Join(t.TempDir(), "clone")}
	codetest.Git(t, repo.Dir, "clone", "--quiet", "--depth=1", "file://"+bare, clone.Dir)
	clone.Write("a", "3").Commit("unpushed")
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs, _ := roundTrip(t, r, clone)
		if !pin.Shallow || !hasReason(pin, "shallow-clone") || pin.OnRemote.State != "no" || pin.Bundle == nil {
			t.Errorf("%+v", pin)
		}
		moved := pin
		moved.Root = nil // the clone is gone: bundle and remote have to do
		dir := restore(t, resolver(false), moved, blobs)
		if diff := cmp.Diff(codetest.Files(t, clone.Dir), codetest.Files(t, dir)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSparse(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("in/a", "a").Write("out/b", "b").Write("top", "t").Commit("first")
	files := codetest.Files(t, repo.Dir)
	for _, args := range [][]string{{"sparse-checkout", "set", "--cone", "in"}, {"sparse-checkout", "set", "--cone", "--sparse-index", "in"}, {"sparse-checkout", "set", "--no-cone", "/in/", "/top"}} {
		repo.Git("sparse-checkout", "disable")
		repo.Git(args...)
		pin, blobs := capture(t, resolver(false), repo)
		if !pin.Sparse || pin.Dirty || !hasReason(pin, "sparse-checkout") {
			t.Errorf("%v: %+v", args, pin)
		}
		if diff := cmp.Diff(files, codetest.Files(t, restore(t, resolver(false), pin, blobs))); diff != "" {
			t.Error(diff)
		}
		repo.Write("in/a", "edited").Write("out/b", "present in spite of it")
		pin, blobs = capture(t, resolver(false), repo)
		if c := changesOf(t, pin.Changes, blobs); len(c) != 2 {
			t.Errorf("%v: changes %v", args, c)
		}
		repo.Git("checkout", "--quiet", "in/a")
		repo.Remove("out")
		if err := refused(t, resolver(true), repo); schema.KindOf(err) != schema.Unpinnable {
			t.Errorf("go-git judged a sparse checkout")
		}
	}
}

func TestMergeConflict(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "base\n").Commit("base")
	repo.Git("checkout", "--quiet", "-b", "other")
	repo.Write("a", "other\n").Commit("other")
	repo.Git("checkout", "--quiet", "main")
	repo.Write("a", "main\n").Commit("main")
	merge := exec.Command("git", "merge", "other")
	merge.Dir = repo.Dir
	if merge.Run() == nil {
		t.Fatal("the merge has no conflict")
	}
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs, _ := roundTrip(t, r, repo)
		if c := changesOf(t, pin.Changes, blobs); len(c) != 1 {
			t.Errorf("changes %v", c)
		}
	})
}

func TestSHA256Repository(t *testing.T) {
	repo := codetest.New(t, "--object-format=sha256")
	repo.Write("a", "a").Commit("first")
	repo.Write("a", "b").Write("c", "c")
	pin, _, _ := roundTrip(t, resolver(false), repo)
	if len(pin.Commit) != 64 || string(pin.Tree) != gitTree(t, repo) || pin.Bundle == nil {
		t.Errorf("%+v", pin)
	}
	if err := refused(t, resolver(true), repo); schema.KindOf(err) != schema.Unpinnable {
		t.Error("go-git judged a SHA-256 repository")
	}
}

func TestSplitAndNewerIndexes(t *testing.T) {
	for name, args := range map[string][]string{"split": {"--split-index"}, "v4": {"--index-version", "4"}, "untracked cache": {"--untracked-cache"}} {
		t.Run(name, func(t *testing.T) {
			repo := codetest.New(t)
			repo.Write("dir/aaa", "a").Write("dir/aab", "b").Commit("first")
			repo.Git(append([]string{"update-index"}, args...)...)
			repo.Git("update-index", "--assume-unchanged", "dir/aab")
			repo.Write("dir/aaa", "edited").Write("dir/aab", "hidden").Write("new", "n")
			before := snapshotGitDir(t, repo.Dir)
			pin, blobs, _ := roundTrip(t, resolver(false), repo)
			if c := changesOf(t, pin.Changes, blobs); len(c) != 3 {
				t.Errorf("changes %v", c)
			}
			if diff := cmp.Diff(before, snapshotGitDir(t, repo.Dir)); diff != "" {
				t.Errorf(".git was touched:\n%s", diff)
			}
		})
	}
}

func TestScript(t *testing.T) {
	codetest.Home(t)
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("train.py", "print()\n", 0o644)
	write("cfg.yaml", "a: 1\n", 0o644)
	write("run.sh", "#!/bin/sh\n", 0o755)
	write("data.csv", "1\n", 0o644)
	write("binary", "\x7fELF\x00", 0o755)
	for name, c := range map[string]struct {
		command []string
		want    string
		mode    string
	}{
		"interpreter":     {[]string{"python3", "train.py", "--lr", "1"}, "train.py", "100644"},
		"config first":    {[]string{"python3", "--config", "cfg.yaml", "train.py"}, "train.py", "100644"},
		"program itself":  {[]string{"./run.sh", "data.csv"}, "./run.sh", "100755"},
		"absolute":        {[]string{"bash", filepath.Join(dir, "run.sh")}, filepath.Join(dir, "run.sh"), "100755"},
		"binary":          {[]string{"./binary"}, "", ""},
		"module":          {[]string{"python3", "-m", "pkg"}, "", ""},
		"plain text last": {[]string{"mytool", "cfg.yaml"}, "cfg.yaml", "100644"},
		"none":            {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			blobs := &codetest.Blobs{}
			pin, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Name: "code", Ref: ".", WorkDir: dir, Command: c.command, Sink: blobs})
			if err != nil {
				t.Fatal(err)
			}
			if pin.Kind != schema.CodeScript {
				t.Fatalf("kind %q", pin.Kind)
			}
			if c.want == "" {
				if pin.Script != nil || !hasReason(pin, "no-code") {
					t.Errorf("%+v", pin.Script)
				}
				return
			}
			if pin.Script == nil || string(pin.Script.Path.Typed) != c.want || pin.Script.Mode != c.mode {
				t.Fatalf("%+v", pin.Script)
			}
			if a := resolver(false).CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable {
				t.Errorf("%+v", a)
			}
			out := restore(t, resolver(false), pin, blobs)
			if len(codetest.Files(t, out)) != 1 {
				t.Errorf("%v", codetest.Files(t, out))
			}
			blobs.Delete(pin.Script.Blob.Digest)
			if a := resolver(false).CheckCode(t.Context(), pin, blobs); a.State != schema.StateGone {
				t.Errorf("%+v", a)
			}
		})
	}
	if _, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Ref: "missing", WorkDir: dir}); schema.KindOf(err) != schema.Unpinnable {
		t.Errorf("%v", err)
	}
}
