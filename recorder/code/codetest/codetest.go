// Package codetest builds git repositories for tests, with the real git program, and keeps blobs in memory. It imports schema only. Start
// reading at [New].
package codetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runpin/runpin/schema"
)

// RequirePart skips a test when a program is missing, unless RUNPIN_TEST_REQUIRE says that it must be there.
func RequirePart(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if required := os.Getenv("RUNPIN_TEST_REQUIRE"); required == "all" || slices.Contains(strings.Split(required, ","), name) {
		t.Fatalf("%s is missing, and RUNPIN_TEST_REQUIRE=%s", name, required)
	}
	t.Skipf("%s is not installed", name)
}

// Home gives the test a home directory without any git configuration, and returns it.
func Home(t testing.TB) string {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config"), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "",
		"GIT_TERMINAL_PROMPT": "0", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
		"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
	} {
		t.Setenv(name, value)
	}
	os.Unsetenv("GIT_CONFIG_GLOBAL")
	return home
}

// Repo is a checkout in a temporary directory.
type Repo struct {
	T   testing.TB
	Dir string
}

// New makes an empty repository on branch main. The test has a home of its own from then on.
func New(t testing.TB, initArgs ...string) *Repo {
	t.Helper()
	RequirePart(t, "git")
	Home(t)
	return Another(t, initArgs...)
}

// Another makes one more repository in the same home.
func Another(t testing.TB, initArgs ...string) *Repo {
	t.Helper()
	// Links in the temporary directory's own path would make the root's name differ from Dir.
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &Repo{T: t, Dir: filepath.Join(base, "repo")}
	Git(t, base, append(append([]string{"init", "--quiet", "--initial-branch=main"}, initArgs...), r.Dir)...)
	return r
}

// Git runs git in dir and gives its output without the last newline.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_ALLOW_PROTOCOL=file:git:http:https:ssh", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Git runs git in the checkout.
func (r *Repo) Git(args ...string) string {
	r.T.Helper()
	return Git(r.T, r.Dir, args...)
}

// Path gives the absolute path of a file of the checkout.
func (r *Repo) Path(rel string) string { return filepath.Join(r.Dir, filepath.FromSlash(rel)) }

// Write writes a file, replacing what is there.
func (r *Repo) Write(rel, content string) *Repo {
	r.T.Helper()
	path := r.Path(rel)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.T.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.T.Fatal(err)
	}
	return r
}

// Remove removes a file or directory.
func (r *Repo) Remove(rel string) *Repo {
	r.T.Helper()
	if err := os.RemoveAll(r.Path(rel)); err != nil {
		r.T.Fatal(err)
	}
	return r
}

// Link makes a symbolic link.
func (r *Repo) Link(target, rel string) *Repo {
	r.T.Helper()
	r.Remove(rel)
	if err := os.MkdirAll(filepath.Dir(r.Path(rel)), 0o755); err != nil {
		r.T.Fatal(err)
	}
	if err := os.Symlink(target, r.Path(rel)); err != nil {
		r.T.Fatal(err)
	}
	return r
}

// Chmod changes a file's mode.
func (r *Repo) Chmod(rel string, mode fs.FileMode) *Repo {
	r.T.Helper()
	if err := os.Chmod(r.Path(rel), mode); err != nil {
		r.T.Fatal(err)
	}
	return r
}

// Commit commits everything that is not ignored.
func (r *Repo) Commit(message string) string {
	r.T.Helper()
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.Git("rev-parse", "HEAD")
}

// Remote makes a bare repository, names it origin, and pushes the current branch to it. It gives the bare directory.
func (r *Repo) Remote() string {
	r.T.Helper()
	dir := filepath.Join(r.T.TempDir(), "remote.git")
	Git(r.T, r.Dir, "init", "--quiet", "--bare", "--initial-branch=main", dir)
	Git(r.T, dir, "config", "uploadpack.allowFilter", "true")
	r.Git("remote", "add", "origin", "file://"+dir)
	r.Git("push", "--quiet", "--set-upstream", "origin", "HEAD")
	return dir
}

// Rewrite does to a bare remote what a rewritten history does: its branch becomes an unrelated commit, and what is no longer reachable is
// collected.
func Rewrite(t testing.TB, remoteDir, branch string) {
	t.Helper()
	other := Another(t)
	other.Write("REWRITTEN", "history was rewritten\n").Commit("rewritten")
	other.Git("push", "--quiet", "--force", remoteDir, "HEAD:"+branch)
	Git(t, remoteDir, "reflog", "expire", "--expire=now", "--all")
	Git(t, remoteDir, "gc", "--quiet", "--prune=now")
}

// Blobs is a store of blobs in memory: a sink and a source.
type Blobs struct {
	mu      sync.Mutex
	content map[schema.Digest][]byte
}

// PutBlob implements schema.BlobSink.
func (b *Blobs) PutBlob(_ context.Context, kind schema.BlobKind, content io.Reader) (schema.BlobRef, error) {
	data, err := io.ReadAll(content)
	if err != nil {
		return schema.BlobRef{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.content == nil {
		b.content = map[schema.Digest][]byte{}
	}
	d := schema.SHA256(data)
	b.content[d] = data
	return schema.BlobRef{Kind: kind, Digest: d, Bytes: int64(len(data))}, nil
}

// OpenBlob implements schema.BlobSource.
func (b *Blobs) OpenBlob(_ context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.content[ref.Digest]
	if !ok {
		return nil, &schema.Error{Op: "blobs.open", Kind: schema.Gone, Subject: string(ref.Digest), Err: fmt.Errorf("no such blob")}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Get gives a blob's bytes, nil when there is none.
func (b *Blobs) Get(d schema.Digest) []byte { return b.content[d] }

// Delete forgets a blob.
func (b *Blobs) Delete(d schema.Digest) { delete(b.content, d) }

// Len gives the number of blobs.
func (b *Blobs) Len() int { return len(b.content) }

// Files lists every file below dir but what lies in a .git: path to "mode content", where the mode is git's.
func Files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == ".git" {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			all[filepath.ToSlash(rel)] = "120000 " + target
			return err
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			mode := "100644 "
			if info.Mode()&0o100 != 0 {
				mode = "100755 "
			}
			all[filepath.ToSlash(rel)] = mode + string(b)
			return err
		}
		all[filepath.ToSlash(rel)] = info.Mode().Type().String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
