package code

import (
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// debrisDirs are directories that tools leave behind in a checkout and that are no code. Only untracked ones are left out.
var debrisDirs = map[string]bool{
	".venv": true, "__pycache__": true, ".ipynb_checkpoints": true, "wandb": true, "mlruns": true, "mlartifacts": true, ".mypy_cache": true,
	".pytest_cache": true, ".ruff_cache": true, ".tox": true, ".nox": true, ".hypothesis": true, "node_modules": true, ".eggs": true, ".cache": true,
	".ipython": true, ".aim": true, "lightning_logs": true, ".dvc/cache": true, ".dvc/tmp": true,
}

// debrisSuffixes and debrisFiles are the same for files.
var (
	debrisSuffixes = []string{".pyc", ".pyo", ".swp", ".egg-info"}
	debrisFiles    = map[string]bool{".DS_Store": true, "Thumbs.db": true, "desktop.ini": true, ".coverage": true, "nohup.out": true,
		"mlflow.db": true, "mlflow.db-journal": true, "mlflow.db-wal": true, "mlflow.db-shm": true}
)

// Debris lists what is never taken for code where it is untracked: directories end with /, * stands for any name.
func Debris() []string {
	list := []string{"venv/ (with a pyvenv.cfg)"}
	for d := range debrisDirs {
		list = append(list, d+"/")
	}
	for _, s := range debrisSuffixes {
		list = append(list, "*"+s)
	}
	for f := range debrisFiles {
		list = append(list, f)
	}
	sort.Strings(list)
	return list
}

// debris gives the part of an untracked path that makes it debris, "" when it is none.
func debris(root, path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts[:len(parts)-1] {
		at := strings.Join(parts[:i+1], "/")
		if debrisDirs[part] || strings.HasSuffix(part, ".egg-info") || i > 0 && debrisDirs[parts[i-1]+"/"+part] {
			return at + "/"
		}
		// A virtual environment may have any name; its marker says what it is.
		if info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(at), "pyvenv.cfg")); err == nil && info.Mode().IsRegular() {
			return at + "/"
		}
	}
	last := parts[len(parts)-1]
	if debrisFiles[last] {
		return path
	}
	for _, s := range debrisSuffixes {
		if strings.HasSuffix(last, s) && last != s {
			return path
		}
	}
	return ""
}

// exclusion is an excluded path relative to a checkout's root, slash-separated.
type exclusion struct{ path, why string }

// exclusionsIn maps absolute excluded paths to a checkout. A path is compared as it was given and with its symbolic links resolved, since
// either may be how the checkout was reached. whole names the exclusions that would cover the entire checkout: those exclude nothing.
func exclusionsIn(root string, list []recorder.Excluded) (in []exclusion, whole []recorder.Excluded) {
	roots := []string{root}
	if real, err := filepath.EvalSymlinks(root); err == nil && real != root {
		roots = append(roots, real)
	}
	seen := map[string]bool{}
	for _, e := range list {
		paths := []string{filepath.Clean(e.Path)}
		if real, err := filepath.EvalSymlinks(e.Path); err == nil && real != paths[0] {
			paths = append(paths, real)
		} else if real, err := filepath.EvalSymlinks(filepath.Dir(e.Path)); err == nil {
			paths = append(paths, filepath.Join(real, filepath.Base(e.Path)))
		}
		covers := false
		for _, r := range roots {
			for _, p := range paths {
				rel, err := filepath.Rel(r, p)
				if err != nil {
					continue
				}
				rel = filepath.ToSlash(rel)
				switch {
				case rel == "." || rel == ".." || strings.Trim(rel, "./") == "":
					covers = true
				case strings.HasPrefix(rel, "../"):
				case !seen[rel]:
					seen[rel] = true
					in = append(in, exclusion{rel, e.Why})
				}
			}
		}
		if covers {
			whole = append(whole, e)
		}
	}
	sort.Slice(in, func(i, j int) bool { return in[i].path < in[j].path })
	return in, whole
}

// excludedBy gives the exclusion that path lies in.
func excludedBy(list []exclusion, path string) (exclusion, bool) {
	for _, e := range list {
		if path == e.path || strings.HasPrefix(path, e.path+"/") {
			return e, true
		}
	}
	return exclusion{}, false
}

// present turns the exclusions that hide something into what the pin says.
func present(root, prefix string, list []exclusion) []schema.Exclusion {
	var out []schema.Exclusion
	for _, e := range list {
		info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(e.path)))
		if err != nil {
			continue
		}
		path := prefix + e.path
		if info.IsDir() {
			path += "/"
		}
		out = append(out, schema.Exclusion{Path: schema.Text(path), Why: e.why})
	}
	return out
}
