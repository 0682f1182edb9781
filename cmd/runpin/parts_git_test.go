package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runGit runs the git program in dir with nobody's configuration and a fixed author, and gives its output without the last newline.
func runGit(t testing.TB, dir string, args ...string) string {
	t.Helper()
	requirePart(t, "git")
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), gitEnv()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// gitEnv makes git the same for everybody: no configuration but the repository's own, a fixed author and time, no questions.
func gitEnv() []string {
	return []string{
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "TZ=UTC",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
	}
}

// bareRemote makes an empty bare repository whose branch is main, and gives its directory and its file:// URL.
func bareRemote(t testing.TB) (dir, url string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "remote.git")
	runGit(t, ".", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	runGit(t, dir, "config", "uploadpack.allowFilter", "true")
	return dir, "file://" + dir
}

// forcePushAndGC does to a remote what a rewritten history does: the branch is replaced by an orphan commit, and everything that is no
// longer reachable is collected. Checkouts keep what they have.
func forcePushAndGC(t testing.TB, remoteDir, branch string) {
	t.Helper()
	work := filepath.Join(t.TempDir(), "rewrite")
	runGit(t, ".", "init", "--quiet", "--initial-branch="+branch, work)
	if err := os.WriteFile(filepath.Join(work, "REWRITTEN"), []byte("history was rewritten\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	runGit(t, work, "add", "REWRITTEN")
	runGit(t, work, "commit", "--quiet", "--message", "rewritten")
	runGit(t, work, "push", "--quiet", "--force", remoteDir, branch)
	runGit(t, remoteDir, "reflog", "expire", "--expire=now", "--all")
	runGit(t, remoteDir, "gc", "--quiet", "--prune=now")
}

func TestPartsGit(t *testing.T) {
	dir, url := bareRemote(t)
	work := filepath.Join(t.TempDir(), "work")
	runGit(t, ".", "clone", "--quiet", url, work)
	runGit(t, work, "commit", "--quiet", "--allow-empty", "--message", "first")
	runGit(t, work, "push", "--quiet", "origin", "main")
	first := runGit(t, work, "rev-parse", "HEAD")
	if got := runGit(t, dir, "rev-parse", "main"); got != first {
		t.Fatalf("the remote has %s, want %s", got, first)
	}
	forcePushAndGC(t, dir, "main")
	if got := runGit(t, dir, "rev-parse", "main"); got == first {
		t.Error("the branch was not rewritten")
	}
	missing := exec.Command("git", "cat-file", "-e", first)
	missing.Dir = dir
	if err := missing.Run(); err == nil {
		t.Errorf("the remote still has %s", first)
	}
	if got := runGit(t, work, "rev-parse", "HEAD"); got != first {
		t.Errorf("the checkout moved to %s", got)
	}
}
