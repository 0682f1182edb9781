package git

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestCleanURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://user:token@host/o/r.git": "https://host/o/r.git",
		"https://token@host/o/r":          "https://host/o/r",
		"ssh://git@host:22/o/r":           "ssh://git@host:22/o/r",
		"ssh://git:secret@host/o/r":       "ssh://git@host/o/r",
		"git@host:o/r.git":                "git@host:o/r.git",
		"/srv/git/r.git":                  "/srv/git/r.git",
		"file:///srv/r.git":               "file:///srv/r.git",
	} {
		if got := CleanURL(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
	if got := Redact("fatal: unable to access 'https://u:p@h/x': nope"); strings.Contains(got, "u:p") || !strings.Contains(got, "https://h/x") {
		t.Errorf("%q", got)
	}
}

func TestCheckPath(t *testing.T) {
	for _, ok := range []string{"a", "a/b", ".gitignore", "git", "a b", "x~1", ".github/x", "...", "ü", "\xff", "git~x"} {
		if err := CheckPath(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "/a", "..", "a/..", ".git", "a/.Git/x", "git~1", "GIT~12", ".git.", ".git  ", ".git:x", "a//b", "./a", ".g\u200dit", `x\.git\y`, strings.Repeat("a", 256)} {
		if CheckPath(bad) == nil {
			t.Errorf("%q is allowed", bad)
		}
	}
}

// TestIgnoreAsGit compares our reading of ignore patterns with git's on random patterns and paths.
func TestIgnoreAsGit(t *testing.T) {
	repo := newRepo(t)
	rnd := rand.New(rand.NewSource(7))
	atoms := []string{"a", "b", "ab", "*", "?", "**", "/", "/", "[ab]", "[!a]", "!", "\\", "a*", "*.x", ".x", " ", "#", "[[:alpha:]]", "[a-"}
	names := []string{"a", "b", "ab", "a.x", "b.x", "#", "!a", "aa", " "}
	for range 200 {
		var file strings.Builder
		for range 1 + rnd.Intn(4) {
			for range 1 + rnd.Intn(5) {
				file.WriteString(atoms[rnd.Intn(len(atoms))])
			}
			file.WriteString("\n")
		}
		repo.Write(".gitignore", file.String())
		patterns := ParseIgnore([]byte(file.String()), "")
		var paths []string
		for range 30 {
			p := names[rnd.Intn(len(names))]
			for rnd.Intn(2) == 0 {
				p += "/" + names[rnd.Intn(len(names))]
			}
			paths = append(paths, p)
		}
		cmd := exec.Command("git", "check-ignore", "-z", "--stdin", "--no-index")
		cmd.Dir, cmd.Stdin = repo.Dir, strings.NewReader(strings.Join(paths, "\x00")+"\x00")
		out, _ := cmd.Output()
		ignored := strings.Split(string(out), "\x00")
		for _, p := range paths {
			got := false // as a walk does: an ignored directory is not entered
			for i := range len(p) {
				if p[i] == '/' {
					if ig, _ := Ignored(patterns, p[:i], true); ig {
						got = true
					}
				}
			}
			if !got {
				got, _ = Ignored(patterns, p, false)
			}
			if want := slices.Contains(ignored, p); got != want {
				t.Errorf("%q with %q: ignored %v, git says %v", p, file.String(), got, want)
			}
		}
	}
}

func TestConfigAsGit(t *testing.T) {
	repo := newRepo(t)
	repo.Write("inc", "[x]\n\tincluded = yes\n")
	repo.Write(".git/config", "[core]\n\trepositoryformatversion = 0\n\tbare=false\n[remote \"or\\\"ig\\\\in\"]\n\turl = \"a # b\" c ; comment\n[A.b]\n\tKey\n\tk2 = one \\\n  two\t\n\tk3 = \"tab\\t\"\n[include]\n\tpath = ../inc\n[includeIf \"onbranch:main\"]\n\tpath = ../inc\n[includeIf \"gitdir:nowhere/\"]\n\tpath = ../missing\n[x]\n\tempty =\n")
	r, err := Open(repo.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"remote.or\"ig\\in.url": "a # b c", "x.included": "yes", "a.b.k2": "one   two", "a.b.k3": "tab\t", "x.empty": ""} {
		got, ok := r.Config.Get(key)
		if git := repo.Git("config", "--includes", "--get", key); !ok || got != want || strings.TrimSuffix(git, "\n") != want {
			t.Errorf("%s: got %q, git says %q, want %q", key, got, git, want)
		}
	}
	if !r.Config.Bool("a.b.key") {
		t.Error("a key without a value is not true")
	}
}

func TestRewriteTreeAsGit(t *testing.T) {
	objects := memory{}
	put := func(entries ...TreeEntry) schema.ObjectID {
		b := FormatTree(entries)
		id := HashObject("tree", b, 20)
		objects[id] = b
		return id
	}
	blob := func(s string) schema.ObjectID { return HashObject("blob", []byte(s), 20) }
	base := put(TreeEntry{"a", ModeFile, blob("a")}, TreeEntry{"d", ModeTree, put(TreeEntry{"x", ModeFile, blob("x")})})
	for name, c := range map[string]struct {
		edits []Edit
		want  schema.ObjectID
	}{
		"nothing":           {nil, base},
		"last file goes":    {[]Edit{{Path: "d/x"}}, put(TreeEntry{"a", ModeFile, blob("a")})},
		"all go":            {[]Edit{{Path: "d/x"}, {Path: "a"}}, EmptyTree(20)},
		"file to directory": {[]Edit{{"a/b", ModeFile, blob("b")}, {Path: "a"}}, put(TreeEntry{"a", ModeTree, put(TreeEntry{"b", ModeFile, blob("b")})}, TreeEntry{"d", ModeTree, put(TreeEntry{"x", ModeFile, blob("x")})})},
		"absent removed":    {[]Edit{{Path: "q/r/s"}}, base},
		"sort order":        {[]Edit{{"d.x", ModeFile, blob("1")}, {"d0", ModeFile, blob("2")}, {"d-", ModeFile, blob("3")}}, put(TreeEntry{"a", ModeFile, blob("a")}, TreeEntry{"d-", ModeFile, blob("3")}, TreeEntry{"d.x", ModeFile, blob("1")}, TreeEntry{"d", ModeTree, put(TreeEntry{"x", ModeFile, blob("x")})}, TreeEntry{"d0", ModeFile, blob("2")})},
	} {
		got, err := RewriteTree(objects, base, c.edits, 20)
		if err != nil || got != c.want {
			t.Errorf("%s: %s %v, want %s", name, got, err, c.want)
		}
	}
	if got := EmptyTree(20); got != "4b825dc642cb6eb9a060e54bf8d69288fbee4904" {
		t.Errorf("the empty tree is %s", got)
	}
}

// checkout is a repository in a temporary directory. (recorder/code/codetest has more; this room does not import that one's.)
type checkout struct {
	t   testing.TB
	Dir string
}

func newRepo(t testing.TB) checkout {
	t.Helper()
	requirePart(t, "git")
	home := t.TempDir()
	for name, value := range map[string]string{"HOME": home, "XDG_CONFIG_HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com",
		"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com"} {
		t.Setenv(name, value)
	}
	r := checkout{t, filepath.Join(t.TempDir(), "repo")}
	if out, err := exec.Command("git", "init", "--quiet", "--initial-branch=main", r.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return r
}

func (r checkout) Git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v %s", args, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func (r checkout) Write(rel, content string) checkout {
	r.t.Helper()
	p := filepath.Join(r.Dir, filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r checkout) Commit(message string) {
	r.t.Helper()
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--message", message)
}

func requirePart(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if required := os.Getenv("RUNPIN_TEST_REQUIRE"); required == "all" || slices.Contains(strings.Split(required, ","), name) {
		t.Fatalf("%s is missing, and RUNPIN_TEST_REQUIRE=%s", name, required)
	}
	t.Skipf("%s is not installed", name)
}

type memory map[schema.ObjectID][]byte

func (m memory) ReadObject(id schema.ObjectID) (string, []byte, error) {
	b, ok := m[id]
	if !ok {
		return "", nil, fmt.Errorf("%s: %w", id, ErrMissing)
	}
	return "tree", b, nil
}

func FuzzParseIndex(f *testing.F) {
	repo := newRepo(f)
	repo.Write("dir/a", "a").Write("dir/ab", "b").Commit("x")
	for _, v := range []string{"2", "3", "4"} {
		repo.Git("update-index", "--index-version", v)
		if b, err := os.ReadFile(filepath.Join(repo.Dir, ".git", "index")); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if idx, err := ParseIndex(b, 20); err == nil && len(idx.Entries) > len(b) {
			t.Error("more entries than bytes")
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("[a \"b\"]\n\tc = \"d\\n\" # e\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseConfig(b, func(key, value string) error { return nil })
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("1 .M N... 100644 100644 100644 " + strings.Repeat("a", 40) + " " + strings.Repeat("b", 40) + " x\x00? y/\x00"))
	f.Add([]byte("u UU N... 100644 100644 100644 100644 a b c x\x00"))
	f.Fuzz(func(t *testing.T, b []byte) { parseStatus(b) })
}

func FuzzIgnore(f *testing.F) {
	f.Add([]byte("**/a*b[!c]\n!x/\n"), "a/b")
	f.Fuzz(func(t *testing.T, b []byte, path string) { Ignored(ParseIgnore(b, ""), path, false) })
}

func FuzzParseTree(f *testing.F) {
	f.Add(FormatTree([]TreeEntry{{"a", ModeFile, HashObject("blob", nil, 20)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if entries, err := ParseTree(b, 20); err == nil {
			again, err := ParseTree(FormatTree(entries), 20)
			if err != nil || len(again) != len(entries) {
				t.Errorf("%v", err)
			}
		}
	})
}

func FuzzCheckPath(f *testing.F) {
	f.Add(".git/x")
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) == nil && (!filepath.IsLocal(filepath.FromSlash(p)) || bytes.Contains([]byte(strings.ToLower(p)), []byte(".git/")) && strings.HasPrefix(strings.ToLower(p), ".git/")) {
			t.Errorf("%q is allowed", p)
		}
	})
}
