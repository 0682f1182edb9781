package code

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

// roundTrip captures, restores and compares the files named (all when none are).
func roundTrip(t *testing.T, r *Resolver, repo *codetest.Repo) (schema.CodePin, *codetest.Blobs, string) {
	t.Helper()
	pin, blobs := capture(t, r, repo)
	dir := restore(t, resolver(false), pin, blobs)
	if diff := cmp.Diff(codetest.Files(t, repo.Dir), codetest.Files(t, dir)); diff != "" {
		t.Errorf("restored files differ:\n%s", diff)
	}
	return pin, blobs, dir
}

func TestHiddenEdits(t *testing.T) {
	for _, flag := range []string{"--assume-unchanged", "--skip-worktree"} {
		for name, edit := range map[string]func(*codetest.Repo){
			"edited":  func(r *codetest.Repo) { r.Write("a.py", "hidden\n") },
			"deleted": func(r *codetest.Repo) { r.Remove("a.py") },
		} {
			t.Run(flag+" "+name, func(t *testing.T) {
				repo := codetest.New(t)
				repo.Write("a.py", "a\n").Write("b.py", "b\n").Commit("first")
				repo.Git("update-index", flag, "a.py", "b.py")
				edit(repo)
				if out := repo.Git("status", "--porcelain"); out != "" {
					t.Fatalf("git status sees it: %s", out)
				}
				eachJudge(t, func(t *testing.T, r *Resolver) {
					pin, blobs, _ := roundTrip(t, r, repo)
					if c := changesOf(t, pin.Changes, blobs); !pin.Dirty || len(c) != 1 {
						t.Errorf("dirty %v, changes %v", pin.Dirty, c)
					}
				})
			})
		}
	}
}

func TestNestedRepositoryIsRefused(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "a").Commit("first")
	codetest.Git(t, repo.Dir, "init", "--quiet", "vendor/inner")
	repo.Write("vendor/inner/x.py", "x\n")
	codetest.Git(t, repo.Path("vendor/inner"), "add", ".")
	codetest.Git(t, repo.Path("vendor/inner"), "commit", "--quiet", "-m", "x")
	eachJudge(t, func(t *testing.T, r *Resolver) {
		err := refused(t, r, repo)
		if schema.KindOf(err) != schema.Unpinnable || !strings.Contains(err.Error(), "vendor/inner/") || !strings.Contains(schema.HintOf(err), "/vendor/inner/") {
			t.Errorf("%v; %s", err, schema.HintOf(err))
		}
		pin, _ := capture(t, r, repo, recorder.Excluded{Path: repo.Path("vendor"), Why: "dataset"})
		if pin.Dirty {
			t.Error("an excluded nested repository made the checkout dirty")
		}
	})
}

func TestExclusions(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("train.py", "t\n").Write("data/tracked.csv", "1\n").Write("model.pt", "old\n").Commit("first")
	repo.Write("data/new.csv", "2\n").Write("data/tracked.csv", "edited\n").Remove("model.pt").Write("runs/out", "o").
		Write("__pycache__/x.pyc", "").Write("pkg/__pycache__/y.pyc", "").Write("env/pyvenv.cfg", "").Write("env/bin/python", "").Write("wandb/run/x", "").Write(".DS_Store", "").
		Write("db/runpin.db", "x")
	excluded := []recorder.Excluded{{Path: repo.Path("data"), Why: "dataset"}, {Path: repo.Path("model.pt"), Why: "output"}, {Path: repo.Path("runs"), Why: "output"}, {Path: repo.Path("db"), Why: "store"},
		{Path: filepath.Dir(repo.Dir), Why: "dataset"}, {Path: "/nonexistent/elsewhere", Why: "dataset"}}
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, _ := capture(t, r, repo, excluded...)
		if pin.Dirty || pin.Tree != pin.CommitTree {
			t.Errorf("excluded edits made the checkout dirty: %+v", pin)
		}
		want := []schema.Exclusion{{Path: ".DS_Store", Why: "debris"}, {Path: "__pycache__/", Why: "debris"}, {Path: "data/", Why: "dataset"}, {Path: "db/", Why: "store"},
			{Path: "env/", Why: "debris"}, {Path: "pkg/__pycache__/", Why: "debris"}, {Path: "runs/", Why: "output"}, {Path: "wandb/", Why: "debris"}}
		if diff := cmp.Diff(want, pin.Excluded); diff != "" {
			t.Error(diff)
		}
		if len(pin.Reasons) != 1 || pin.Reasons[0].Code != "exclusion-covers-checkout" {
			t.Errorf("reasons %v", pin.Reasons)
		}
	})
	// Reached through a link, the same paths are excluded.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(repo.Dir, link); err != nil {
		t.Fatal(err)
	}
	pin, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Ref: ".", WorkDir: link, Sink: &codetest.Blobs{},
		Exclude: []recorder.Excluded{{Path: filepath.Join(link, "data"), Why: "dataset"}, {Path: repo.Path("model.pt"), Why: "output"}, {Path: filepath.Join(link, "runs"), Why: "output"}, {Path: repo.Path("db"), Why: "store"}}})
	if err != nil || pin.Dirty {
		t.Errorf("through a link: %v, dirty %v", err, pin.Dirty)
	}
}

func TestNotebooks(t *testing.T) {
	notebook := func(source, output string, count string) string {
		return `{"cells":[{"cell_type":"code","execution_count":` + count + `,"metadata":{},"outputs":[` + output + `],"source":["` + source + `"]}],"metadata":{},"nbformat":4,"nbformat_minor":5}`
	}
	repo := codetest.New(t)
	repo.Write("n.ipynb", notebook("x", "", "null")).Write("m.ipynb", notebook("x", "", "null")).Commit("first")
	repo.Write("n.ipynb", notebook("x", `{"output_type":"stream","text":["hi"]}`, "3"))
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, _ := capture(t, r, repo)
		if pin.Dirty || len(pin.Excluded) != 1 || pin.Excluded[0] != (schema.Exclusion{Path: "n.ipynb", Why: "notebook-output"}) {
			t.Errorf("dirty %v, excluded %v", pin.Dirty, pin.Excluded)
		}
	})
	repo.Write("m.ipynb", notebook("y", "", "4"))
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs := capture(t, r, repo)
		c := changesOf(t, pin.Changes, blobs)
		if _, ok := c["m.ipynb"]; !ok || len(c) != 1 {
			t.Errorf("changes %v", c)
		}
	})
}

func TestTooLarge(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "a").Commit("first")
	repo.Write("big/model.bin", strings.Repeat("x", 3<<20)).Write("small", "s")
	for _, noGit := range []bool{false, true} {
		err := refused(t, New(Options{NoGit: noGit, MaxBytes: 1 << 20}), repo)
		if schema.KindOf(err) != schema.Unpinnable || !strings.Contains(err.Error(), `"big/model.bin" (3.0 MiB)`) || !strings.Contains(schema.HintOf(err), "/big/model.bin") || !strings.Contains(schema.HintOf(err), "--dataset") {
			t.Errorf("%v; %s", err, schema.HintOf(err))
		}
	}
}

func TestSecretsStayOut(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("train.py", "t\n").Commit("first")
	repo.Git("remote", "add", "origin", "https://user:ghp_0123456789abcdefghijklmnopqrstuvwxyzAB@example.invalid/o/r.git")
	key := "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQ\n-----END OPENSSH PRIVATE KEY-----\n"
	repo.Write("id_key", key)
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs := capture(t, r, repo)
		if pin.Remote != "https://example.invalid/o/r.git" || pin.Remotes["origin"] != pin.Remote {
			t.Errorf("remote %q %v", pin.Remote, pin.Remotes)
		}
		if len(changesOf(t, pin.Changes, blobs)) != 0 || blobs.Get(schema.SHA256([]byte(key))) != nil {
			t.Error("the key was stored")
		}
		if len(pin.Excluded) != 1 || pin.Excluded[0].Why != "secret" {
			t.Errorf("excluded %v", pin.Excluded)
		}
	})
	repo.Write("train.py", "KEY='''"+key+"'''\n")
	if err := refused(t, resolver(false), repo); schema.KindOf(err) != schema.Unpinnable || strings.Contains(err.Error(), "b3Blb") {
		t.Errorf("%v", err)
	}
	// A remote that does not answer is named without the token.
	pin, err := resolver(false).ResolveCode(t.Context(), recorder.CodeRequest{Ref: "git+https://user:ghp_0123456789abcdefghijklmnopqrstuvwxyzAB@127.0.0.1:1/o/r.git@main", WorkDir: repo.Dir})
	if err == nil || strings.Contains(err.Error()+schema.HintOf(err)+string(pin.Ref)+pin.Remote, "ghp_") {
		t.Errorf("%v %+v", err, pin)
	}
}

func TestNothingIsExecuted(t *testing.T) {
	repo := codetest.New(t)
	home := os.Getenv("HOME")
	marker := filepath.Join(home, "marker")
	program := filepath.Join(home, "evil")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $@\" >>"+marker+"\ncat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	repo.Write("a.txt", "a\n").Write("b.dat", "b\n").Write(".gitattributes", "*.dat filter=evil diff=evil\n*.txt diff=evil\n").Commit("first")
	set := func(args ...string) { repo.Git(append([]string{"config"}, args...)...) }
	for _, scope := range []string{"--local", "--global"} {
		set(scope, "core.fsmonitor", program)
		set(scope, "core.pager", program)
		set(scope, "core.hooksPath", home)
		set(scope, "core.sshCommand", program)
		set(scope, "diff.external", program)
		set(scope, "diff.noprefix", "true")
		set(scope, "diff.evil.textconv", program)
		set(scope, "diff.evil.command", program)
		set(scope, "filter.evil.clean", program)
		set(scope, "filter.evil.smudge", program)
		set(scope, "filter.evil.process", program)
		set(scope, "filter.evil.required", "true")
		set(scope, "core.gitProxy", program)
		set(scope, "uploadpack.packObjectsHook", program)
		set(scope, "credential.helper", program)
		set(scope, "status.showUntrackedFiles", "no")
		set(scope, "status.short", "true")
		set(scope, "status.branch", "true")
		set(scope, "color.ui", "always")
		set(scope, "core.quotePath", "true")
	}
	for _, hook := range []string{"post-checkout", "post-index-change", "fsmonitor-watchman", "query-watchman"} {
		os.Symlink(program, filepath.Join(home, hook))
		os.Symlink(program, repo.Path(".git/hooks/"+hook))
	}
	t.Setenv("GIT_EXTERNAL_DIFF", program)
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_INDEX_FILE", "/nonexistent")
	repo.Write("a.txt", "edited\n").Write("b.dat", "edited\n").Write("näw.txt", "n\n")
	os.Remove(marker)
	pin, blobs := capture(t, resolver(false), repo)
	if c := changesOf(t, pin.Changes, blobs); len(c) != 3 {
		t.Errorf("changes %v", c)
	}
	dir := restore(t, resolver(false), pin, blobs)
	if a := resolver(false).CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable {
		t.Errorf("%+v", a)
	}
	if diff := cmp.Diff(codetest.Files(t, repo.Dir), codetest.Files(t, dir)); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(marker); err == nil {
		t.Errorf("a program of the repository's choosing ran: %s", b)
	}
	if err := refused(t, resolver(true), repo); schema.KindOf(err) != schema.Unpinnable {
		t.Errorf("go-git judged a filtered checkout: %v", err)
	}
}

func TestLineEndings(t *testing.T) {
	for name, c := range map[string]struct {
		attributes string
		config     [2]string
		setup      func(*codetest.Repo)
		changes    int
	}{
		"text=auto, clean":          {attributes: "* text=auto\n"},
		"text=auto, CRLF now":       {attributes: "* text=auto\n", setup: func(r *codetest.Repo) { r.Write("a.txt", "one\r\ntwo\r\n") }, changes: 1},
		"text=auto, CRLF and added": {attributes: "* text=auto\n", setup: func(r *codetest.Repo) { r.Write("a.txt", "one\r\ntwo\r\n"); r.Git("add", "a.txt") }, changes: 1},
		"text=auto, edited":         {attributes: "* text=auto\n", setup: func(r *codetest.Repo) { r.Write("a.txt", "three\n") }, changes: 1},
		"eol=crlf, clean":           {attributes: "*.txt text eol=crlf\n", setup: func(r *codetest.Repo) { r.Remove("a.txt"); r.Git("checkout", "a.txt") }},
		"eol=crlf, LF on disk":      {attributes: "*.txt text eol=crlf\n", setup: func(r *codetest.Repo) { r.Write("a.txt", "one\ntwo\n"); r.Git("add", "a.txt") }, changes: 1},
		"eol=crlf, edited":          {attributes: "*.txt text eol=crlf\n", setup: func(r *codetest.Repo) { r.Write("a.txt", "three\r\n") }, changes: 1},
		"autocrlf, LF":              {config: [2]string{"core.autocrlf", "true"}},
		"autocrlf, CRLF":            {config: [2]string{"core.autocrlf", "true"}, setup: func(r *codetest.Repo) { r.Write("a.txt", "one\r\ntwo\r\n"); r.Git("add", "a.txt") }, changes: 1},
		"ident": {attributes: "*.txt ident\n", setup: func(r *codetest.Repo) {
			r.Write("a.txt", "$Id$\n").Commit("id")
			r.Remove("a.txt")
			r.Git("checkout", "a.txt")
		}},
		"utf-16": {attributes: "*.txt working-tree-encoding=UTF-16LE\n", setup: func(r *codetest.Repo) { r.Remove("a.txt"); r.Git("checkout", "a.txt") }},
		"info/attributes, unconverted": {setup: func(r *codetest.Repo) {
			r.Write(".git/info/attributes", "*.txt eol=crlf\n")
			r.Remove("a.txt")
			r.Git("checkout", "a.txt")
		}, changes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			repo := codetest.New(t)
			repo.Write("a.txt", "one\ntwo\n").Write("b.txt", "b\n").Commit("first")
			if c.attributes != "" {
				repo.Write(".gitattributes", c.attributes).Git("add", ".")
				repo.Git("commit", "--quiet", "-m", "attributes")
				repo.Git("rm", "--quiet", "-r", "--cached", ".")
				repo.Git("reset", "--quiet", "--hard")
			}
			if c.config[0] != "" {
				repo.Git("config", "--global", c.config[0], c.config[1])
			}
			if c.setup != nil {
				c.setup(repo)
			}
			pin, blobs, _ := roundTrip(t, resolver(false), repo)
			if got := changesOf(t, pin.Changes, blobs); len(got) != c.changes {
				t.Errorf("changes %v, want %d", got, c.changes)
			}
			again, _, _ := roundTrip(t, resolver(false), repo)
			if again.Tree != pin.Tree {
				t.Error("a second capture gives another tree")
			}
		})
	}
}
