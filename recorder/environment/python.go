package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// python is an interpreter and where its packages lie.
type python struct {
	prefix  string
	version string   // 3.11.7, or 3.11 where no more can be learned
	minor   string   // 3.11
	sites   []string // directories of packages, in the order of sys.path
	conda   bool
	reasons []schema.Reason
}

var (
	versionedName = regexp.MustCompile(`^(?:python|pypy)(\d+\.\d+)$`)
	versionInPath = regexp.MustCompile(`(?:cpython-|python-|python@|/versions/|/hostedtoolcache/Python/|/Python/)(\d+\.\d+\.\d+)(?:[-+/@]|$)`)
	versionDir    = regexp.MustCompile(`^(?:python|pypy)(\d+\.\d+)t?$`)
	patchLevel    = regexp.MustCompile(`#define\s+PY_VERSION\s+"(\d+\.\d+\.\d+[a-z0-9+]*)"`)
	fullVersion   = regexp.MustCompile(`^\d+\.\d+\.\d+`)
)

// inspectPython finds prefix, version and package directories by the rules of the site module: pyvenv.cfg beside or above the program makes a
// virtual environment (PEP 405); otherwise the prefix is above the program's real place.
func (r *Reader) inspectPython(p program, s search) python {
	py := python{}
	real, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		real = p.path
	}
	base := filepath.Dir(filepath.Dir(real)) // bin/python3
	if runtime.GOOS == "windows" {
		base = filepath.Dir(real)
	}
	py.prefix = base
	systemSites := true
	for _, dir := range []string{filepath.Dir(p.path), filepath.Dir(filepath.Dir(p.path))} {
		cfg, ok := readVenv(filepath.Join(dir, "pyvenv.cfg"))
		if !ok {
			continue
		}
		py.prefix, systemSites = dir, strings.EqualFold(cfg["include-system-site-packages"], "true")
		for _, key := range []string{"version", "version_info"} {
			if m := fullVersion.FindString(cfg[key]); m != "" && py.version == "" {
				py.version = m
			}
		}
		if home := cfg["home"]; home != "" && real == p.path { // a copied interpreter
			base = filepath.Dir(home)
		}
		break
	}
	py.conda = isDir(filepath.Join(py.prefix, "conda-meta"))
	if m := versionedName.FindStringSubmatch(strings.TrimSuffix(filepath.Base(real), ".exe")); m != nil {
		py.minor = m[1]
	}
	if py.version == "" {
		py.version = findVersion(py, base, real)
	}
	if py.minor == "" {
		py.minor = minorOf(py.version)
	}
	if py.minor == "" {
		py.minor = onlyMinor(base)
	}
	if minorOf(py.version) != py.minor { // the name of the program decides
		py.version = ""
	}
	if py.version == "" && py.minor != "" {
		py.version = py.minor
		py.reasons = append(py.reasons, schema.Reason{Code: "patch-version", Subject: "interpreter.version", Text: "the third number of the version can only be had by starting the interpreter"})
	}
	if py.minor != "" {
		py.sites = siteDirs(py, base, systemSites, p.args, s)
	}
	return py
}

func findVersion(py python, base, real string) string {
	if py.conda {
		names, _ := listDir(filepath.Join(py.prefix, "conda-meta"), maxPackages)
		for _, n := range names {
			if rest, ok := strings.CutPrefix(n, "python-"); ok {
				if m := fullVersion.FindString(rest); m != "" {
					return m
				}
			}
		}
	}
	if m := versionInPath.FindStringSubmatch(filepath.ToSlash(real)); m != nil {
		return m[1]
	}
	minor := py.minor
	if minor == "" {
		minor = onlyMinor(base)
	}
	if minor != "" {
		b, err := readSmall(filepath.Join(base, "include", "python"+minor, "patchlevel.h"), 8<<10)
		if err == nil {
			if m := patchLevel.FindSubmatch(b); m != nil {
				return string(m[1])
			}
		}
	}
	return ""
}

func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[0] + "." + parts[1]
}

// onlyMinor gives the version of the one Python below a prefix, "" where there are several or none.
func onlyMinor(prefix string) string {
	names, _ := listDir(filepath.Join(prefix, "lib"), maxPackages)
	found := ""
	for _, n := range names {
		m := versionDir.FindStringSubmatch(n)
		if m == nil || !isDir(filepath.Join(prefix, "lib", n)) || !isFile(filepath.Join(prefix, "lib", n, "os.py")) {
			continue
		}
		if found != "" && found != m[1] {
			return ""
		}
		found = m[1]
	}
	return found
}

// readVenv reads pyvenv.cfg.
func readVenv(path string) (map[string]string, bool) {
	b, err := readSmall(path, 16<<10)
	if err != nil {
		return nil, false
	}
	cfg := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			cfg[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
		}
	}
	return cfg, true
}

// siteDirs lists the directories from which packages can be imported and that exist: PYTHONPATH, the environment, the user's, the system's.
func siteDirs(py python, base string, systemSites bool, args []string, s search) []string {
	isolated, noUser, noEnv := pythonFlags(args)
	var dirs []string
	add := func(dir string) {
		if dir == "" {
			return
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil { // lib64 is a link to lib
			dir = real
		}
		if isDir(dir) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if !isolated && !noEnv {
		for _, dir := range filepath.SplitList(s.vars["PYTHONPATH"]) {
			if dir != "" && !filepath.IsAbs(dir) {
				dir = filepath.Join(s.dir, dir)
			}
			add(dir)
		}
	}
	lib := "python" + py.minor
	if strings.HasPrefix(filepath.Base(string(py.prefix)), "pypy") {
		lib = "pypy" + py.minor
	}
	below := func(prefix string) {
		if runtime.GOOS == "windows" {
			add(filepath.Join(prefix, "Lib", "site-packages"))
			return
		}
		for _, l := range []string{"lib", "lib64", "local/lib"} {
			for _, name := range []string{lib, lib + "t"} {
				add(filepath.Join(prefix, l, name, "site-packages"))
				add(filepath.Join(prefix, l, name, "dist-packages"))
			}
		}
	}
	below(py.prefix)
	if systemSites {
		if !isolated && !noUser && s.vars["PYTHONNOUSERSITE"] == "" {
			user := s.vars["PYTHONUSERBASE"]
			if user == "" && s.vars["HOME"] != "" {
				user = filepath.Join(s.vars["HOME"], ".local")
			}
			if user != "" && filepath.IsAbs(user) {
				add(filepath.Join(user, "lib", lib, "site-packages"))
			}
		}
		below(base)
		add(filepath.Join(base, "lib", "python3", "dist-packages")) // Debian
	}
	return dirs
}

// pythonFlags reads the interpreter's own switches before the script.
func pythonFlags(args []string) (isolated, noUser, noEnv bool) {
	for i := 0; i < len(args) && strings.HasPrefix(args[i], "-") && len(args[i]) > 1 && !strings.HasPrefix(args[i], "--"); i++ {
		for _, c := range args[i][1:] {
			switch c {
			case 'I':
				isolated = true
			case 's':
				noUser = true
			case 'E':
				noEnv = true
			case 'c', 'm':
				return isolated, noUser, noEnv
			case 'W', 'X':
				if strings.HasSuffix(args[i], string(c)) {
					i++
				}
			}
			if c == 'W' || c == 'X' || i >= len(args) {
				break
			}
		}
	}
	return isolated, noUser, noEnv
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (py python) key() string {
	return fmt.Sprintf("%s %s %t %q", py.prefix, py.minor, py.conda, py.sites)
}
