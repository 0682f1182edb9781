package codetest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// Restorer is one way to get code back: the built-in one, or a rendered script. Restore makes dir, which does not exist yet, or fails and leaves nothing.
type Restorer struct {
	Capture func(t *testing.T, repo *Repo) (schema.CodePin, *Blobs)
	Restore func(t *testing.T, pin schema.CodePin, blobs *Blobs, dir string) error
}

// RunRestore holds a way to restore to the same law: what the checkout held comes back file by file, without the clone that it was recorded in; what cannot come
// back, or is not what the record says, is an error, and nothing is left.
func RunRestore(t *testing.T, r Restorer) {
	for name, prepare := range checkouts {
		t.Run(name, func(t *testing.T) {
			repo := prepare(t)
			pin, blobs := r.Capture(t, repo)
			pin.Root = nil
			dir := filepath.Join(t.TempDir(), "restored")
			if err := r.Restore(t, pin, blobs, dir); err != nil {
				t.Fatal(err)
			}
			want, got := Files(t, repo.Dir), Files(t, dir)
			for path := range want {
				if want[path] != got[path] {
					t.Errorf("%q is %q, want %q", path, schema.Shorten(got[path], 200), schema.Shorten(want[path], 200))
				}
			}
			for path := range got {
				if _, there := want[path]; !there {
					t.Errorf("%q is there and was not in the checkout", path)
				}
			}
			if pin.Commit != "" {
				if head := Git(t, dir, "rev-parse", "HEAD"); head != string(pin.Commit) {
					t.Errorf("HEAD is %s, want %s", head, pin.Commit)
				}
			}
		})
	}
	for name, spoil := range spoilt {
		t.Run("refused/"+name, func(t *testing.T) {
			repo := New(t)
			repo.Write("train.py", "print(1)\n").Write("lib/a.py", "a\n").Link("/etc", "out").Commit("first")
			remote := repo.Remote()
			repo.Write("train.py", "print(2)\n").Write("new.py", "n\n")
			pin, blobs := r.Capture(t, repo)
			pin.Root = nil
			spoil(t, &pin, blobs, remote)
			parent := t.TempDir()
			err := r.Restore(t, pin, blobs, filepath.Join(parent, "restored"))
			if err == nil {
				t.Error("it was restored")
			}
			if left, _ := os.ReadDir(parent); len(left) > 0 {
				t.Errorf("%s is left behind", left[0].Name())
			}
		})
	}
}

// checkouts are the states that a checkout can be in.
var checkouts = map[string]func(*testing.T) *Repo{
	"clean": func(t *testing.T) *Repo {
		repo := started(t)
		repo.Remote()
		return repo
	},
	"dirty": func(t *testing.T) *Repo {
		repo := started(t)
		repo.Remote()
		return repo.Write("train.py", "print(2)\n").Chmod("train.py", 0o644).Write("new dir/it's \"new\" $x.py", "n\n").Write("empty", "").Write("bytes", "\x00\xff\r\n").Remove("lib/a.py").
			Link("train.py", "link").Link("../nowhere", "lib/dangling").Write("-n", "dash\n").Write("run.sh", "#!/bin/sh\n").Chmod("run.sh", 0o755)
	},
	"file and directory change places": func(t *testing.T) *Repo {
		repo := started(t)
		repo.Write("d/e/f", "f\n").Write("g", "g\n").Link("lib", "h").Commit("more")
		repo.Remote()
		return repo.Remove("d").Write("d", "now a file\n").Remove("g").Write("g/h/i", "now a directory\n").Remove("h").Write("h/x", "was a link\n").Remove("lib").Link("g", "lib")
	},
	"names": func(t *testing.T) *Repo {
		repo := started(t)
		repo.Remote()
		return repo.Write("ü/é ñ.py", "1").Write("a\tb", "2").Write("a\nb", "3").Write(`back\slash`, "4").Write("$(touch x)`touch y`;'\"", "5").Write("END", "END\nEOF\n").Write("* ? [a]", "6")
	},
	"without a commit": func(t *testing.T) *Repo {
		return New(t).Write("train.py", "t\n").Write("lib/x.py", "x\n").Chmod("lib/x.py", 0o755)
	},
	"on no remote": func(t *testing.T) *Repo {
		repo := started(t)
		return repo.Write("train.py", "print(3)\n")
	},
	"ahead of its remote": func(t *testing.T) *Repo {
		repo := started(t)
		repo.Remote()
		repo.Write("train.py", "print(2)\n").Commit("second")
		repo.Write("lib/b.py", "b\n").Commit("third")
		return repo.Write("lib/b.py", "edited\n")
	},
	"behind its remote": func(t *testing.T) *Repo {
		repo := started(t)
		repo.Remote()
		repo.Write("train.py", "print(2)\n").Commit("second")
		repo.Git("push", "--quiet")
		repo.Git("reset", "--quiet", "--hard", "HEAD~1")
		return repo
	},
	"SHA-256": func(t *testing.T) *Repo {
		repo := New(t, "--object-format=sha256")
		repo.Write("a", "a").Commit("first")
		repo.Remote256()
		return repo.Write("a", "b").Write("c", "c")
	},
	"line endings": func(t *testing.T) *Repo {
		repo := New(t)
		repo.Write(".gitattributes", "*.txt text\n*.bat text eol=crlf\n*.id ident\n").Write("a.txt", "a\nb\n").Write("b.bat", "x\r\ny\r\n").Write("c.id", "$Id$\n").Commit("first")
		repo.Remove("c.id").Remove("b.bat").Git("checkout", "--quiet", ".")
		repo.Remote()
		return repo.Write("new.txt", "1\r\n2\r\n").Write("new.bat", "1\r\n2\r\n").Write("mixed.bat", "1\r\n2\n")
	},
	"ignored file that is tracked": func(t *testing.T) *Repo {
		repo := New(t)
		repo.Write(".gitignore", "*.log\n").Write("kept.log", "1\n")
		repo.Git("add", "--force", ".")
		repo.Git("commit", "--quiet", "--message", "first")
		repo.Remote()
		return repo.Write("kept.log", "2\n")
	},
	"submodules": func(t *testing.T) *Repo {
		repo := withSubmodules(t)
		(&Repo{T: t, Dir: repo.Path("libs/inner")}).Write("inner.py", "2\n").Commit("unpushed")
		return repo.Write("libs/inner/deep/er/deep.py", "edited\n").Write("top.py", "edited\n").Write("libs/inner/new.py", "n\n")
	},
	"submodule removed": func(t *testing.T) *Repo {
		repo := withSubmodules(t)
		repo.Git("rm", "--quiet", "--force", "libs/inner")
		return repo
	},
	"submodule not initialised": func(t *testing.T) *Repo {
		repo := withSubmodules(t)
		repo.Git("submodule", "--quiet", "deinit", "--force", "libs/inner")
		return repo.Write("top.py", "edited\n")
	},
}

func started(t *testing.T) *Repo {
	repo := New(t)
	repo.Write("train.py", "print(1)\n").Chmod("train.py", 0o755).Write("lib/a.py", "a\n").Commit("first")
	return repo
}

// Remote256 is [Repo.Remote] for a repository with SHA-256 names.
func (r *Repo) Remote256() {
	r.T.Helper()
	dir := filepath.Join(r.T.TempDir(), "remote.git")
	Git(r.T, r.Dir, "init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", dir)
	r.Git("remote", "add", "origin", "file://"+dir)
	r.Git("push", "--quiet", "--set-upstream", "origin", "HEAD")
}

func withSubmodules(t *testing.T) *Repo {
	repo := New(t)
	deep := Another(t)
	deep.Write("deep.py", "deep\n").Commit("deep")
	inner := Another(t)
	inner.Write("inner.py", "inner\n").Commit("inner")
	inner.Git("submodule", "--quiet", "add", "file://"+deep.Remote(), "deep/er")
	inner.Commit("with deep")
	repo.Write("top.py", "top\n").Commit("top")
	repo.Git("submodule", "--quiet", "add", "file://"+inner.Remote(), "libs/inner")
	repo.Git("submodule", "--quiet", "update", "--init", "--recursive")
	repo.Commit("with inner")
	repo.Remote()
	return repo
}

// spoilt are records that are damaged, or whose remote is.
var spoilt = map[string]func(t *testing.T, pin *schema.CodePin, blobs *Blobs, remote string){
	"another tree": func(_ *testing.T, pin *schema.CodePin, blobs *Blobs, _ string) {
		other := schema.ObjectID(strings.Repeat("0", 39) + "1")
		editChanges(pin, blobs, func(c *schema.Changes) { c.Tree = other })
		pin.Tree = other
	},
	"another tree of the commit": func(_ *testing.T, pin *schema.CodePin, _ *Blobs, _ string) {
		pin.CommitTree = schema.ObjectID(strings.Repeat("0", 39) + "1")
	},
	"another content": func(_ *testing.T, pin *schema.CodePin, blobs *Blobs, _ string) {
		ref := blobs.put([]byte("something else\n"))
		editChanges(pin, blobs, func(c *schema.Changes) { c.Files[0].Digest, c.Files[0].Bytes = ref, 15 })
	},
	"a change too few": func(_ *testing.T, pin *schema.CodePin, blobs *Blobs, _ string) {
		editChanges(pin, blobs, func(c *schema.Changes) { c.Files = c.Files[1:] })
	},
	"a path that leaves": func(_ *testing.T, pin *schema.CodePin, blobs *Blobs, _ string) {
		editChanges(pin, blobs, func(c *schema.Changes) { c.Files[0].Path = "../escaped" })
	},
	"a path in .git": func(_ *testing.T, pin *schema.CodePin, blobs *Blobs, _ string) {
		editChanges(pin, blobs, func(c *schema.Changes) { c.Files[0].Path = ".git/hooks/post-checkout" })
	},
	"a path behind a link": func(_ *testing.T, pin *schema.CodePin, blobs *Blobs, _ string) {
		editChanges(pin, blobs, func(c *schema.Changes) { c.Files[0].Path = "out/runpin-escaped" })
	},
	"a blob that is gone": func(_ *testing.T, pin *schema.CodePin, blobs *Blobs, _ string) {
		editChanges(pin, blobs, func(c *schema.Changes) { blobs.Delete(c.Files[0].Digest) })
	},
	"a remote that is gone": func(t *testing.T, _ *schema.CodePin, _ *Blobs, remote string) {
		if err := os.RemoveAll(remote); err != nil {
			t.Fatal(err)
		}
	},
	"a history that was rewritten": func(t *testing.T, _ *schema.CodePin, _ *Blobs, remote string) { Rewrite(t, remote, "main") },
	"a remote that is a program": func(_ *testing.T, pin *schema.CodePin, _ *Blobs, _ string) {
		pin.Remote, pin.Remotes = "ext::sh -c 'exit 0'", nil
	},
}

func (b *Blobs) put(data []byte) schema.Digest {
	ref, err := b.PutBlob(context.Background(), schema.BlobFile, bytes.NewReader(data))
	if err != nil {
		panic(err)
	}
	return ref.Digest
}

// editChanges changes the list of changes of a pin, as who writes to the store could.
func editChanges(pin *schema.CodePin, blobs *Blobs, edit func(*schema.Changes)) {
	var list schema.Changes
	if err := json.Unmarshal(blobs.Get(pin.Changes.Digest), &list); err != nil {
		panic(err)
	}
	edit(&list)
	data, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	pin.Changes = &schema.BlobRef{Kind: schema.BlobChanges, Digest: blobs.put(data), Bytes: int64(len(data))}
}
