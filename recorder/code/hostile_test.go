package code

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

// TestHostileRecords: a record comes from a store that others write to. Nothing is written outside of the directory, and nothing is left.
func TestHostileRecords(t *testing.T) {
	repo := codetest.New(t)
	repo.Write("a", "a").Write("d/f", "f").Link("/tmp", "link").Link(".git", "gitlink").Link("d", "dirlink").Commit("first")
	pin, _ := capture(t, resolver(false), repo)
	content := []byte("pwned")
	file := func(path string) schema.Change {
		return schema.Change{Path: schema.Text(path), Mode: "100644", Object: pin.Tree, Digest: schema.SHA256(content), Bytes: int64(len(content))}
	}
	with := func(c schema.Change, f func(*schema.Change)) schema.Change { f(&c); return c }
	for name, list := range map[string][]schema.Change{
		"parent":            {file("../pwned")},
		"parent inside":     {file("d/../../pwned")},
		"absolute":          {file("/tmp/runpin-pwned")},
		"git":               {file(".git/hooks/post-checkout")},
		"git case":          {file(".GIT/config")},
		"git nested":        {file("d/.git/config")},
		"git short name":    {file("GIT~1/config")},
		"git trailing":      {file(".git . /config")},
		"git stream":        {file(".git::$INDEX_ALLOCATION/config")},
		"git ignorable":     {file(".g\u200cit/config")},
		"git backslash":     {file(`.git\config`)},
		"nul":               {file("a\x00b")},
		"empty":             {file("")},
		"dot":               {file("./a")},
		"double slash":      {file("d//x")},
		"through link":      {file("link/runpin-pwned")},
		"through git link":  {file("gitlink/config2")},
		"through dir link":  {file("dirlink/x")},
		"own link":          {{Path: "l", Mode: "120000", Object: pin.Tree, Target: "/tmp"}, file("l/runpin-pwned")},
		"below a file":      {file("x"), file("x/y")},
		"twice":             {file("x"), file("x")},
		"mode":              {with(file("x"), func(c *schema.Change) { c.Mode = "104755" })},
		"gitlink mode":      {with(file("x"), func(c *schema.Change) { c.Mode = "160000" })},
		"no digest":         {with(file("x"), func(c *schema.Change) { c.Digest = "" })},
		"negative":          {with(file("x"), func(c *schema.Change) { c.Bytes = -1 })},
		"enormous":          {with(file("x"), func(c *schema.Change) { c.Bytes = 1 << 50 })},
		"wrong size":        {with(file("x"), func(c *schema.Change) { c.Bytes = 3 })},
		"wrong digest":      {with(file("x"), func(c *schema.Change) { c.Digest = schema.SHA256([]byte("other")) })},
		"wrong object":      {file("x")},
		"deleted with mode": {{Path: "a", Deleted: true, Mode: "100644"}},
		"long":              {file(strings.Repeat("x", 300))},
	} {
		t.Run(name, func(t *testing.T) {
			blobs := &codetest.Blobs{}
			blobs.PutBlob(t.Context(), schema.BlobFile, bytes.NewReader(content))
			b, err := schema.Canonical(schema.Changes{Schema: schema.ChangesV1, Commit: pin.Commit, Tree: pin.Tree, Files: list})
			if err != nil {
				t.Fatal(err)
			}
			hostile := pin
			ref, _ := blobs.PutBlob(t.Context(), schema.BlobChanges, bytes.NewReader(b))
			hostile.Changes, hostile.Dirty = &ref, true
			parent := t.TempDir()
			dir := filepath.Join(parent, "out")
			err = resolver(false).RestoreCode(t.Context(), hostile, blobs, dir)
			if k := schema.KindOf(err); k != schema.Invalid && k != schema.Drift && k != schema.Gone {
				t.Errorf("%v (%s)", err, k)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			for _, p := range []string{"/tmp/runpin-pwned", filepath.Join(filepath.Dir(parent), "pwned"), repo.Path(".git/config2")} {
				if _, err := os.Lstat(p); err == nil {
					t.Errorf("%s was written", p)
				}
			}
		})
	}
	for name, change := range map[string]func(*schema.CodePin){
		"other tree":        func(p *schema.CodePin) { p.Tree = p.Commit },
		"other commit tree": func(p *schema.CodePin) { p.CommitTree = p.Commit },
		"submodule leaves": func(p *schema.CodePin) {
			p.Submodules = []schema.Submodule{{Path: "../x", Commit: p.Commit, Tree: p.Tree}}
		},
		"submodule is link": func(p *schema.CodePin) {
			p.Submodules = []schema.Submodule{{Path: "link/x", Commit: p.Commit, Tree: p.Tree}}
		},
		"submodule on root": func(p *schema.CodePin) {
			p.Submodules = []schema.Submodule{{Path: "link", Commit: p.Commit, Tree: p.Tree}}
		},
		"lfs leaves":      func(p *schema.CodePin) { p.LFS = []schema.LFSObject{{Path: "../x", OID: schema.SHA256(nil)}} },
		"lfs without one": func(p *schema.CodePin) { p.LFS = []schema.LFSObject{{Path: "a", OID: schema.SHA256(nil)}} },
		"no tree":         func(p *schema.CodePin) { p.Tree = "" },
		"changes missing": func(p *schema.CodePin) {
			p.Changes = &schema.BlobRef{Kind: schema.BlobChanges, Digest: schema.SHA256([]byte("x"))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			hostile := pin
			change(&hostile)
			parent := t.TempDir()
			err := resolver(false).RestoreCode(t.Context(), hostile, &codetest.Blobs{}, filepath.Join(parent, "out"))
			if k := schema.KindOf(err); k != schema.Invalid && k != schema.Drift && k != schema.Gone {
				t.Errorf("%v (%s)", err, k)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	exists := t.TempDir()
	if err := resolver(false).RestoreCode(t.Context(), pin, &codetest.Blobs{}, exists); schema.KindOf(err) != schema.Conflict {
		t.Errorf("%v", err)
	}
}

func FuzzBundleHeader(f *testing.F) {
	id := schema.ObjectID(strings.Repeat("a", 40))
	f.Add([]byte(bundleHeader(id, []schema.ObjectID{id})))
	f.Add([]byte("# v3 git bundle\n@object-format=sha256\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		commits, prerequisites, err := readBundleHeader(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && len(commits) == 1 {
			again, also, err := readBundleHeader(bufio.NewReader(strings.NewReader(bundleHeader(commits[0], prerequisites))))
			if err != nil || again[0] != commits[0] || len(also) != len(prerequisites) {
				t.Errorf("%v %v %v", again, also, err)
			}
		}
	})
}

func FuzzPointer(f *testing.F) {
	f.Add(formatPointer(schema.SHA256(nil), 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		if oid, size, ok := parsePointer(b); ok {
			if o, s, ok := parsePointer(formatPointer(oid, size)); !ok || o != oid || s != size {
				t.Error("does not survive")
			}
		}
	})
}

func FuzzNotebook(f *testing.F) {
	f.Add([]byte(`{"cells":[{"cell_type":"code","outputs":[1],"execution_count":2,"metadata":{"execution":3}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, ok := notebookSource(b); ok {
			if again, ok := notebookSource(out); !ok || !bytes.Equal(out, again) {
				t.Error("not stable")
			}
		}
	})
}

func FuzzRemoteRef(f *testing.F) {
	for _, s := range []string{"https://h/o/r@main", "ssh://git@h/r.git@v1#sub", "git@h:o/r@x", "file:///r", "@", "https://a@b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ref, err := parseRemoteRef(s); err == nil && (ref.url == "" || ref.rev == "" || strings.HasPrefix(ref.url, "-") || strings.HasPrefix(ref.rev, "-")) {
			t.Errorf("%+v", ref)
		}
	})
}
