// Package specfiles answers one question: which files below a directory may be job specs?
//
// A file that the user names is taken as it is. Below a directory those count whose name says that they may be one (Find), and whose content does not
// speak against it (Candidate), so that nobody parses the lock files and the data of a repository. It imports schema only.
package specfiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// MaxFiles is how many files one call gives at most.
const MaxFiles = 100_000

// maxWalked bounds the entries that a walk looks at.
const maxWalked = 5_000_000

// skipped are directories that hold what others wrote.
var skipped = map[string]bool{"vendor": true, "node_modules": true, "__pycache__": true, "site-packages": true}

// Find gives the files of roots: a file itself, and of a directory those below it whose names job specs have, in order, each once and as it is reached from the
// root that was given. Links below a directory are not followed. An error has kind Invalid for a root that is not there, Unavailable for what cannot be read.
func Find(roots []string) ([]string, error) {
	var files []string
	seen := map[string]bool{}
	var failures []error
	walked := 0
	add := func(path string) error {
		if clean := filepath.Clean(path); !seen[clean] {
			seen[clean] = true
			files = append(files, path)
		}
		if len(files) > MaxFiles {
			return fmt.Errorf("there are more than %d files; name fewer directories", MaxFiles)
		}
		return nil
	}
	for _, root := range roots {
		info, err := os.Stat(root)
		if err != nil {
			failures = append(failures, &schema.Error{Op: "files", Kind: schema.Invalid, Subject: root, Err: cause(err)})
			continue
		}
		if !info.IsDir() {
			if err := add(root); err != nil {
				return nil, tooMany(root, err)
			}
			continue
		}
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if walked++; walked > maxWalked {
				return fmt.Errorf("it holds more than %d entries; name fewer directories", maxWalked)
			}
			if err != nil {
				failures = append(failures, &schema.Error{Op: "files", Kind: schema.Unavailable, Subject: path, Err: cause(err)})
				if d != nil && d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			name := d.Name()
			switch {
			case d.IsDir() && path != root && (skipped[name] || strings.HasPrefix(name, ".") && name != ".github" && name != ".gitlab"):
				return fs.SkipDir
			case d.IsDir() || !d.Type().IsRegular() || !named(path):
				return nil
			}
			return add(path)
		})
		if err != nil {
			return nil, tooMany(root, err)
		}
	}
	if len(failures) > 0 {
		return nil, errors.Join(failures...)
	}
	slices.Sort(files)
	return files, nil
}

func tooMany(root string, err error) error {
	return &schema.Error{Op: "files", Kind: schema.Invalid, Subject: root, Err: err}
}

func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// named says whether the name is one that job specs have.
func named(path string) bool {
	base := filepath.Base(path)
	switch filepath.Ext(base) {
	case ".yaml", ".yml", ".json", ".sbatch", ".slurm", ".sh", ".bash", ".def", ".dockerfile", ".Dockerfile":
		return !locks[base]
	}
	return base == "MLproject" || base == "Kustomization" || isDockerfile(base)
}

// locks are files of package managers, large and never job specs.
var locks = map[string]bool{"package-lock.json": true, "package.json": true, "pnpm-lock.yaml": true, "composer.json": true, "conda-lock.yml": true, "tsconfig.json": true, "runpin.yaml": true, ".pre-commit-config.yaml": true}

func isDockerfile(base string) bool {
	for _, name := range []string{"Dockerfile", "Containerfile"} {
		if base == name || strings.HasPrefix(base, name+".") || strings.HasSuffix(base, "."+name) {
			return true
		}
	}
	return false
}

// marks are words of which every job spec that is YAML or JSON has one.
var marks = [][]byte{[]byte("apiVersion"), []byte("image"), []byte("Image"), []byte("services"), []byte("runs-on"), []byte("uses:"), []byte("azureml"), []byte("resources:"), []byte("images:")}

// Candidate says whether a file with this name and this content may be a job spec.
func Candidate(path string, data []byte) bool {
	if bytes.IndexByte(data, 0) >= 0 {
		return false
	}
	base := filepath.Base(path)
	switch ext := filepath.Ext(base); {
	case ext == ".sbatch" || ext == ".slurm" || isDockerfile(base) || ext == ".dockerfile" || base == "MLproject" || base == "Kustomization":
		return true
	case ext == ".sh" || ext == ".bash":
		return bytes.Contains(data, []byte("\n#SBATCH"))
	case ext == ".def":
		return bytes.Contains(bytes.ToLower(data), []byte("bootstrap:"))
	}
	for _, mark := range marks {
		if bytes.Contains(data, mark) {
			return true
		}
	}
	return false
}
