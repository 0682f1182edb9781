package git

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Repo is where a checkout's parts are. Dir is the git directory of this checkout (HEAD, index); Common is the one that all worktrees of
// a repository share (objects, refs, config), equal to Dir in a plain clone. All are absolute.
type Repo struct {
	Root   string
	Dir    string
	Common string
	Config Config
}

// ErrBare says that a directory lies in a repository without a checkout.
var ErrBare = errors.New("a bare repository has no checkout")

// ErrNone says that a directory lies in no repository.
var ErrNone = errors.New("not in a git repository")

// Root gives the root of the checkout that dir lies in. It looks at directory entries alone: no process, no configuration.
func Root(dir string) (string, bool) {
	root, _, err := findDotGit(dir)
	return root, err == nil
}

// Open finds the repository of the checkout that dir lies in, and reads its configuration. The error is [ErrNone] or [ErrBare], or says
// what is damaged.
func Open(dir string) (*Repo, error) {
	root, gitDir, err := findDotGit(dir)
	if err != nil {
		return nil, err
	}
	r := &Repo{Root: root, Dir: gitDir, Common: gitDir}
	if common, err := readSmall(filepath.Join(gitDir, "commondir")); err == nil {
		r.Common = resolveIn(gitDir, strings.TrimSpace(string(common)))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !isDir(filepath.Join(r.Common, "objects")) {
		return nil, fmt.Errorf("%s is not a git repository: it has no objects", gitDir)
	}
	if r.Config, err = readRepoConfig(r); err != nil {
		return nil, err
	}
	if version, _ := r.Config.Get("core.repositoryformatversion"); version != "" && version != "0" && version != "1" {
		return nil, fmt.Errorf("repository format %q is newer than this program knows", version)
	}
	if tree, ok := r.Config.Get("core.worktree"); ok && !samePlace(resolveIn(gitDir, tree), root) {
		return nil, fmt.Errorf("its configuration (core.worktree) says that the checkout is elsewhere, at %q", tree)
	}
	return r, nil
}

// findDotGit walks up from dir to the first directory that holds .git, as a directory or as a file that points at one (a worktree, a
// submodule).
func findDotGit(dir string) (root, gitDir string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		dotGit := filepath.Join(at, ".git")
		if info, err := os.Stat(dotGit); err == nil {
			switch {
			case info.IsDir() && looksLikeGitDir(dotGit):
				return at, dotGit, nil
			case info.Mode().IsRegular():
				target, err := readGitFile(dotGit)
				if err != nil {
					return "", "", err
				}
				if !looksLikeGitDir(target) {
					return "", "", fmt.Errorf("%s points at %s, which is not a git directory", dotGit, target)
				}
				return at, target, nil
			}
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return "", "", err
		}
		if looksLikeGitDir(at) && isDir(filepath.Join(at, "refs")) {
			return "", "", fmt.Errorf("%s: %w", at, ErrBare)
		}
		if filepath.Dir(at) == at {
			return "", "", ErrNone
		}
	}
}

func readGitFile(path string) (string, error) {
	b, err := readSmall(path)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(strings.TrimRight(string(b), "\r\n"), "gitdir: ")
	if !ok {
		return "", fmt.Errorf("%s is not a git file", path)
	}
	return resolveIn(filepath.Dir(path), target), nil
}

func looksLikeGitDir(dir string) bool {
	if info, err := os.Lstat(filepath.Join(dir, "HEAD")); err != nil || info.IsDir() {
		return false
	}
	return isDir(filepath.Join(dir, "objects")) || isFile(filepath.Join(dir, "commondir"))
}

func resolveIn(dir, path string) string {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

func samePlace(a, b string) bool {
	if a == b {
		return true
	}
	ai, errA := os.Stat(a)
	bi, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ai, bi)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// maxSmall bounds what is read whole of the files below a git directory that are meant to be small.
const maxSmall = 4 << 20

func readSmall(path string) ([]byte, error) { return readAtMost(path, maxSmall) }

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, err
}

// HashSize gives the length in bytes of the repository's object ids: 20 (SHA-1) or 32 (SHA-256).
func (r *Repo) HashSize() int {
	if format, _ := r.Config.Get("extensions.objectformat"); format == "sha256" {
		return 32
	}
	return 20
}

// IndexPath gives the path of the checkout's index.
func (r *Repo) IndexPath() string { return filepath.Join(r.Dir, "index") }

// Shallow reports whether history was cut off when the repository was cloned.
func (r *Repo) Shallow() bool {
	info, err := os.Stat(filepath.Join(r.Common, "shallow"))
	return err == nil && info.Size() > 0
}

// Sparse reports whether only a part of the commit's files is meant to be in the checkout.
func (r *Repo) Sparse() bool { return r.Config.Bool("core.sparsecheckout") }

// ObjectDirs gives the repository's object directory and all that it borrows from, in order.
func (r *Repo) ObjectDirs() []string {
	var dirs []string
	seen := map[string]bool{}
	var add func(dir string, depth int)
	add = func(dir string, depth int) {
		if dir = filepath.Clean(dir); seen[dir] || depth > 5 {
			return
		}
		seen[dir] = true
		dirs = append(dirs, dir)
		b, _ := readSmall(filepath.Join(dir, "info", "alternates"))
		for line := range strings.SplitSeq(string(b), "\n") {
			if line != "" && line[0] != '#' && line[0] != '"' {
				add(resolveIn(dir, line), depth+1)
			}
		}
	}
	add(filepath.Join(r.Common, "objects"), 0)
	return dirs
}
