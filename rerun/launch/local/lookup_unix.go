//go:build unix

package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runpin/runpin/rerun/launch"
)

// lookup finds a program as execvp(3) does, with the PATH and the directory that the command will have rather than runpin's own.
func lookup(name, dir string, env []string) (string, error) {
	if strings.ContainsRune(name, '/') {
		at := name
		if !filepath.IsAbs(at) {
			at = filepath.Join(dirOr(dir), name)
		}
		switch err := executable(at); {
		case err == nil:
			return filepath.Abs(at) // the process looks it up after it has changed its directory
		case errors.Is(err, os.ErrNotExist):
			return "", notFound(name)
		default:
			return "", refused(launch.CodeNotExecutable, name, err, "chmod +x it, or name its interpreter: python3 "+name)
		}
	}
	var found error
	for _, entry := range filepath.SplitList(pathOf(env)) {
		if !filepath.IsAbs(entry) {
			entry = filepath.Join(dirOr(dir), entry)
		}
		at := filepath.Join(entry, name)
		err := executable(at)
		if err == nil {
			return filepath.Abs(at)
		}
		if !errors.Is(err, os.ErrNotExist) && found == nil {
			found = err
		}
	}
	if found != nil {
		return "", refused(launch.CodeNotExecutable, name, found, "")
	}
	return "", notFound(name)
}

func dirOr(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// pathOf gives the PATH of an environment, in which the last of several wins (os/exec); nil stands for runpin's own.
func pathOf(env []string) string {
	if env == nil {
		return os.Getenv("PATH")
	}
	path := ""
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			path = value
		}
	}
	return path
}

func executable(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, unix.ENOTDIR) {
		return os.ErrNotExist
	}
	if err != nil {
		return cause(err)
	}
	if info.IsDir() {
		return unix.EISDIR
	}
	return unix.Access(path, unix.X_OK)
}

func isFormatError(err error) bool { return errors.Is(err, unix.ENOEXEC) }

func isTooLong(err error) bool { return errors.Is(err, unix.E2BIG) }
