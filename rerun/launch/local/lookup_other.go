//go:build !unix

package local

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/rerun/launch"
)

// lookup finds a program as the system does, with runpin's own PATH and PATHEXT.
func lookup(name, dir string, _ []string) (string, error) {
	at := name
	if strings.ContainsAny(name, `/\`) && !filepath.IsAbs(name) && dir != "" {
		at = filepath.Join(dir, name)
	}
	path, err := exec.LookPath(at)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
		return path, nil
	case errors.Is(err, exec.ErrNotFound):
		return "", notFound(name)
	default:
		return "", refused(launch.CodeNotExecutable, name, err, "")
	}
}

func isFormatError(error) bool { return false }

func isTooLong(error) bool { return false }
