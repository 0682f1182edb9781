package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// lockNames are the files in which package managers write down what they resolved, and the requirements they resolve from.
var lockNames = []string{"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "pylock.toml", "conda-lock.yml", "environment.yml", "environment.yaml", "pixi.lock",
	"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "go.sum", "renv.lock", "Manifest.toml", "flake.lock"}

const (
	maxLockFile  = 16 << 20
	maxLockFiles = 64
	maxLockDir   = 20_000 // entries of a directory looked at
)

// readLockFiles digests the lock files directly in the checkout's root and in the working directory. Paths are relative to the root.
func readLockFiles(root, dir string) findings {
	var f findings
	if root == "" {
		root = dir
	}
	if root == "" {
		return f
	}
	dirs := []string{filepath.Clean(root)}
	if dir != "" && filepath.Clean(dir) != dirs[0] {
		dirs = append(dirs, filepath.Clean(dir))
	}
	for _, d := range dirs {
		names, complete := listDir(d, maxLockDir)
		if !complete && len(names) > 0 {
			f.because("not-read", "lock_files", fmt.Sprintf("%s holds more than %d entries, of which the rest was not looked at", d, maxLockDir))
		}
		slices.Sort(names)
		for _, name := range names {
			if slices.Contains(lockNames, name) || strings.HasPrefix(name, "requirements") && strings.HasSuffix(name, ".txt") {
				f.lockFile(root, filepath.Join(d, name))
			}
		}
	}
	return f
}

func (f *findings) lockFile(root, path string) {
	if len(f.env.LockFiles) >= maxLockFiles {
		return
	}
	shown := path
	if rel, err := filepath.Rel(root, path); err == nil {
		shown = filepath.ToSlash(rel)
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil || info.IsDir():
		return
	case !info.Mode().IsRegular():
		f.because("not-read", shown, "it is no regular file")
		return
	case info.Size() > maxLockFile:
		f.because("too-large", shown, fmt.Sprintf("it has %d bytes; at most %d are digested", info.Size(), maxLockFile))
		return
	}
	b, err := readSmall(path, maxLockFile+1)
	if err != nil || len(b) > maxLockFile {
		f.because("not-read", shown, "it cannot be read")
		return
	}
	f.env.LockFiles = append(f.env.LockFiles, schema.LockFile{Path: schema.Text(shown), Digest: schema.SHA256(b)})
}
