package code

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

// token looks like one of GitHub's and is none: it is made here so that no file of ours holds it.
func token() string {
	var b strings.Builder
	for i := range 36 {
		b.WriteByte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[(i*37+11)%62])
	}
	return "gh" + "p_" + b.String()
}

func refusedForSecret(t *testing.T, r *Resolver, repo *codetest.Repo, subject string) {
	t.Helper()
	blobs := &codetest.Blobs{}
	_, err := r.ResolveCode(t.Context(), recorder.CodeRequest{Ref: ".", WorkDir: repo.Dir, Sink: blobs})
	if schema.KindOf(err) != schema.Unpinnable {
		t.Fatalf("%v (%s)", err, schema.KindOf(err))
	}
	text := err.Error() + schema.HintOf(err)
	if !strings.Contains(text, subject) || !strings.Contains(schema.HintOf(err), "push it first") || strings.Contains(text, token()) || strings.Contains(text, "cannot be packed") {
		t.Errorf("%v; %s", err, schema.HintOf(err))
	}
	if blobs.Len() != 0 {
		t.Error("something was stored")
	}
}

func TestSecretsInUnpushedCommits(t *testing.T) {
	leak := "TOKEN = '" + token() + "'\n"
	for name, c := range map[string]struct {
		subject string
		make    func(*codetest.Repo)
	}{
		"in the last commit": {`"cfg.py"`, func(r *codetest.Repo) { r.Write("cfg.py", leak).Commit("leak") }},
		"below a directory":  {`"pkg/deep dir/cfg.py"`, func(r *codetest.Repo) { r.Write("pkg/deep dir/cfg.py", leak).Commit("leak") }},
		"taken out again": {`"cfg.py"`, func(r *codetest.Repo) {
			r.Write("cfg.py", leak).Commit("leak")
			r.Write("cfg.py", "TOKEN = None\n").Commit("no leak")
		}},
		"file removed again": {`"cfg.py"`, func(r *codetest.Repo) { r.Write("cfg.py", leak).Commit("leak"); r.Remove("cfg.py").Commit("no leak") }},
		"in a merged branch": {`"cfg.py"`, func(r *codetest.Repo) {
			r.Git("checkout", "--quiet", "-b", "side")
			r.Write("cfg.py", leak).Commit("leak")
			r.Remove("cfg.py").Commit("no leak")
			r.Git("checkout", "--quiet", "main")
			r.Write("b", "b").Commit("main")
			r.Git("merge", "--quiet", "--no-edit", "side")
		}},
		"in a message":           {`"commit `, func(r *codetest.Repo) { r.Write("cfg.py", "x\n").Commit("use " + token()) }},
		"early in a binary file": {`"state.bin"`, func(r *codetest.Repo) { r.Write("state.bin", "\x00\x01 "+token()+" \x00").Commit("leak") }},
		"in a large text file": {`"large.py"`, func(r *codetest.Repo) {
			r.Write("large.py", strings.Repeat("x = 1\n", maxScannedFile/6-100)+leak).Commit("leak")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, remote := range []bool{false, true} {
				repo := codetest.New(t)
				repo.Write("train.py", "t\n").Commit("first")
				if remote {
					repo.Remote()
				}
				c.make(repo)
				eachJudge(t, func(t *testing.T, r *Resolver) { refusedForSecret(t, r, repo, c.subject) })
			}
		})
	}
}

// TestSecretsThatStayOnTheRemote: what a bundle does not carry is no reason to refuse.
func TestSecretsThatStayOnTheRemote(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("cfg.py", "TOKEN = '"+token()+"'\n").Commit("leak")
	repo.Remote()
	eachJudge(t, func(t *testing.T, r *Resolver) {
		if pin, blobs := capture(t, r, repo); pin.Bundle != nil || blobs.Len() != 0 {
			t.Errorf("%+v", pin)
		}
	})
	repo.Write("b", "b").Commit("unpushed")
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs := capture(t, r, repo)
		if pin.Bundle == nil {
			t.Fatalf("%+v", pin)
		}
		restore(t, resolver(false), pin, blobs)
	})
	// A tip that is not here is left out of the question, and not an error.
	repo.Git("update-ref", "refs/remotes/origin/main", "HEAD~1")
	repo.Write(".git/packed-refs", "# pack-refs with: peeled fully-peeled sorted \n"+strings.Repeat("1", 40)+" refs/remotes/origin/gone\n")
	if pin, _ := capture(t, resolver(false), repo); pin.Bundle == nil {
		t.Errorf("%+v", pin)
	}
	repo.Write("c", token()).Commit("leak")
	refusedForSecret(t, resolver(false), repo, `"c"`)
}

func TestSecretsInSnapshotAndSubmodule(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("noise", strings.Repeat("noise ", 1000)).Commit("first")
	repo.Write("cfg.py", "TOKEN = '"+token()+"'\n").Commit("leak")
	for _, noGit := range []bool{false, true} { // too much to search: the last commit alone is kept, and searched
		r := New(Options{NoGit: noGit, maxScanned: 5000})
		refused := repo
		_, err := r.ResolveCode(t.Context(), recorder.CodeRequest{Ref: ".", WorkDir: refused.Dir, Sink: &codetest.Blobs{}})
		if schema.KindOf(err) != schema.Unpinnable || !strings.Contains(schema.HintOf(err), "push") {
			t.Errorf("%v", err)
		}
	}
	repo.Remove("noise").Remove("cfg.py").Write("a", "a").Commit("clean")
	for _, noGit := range []bool{false, true} {
		pin, blobs := capture(t, New(Options{NoGit: noGit, MaxBundle: 400}), repo)
		if pin.Bundle == nil || !hasReason(pin, "bundle-snapshot") { // history over the cap: what is kept has no secret
			t.Fatalf("%+v", pin)
		}
		restore(t, resolver(false), pin, blobs)
	}
	repo.Write("cfg.py", "TOKEN = '"+token()+"'\n").Commit("leak again")
	for _, noGit := range []bool{false, true} {
		refusedForSecret(t, New(Options{NoGit: noGit, MaxBundle: 450}), repo, `"cfg.py"`)
	}

	inner := codetest.Another(t)
	inner.Write("lib.py", "l\n").Commit("inner")
	outer := codetest.Another(t)
	outer.Write("a", "a").Commit("outer")
	outer.Git("submodule", "--quiet", "add", inner.Dir, "libs/inner")
	outer.Commit("with a submodule")
	outer.Write("libs/inner/cfg.py", token())
	codetest.Git(t, outer.Path("libs/inner"), "add", ".")
	codetest.Git(t, outer.Path("libs/inner"), "commit", "--quiet", "-m", "leak")
	eachJudge(t, func(t *testing.T, r *Resolver) { refusedForSecret(t, r, outer, `"libs/inner/cfg.py"`) })
}

// TestSearchIsBounded: what is documented as not searched is not read as text.
func TestSearchIsBounded(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("weights.bin", "\x00"+strings.Repeat("\x01", maxScannedBinary)+token()).Write("huge.txt", strings.Repeat("x\n", maxScannedFile/2+1)).Commit("first")
	eachJudge(t, func(t *testing.T, r *Resolver) {
		if pin, _ := capture(t, r, repo); pin.Bundle == nil {
			t.Errorf("%+v", pin)
		}
	})
}

func TestWithheldFilesAreNamed(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("train.py", "t\n").Commit("first")
	repo.Remote()
	want := []schema.Exclusion{{Path: "a dir/key", Why: "secret"}, {Path: "conf/.env", Why: "secret"}, {Path: "staged.py", Why: "secret"}, {Path: "token.txt", Why: "secret"}}
	for _, e := range want {
		repo.Write(string(e.Path), "GITHUB_TOKEN="+token()+"\n")
	}
	repo.Git("add", "staged.py")
	repo.Write("harmless.txt", "h\n")
	eachJudge(t, func(t *testing.T, r *Resolver) {
		pin, blobs := capture(t, r, repo)
		if diff := cmp.Diff(want, pin.Excluded); diff != "" {
			t.Error(diff)
		}
		if c := changesOf(t, pin.Changes, blobs); len(c) != 1 {
			t.Errorf("changes %v", c)
		}
		reasons := map[schema.Text]int{}
		for _, r := range pin.Reasons {
			if r.Code == "withheld" {
				reasons[r.Subject]++
				if !strings.Contains(r.Text, string(r.Subject)) || strings.Contains(r.Text, token()) {
					t.Errorf("%+v", r)
				}
			}
		}
		if diff := cmp.Diff(map[schema.Text]int{"a dir/key": 1, "conf/.env": 1, "staged.py": 1, "token.txt": 1}, reasons); diff != "" {
			t.Error(diff)
		}
		a := resolver(false).CheckCode(t.Context(), pin, blobs)
		if a.State != schema.StateAvailable || !strings.Contains(a.Reason, "--secret PATH=@FILE") {
			t.Errorf("%+v", a)
		}
		for _, flag := range []string{`--secret "a dir/key"=@FILE`, "--secret conf/.env=@FILE", "--secret staged.py=@FILE", "--secret token.txt=@FILE"} {
			if strings.Count(a.Remedy, flag) != 1 {
				t.Errorf("%q lacks %q", a.Remedy, flag)
			}
		}
		dir := restore(t, resolver(false), pin, blobs)
		if _, there := codetest.Files(t, dir)["token.txt"]; there {
			t.Error("a withheld file was restored")
		}
	})
}

func TestAskForSecrets(t *testing.T) {
	var many []schema.Exclusion
	for i := range maxAsked + 3 {
		many = append(many, schema.Exclusion{Path: schema.Text(fmt.Sprintf("k%02d", i)), Why: "secret"})
	}
	for name, c := range map[string]struct {
		in             []schema.Exclusion
		has, hasNot    string
		empty, hasMore bool
	}{
		"none":          {in: []schema.Exclusion{{Path: "data/", Why: "dataset"}}, empty: true},
		"one":           {in: []schema.Exclusion{{Path: "k", Why: "secret"}, {Path: "k", Why: "secret"}}, has: "give them to the rerun: --secret k=@FILE"},
		"odd":           {in: []schema.Exclusion{{Path: "a\nb\x1b[31m$(x)", Why: "secret"}}, has: `--secret "a\nb\x1b[31m$(x)"=@FILE`, hasNot: "\n"},
		"many":          {in: many, has: "k19=@FILE and 3 more", hasNot: "k20", hasMore: true},
		"long (40 000)": {in: []schema.Exclusion{{Path: schema.Text(strings.Repeat("x", 40000)), Why: "secret"}}, has: "--secret ", hasNot: strings.Repeat("x", 500)},
	} {
		t.Run(name, func(t *testing.T) {
			reason, remedy := askForSecrets(c.in)
			if c.empty != (reason == "") || c.empty != (remedy == "") || !strings.Contains(remedy, c.has) || c.hasNot != "" && strings.Contains(reason+remedy, c.hasNot) || c.hasMore != strings.Contains(reason, " and 3 more") {
				t.Errorf("%q; %q", reason, remedy)
			}
		})
	}
}

// TestPointerOnly needs no git-lfs: without it, pointers are all that a checkout has.
func TestPointerOnly(t *testing.T) {
	object := strings.Repeat("w", 5000)
	repo := codetest.New(t)
	pointer := formatPointer(schema.SHA256([]byte(object)), 5000)
	same := strings.Repeat("s", len(formatPointer(schema.SHA256(nil), 100)))
	repo.Write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n").Write("model.bin", string(pointer)).Write("hidden.bin", string(pointer)).Write("plain.bin", "no pointer").
		Write("same.bin", string(formatPointer(schema.SHA256([]byte(same)), int64(len(same))))).Commit("first")
	repo.Remote()
	entry := func(path, content string, pointerOnly bool) schema.LFSObject {
		return schema.LFSObject{Path: schema.Text(path), OID: schema.SHA256([]byte(content)), Bytes: int64(len(content)), PointerOnly: pointerOnly}
	}
	check := func(changes int, want ...schema.LFSObject) {
		t.Helper()
		pin, blobs, _ := roundTrip(t, resolver(false), repo)
		if diff := cmp.Diff(want, pin.LFS); diff != "" {
			t.Error(diff)
		}
		if len(changesOf(t, pin.Changes, blobs)) != changes {
			t.Errorf("%+v", pin.Summary)
		}
		pin.Root = nil // pointers need no LFS server
		if a := resolver(false).CheckCode(t.Context(), pin, blobs); a.State != schema.StateAvailable {
			t.Errorf("%+v", a)
		}
		restore(t, resolver(false), pin, blobs)
		pointers := 0
		for _, r := range pin.Reasons {
			if r.Code == "lfs-pointer" {
				pointers++
			}
		}
		for _, o := range pin.LFS {
			pointers -= b2i(o.PointerOnly)
		}
		if pointers != 0 {
			t.Errorf("reasons %v", pin.Reasons)
		}
	}
	check(0, entry("hidden.bin", object, true), entry("model.bin", object, true), entry("same.bin", same, true))
	repo.Git("update-index", "--assume-unchanged", "hidden.bin") // looked at by its bytes: the same answer
	check(0, entry("hidden.bin", object, true), entry("model.bin", object, true), entry("same.bin", same, true))
	// A pointer to something else is an edit, and still a pointer; a new one too.
	repo.Write("model.bin", string(formatPointer(schema.SHA256([]byte("other")), 5))).Write("new.bin", string(pointer))
	check(2, entry("hidden.bin", object, true), entry("model.bin", "other", true), entry("new.bin", object, true), entry("same.bin", same, true))
	// A withheld file leaves no digest.
	repo.Write("key.bin", "GITHUB_TOKEN="+token()+"\n")
	pin, _ := capture(t, resolver(false), repo)
	for _, o := range pin.LFS {
		if o.Path == "key.bin" {
			t.Errorf("%+v", o)
		}
	}
}

func TestLFSObjectAsLargeAsItsPointer(t *testing.T) {
	codetest.RequirePart(t, "git-lfs")
	repo := codetest.New(t)
	repo.Git("lfs", "install", "--skip-repo")
	repo.Git("lfs", "track", "*.bin")
	same := strings.Repeat("s", len(formatPointer(schema.SHA256(nil), 100)))
	repo.Write("same.bin", same).Commit("first")
	repo.Remote()
	pin, _, _ := roundTrip(t, resolver(false), repo)
	want := []schema.LFSObject{{Path: "same.bin", OID: schema.SHA256([]byte(same)), Bytes: int64(len(same))}}
	if diff := cmp.Diff(want, pin.LFS); diff != "" || pin.Dirty || hasReason(pin, "lfs-pointer") {
		t.Errorf("dirty %v, %v: %s", pin.Dirty, pin.Reasons, diff)
	}
}

// BenchmarkSearch measures what the search adds to a bundle of a history without a remote.
func BenchmarkSearch(b *testing.B) {
	repo := codetest.New(b)
	for i := range 20 {
		for f := range 50 {
			repo.Write(fmt.Sprintf("pkg/f%02d.py", f), strings.Repeat(fmt.Sprintf("def f%d(x): return x + %d\n", i, f), 400))
		}
		repo.Commit("more")
	}
	for b.Loop() {
		if _, err := New(Options{}).ResolveCode(b.Context(), recorder.CodeRequest{Ref: ".", WorkDir: repo.Dir, Sink: &codetest.Blobs{}}); err != nil {
			b.Fatal(err)
		}
	}
}
