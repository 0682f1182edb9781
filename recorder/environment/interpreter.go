package environment

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// readInterpreter finds the program that the command comes down to, through shebangs, env, wrappers and pyenv's shims, and lists what is installed
// for it when it is a Python. Nothing is started.
func (r *Reader) readInterpreter(ctx context.Context, req recorder.EnvironmentRequest, vars map[string]string) (findings, error) {
	var f findings
	if len(req.Argv) == 0 {
		return f, nil
	}
	s := search{dir: req.Dir, root: req.CodeRoot, vars: vars, path: vars["PATH"]}
	found, why := s.resolve(req.Argv, 0)
	if found.path == "" {
		f.because("no-interpreter", "interpreter", why)
		return f, nil
	}
	in := &schema.Interpreter{Path: schema.Text(found.path), Kind: found.kind()}
	f.env.Interpreter = in
	if in.Kind != "python" {
		return f, nil
	}
	py := r.inspectPython(found, s)
	in.Prefix, in.Version = schema.Text(py.prefix), py.version
	if py.conda {
		in.Kind = "conda"
	}
	f.reasons = append(f.reasons, py.reasons...)
	if py.minor == "" {
		f.because("no-packages", "interpreter.packages", "it could not be found out which version of Python this is, so its packages were not looked for")
		return f, nil
	}
	list, reasons, err := r.packages(py)
	f.reasons = append(f.reasons, reasons...)
	if err != nil || ctx.Err() != nil {
		return f, nil
	}
	in.Count = bytes.Count(list, []byte("\n"))
	if req.Sink == nil {
		f.because("not-kept", "interpreter.packages", "there was nowhere to keep the list")
		return f, nil
	}
	ref, err := req.Sink.PutBlob(ctx, schema.BlobPackages, bytes.NewReader(list))
	if err != nil {
		return f, err
	}
	in.Packages = &ref
	return f, nil
}

// program is what a command resolves to. args are the arguments that it gets.
type program struct {
	path string
	args []string
}

// kind names the interpreter by its program: "python", "bash", "node"; "" for any other program.
func (p program) kind() string {
	base := strings.ToLower(strings.TrimSuffix(filepath.Base(p.path), ".exe"))
	base = strings.TrimRight(base, "0123456789.")
	switch base {
	case "python", "pythonw", "pypy", "ipython", "python3.11-debug":
		return "python"
	case "sh", "bash", "dash", "zsh", "node", "julia", "rscript", "perl", "ruby", "java", "php", "lua":
		return base
	case "r":
		return "rscript"
	}
	return ""
}

// search is where programs are looked for.
type search struct {
	dir, root, path string
	vars            map[string]string
}

const maxResolve = 8 // shebangs and wrappers followed

// wrappers start the command among their arguments, in the same environment.
var wrappers = map[string]bool{"env": true, "nice": true, "nohup": true, "time": true, "stdbuf": true, "taskset": true, "numactl": true, "srun": true, "mpirun": true, "mpiexec": true,
	"timeout": true, "ionice": true, "setsid": true, "chrt": true, "xvfb-run": true, "unbuffer": true, "sudo": true, "strace": true, "perf": true, "catchsegv": true, "gdb": true, "nsys": true}

// resolve gives the program, or why there is none.
func (s search) resolve(argv []string, depth int) (program, string) {
	if depth > maxResolve {
		return program{}, "the command leads through too many wrappers and shebangs"
	}
	path := s.find(argv[0])
	if path == "" {
		return program{}, "the program " + schema.Shorten(argv[0], 200) + " is not in PATH"
	}
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	if real := s.pyenv(path); real != "" {
		return s.resolve(append([]string{real}, argv[1:]...), depth+1)
	}
	switch {
	case wrappers[name]:
		if inner := s.wrapped(argv[1:]); inner != nil {
			return s.resolve(inner, depth+1)
		}
	case name == "uv" && len(argv) > 2 && argv[1] == "run":
		if inner := s.underUV(argv[2:]); inner != nil {
			return s.resolve(inner, depth+1)
		}
		return program{}, "uv run makes its environment when it starts; create it first with uv sync, or start the command by .venv/bin/python"
	case (name == "conda" || name == "mamba" || name == "micromamba" || name == "poetry" || name == "pipenv" || name == "hatch" || name == "pixi") && len(argv) > 1 && argv[1] == "run":
		return program{}, name + " run chooses the interpreter when it starts; start the command by the interpreter of the environment to have its packages recorded"
	}
	line, second := shebang(path)
	if line == "" {
		return program{path: path, args: argv[1:]}, ""
	}
	inner := append(shebangWords(line, second), path)
	return s.resolve(append(inner, argv[1:]...), depth+1)
}

// find looks a program up as execvp(3) does, in the PATH of the command.
func (s search) find(name string) string {
	if name == "" {
		return ""
	}
	if strings.ContainsRune(name, '/') || runtime.GOOS == "windows" && strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.dir, name)
		}
		return executable(filepath.Clean(name))
	}
	for _, dir := range filepath.SplitList(s.path) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.dir, dir)
		}
		if path := executable(filepath.Join(dir, name)); path != "" {
			return path
		}
	}
	return ""
}

func executable(path string) string {
	candidates := []string{path}
	if runtime.GOOS == "windows" {
		candidates = append(candidates, path+".exe")
	}
	for _, c := range candidates {
		if info, err := os.Stat(c); err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode().Perm()&0o111 != 0) {
			return c
		}
	}
	return ""
}

// shebang gives the first line after #! and, when that is sh, the line after it: pip and uv write long interpreter paths there.
func shebang(path string) (line, second string) {
	f, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	buf := make([]byte, 1024)
	n, _ := f.Read(buf)
	if n < 2 || buf[0] != '#' || buf[1] != '!' {
		return "", ""
	}
	first, rest, ok := strings.Cut(string(buf[2:n]), "\n")
	if !ok && n == len(buf) {
		return "", ""
	}
	second, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSpace(first), second
}

// shebangWords gives the interpreter and its argument. `env -S a b` and pip's ”'exec' "/long path/python" "$0" "$@" are understood.
func shebangWords(line, second string) []string {
	if exec, ok := strings.CutPrefix(second, "'''exec' "); ok && strings.HasSuffix(line, "sh") {
		exec = strings.TrimSpace(exec)
		if len(exec) > 2 && (exec[0] == '"' || exec[0] == '\'') {
			if i := strings.IndexByte(exec[1:], exec[0]); i > 0 {
				return []string{exec[1 : 1+i]}
			}
		}
		if word, _, _ := strings.Cut(exec, " "); word != "" {
			return []string{word}
		}
	}
	interpreter, argument, has := strings.Cut(line, " ")
	argument = strings.TrimSpace(argument)
	if !has || argument == "" {
		return []string{interpreter}
	}
	if filepath.Base(interpreter) == "env" {
		argument = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(argument, "-S"), " "))
		return append([]string{interpreter}, strings.Fields(argument)...)
	}
	return []string{interpreter, argument}
}

// wrapped finds the command among the arguments of a wrapper: the first that is a Python, or a program whose name or shebang makes it one; failing
// that, the first that is any program after the options.
func (s search) wrapped(args []string) []string {
	var first []string
	for i, a := range args {
		if i > 64 {
			break
		}
		if a == "" || a[0] == '-' || strings.Contains(a, "=") {
			continue
		}
		path := s.find(a)
		if path == "" {
			continue
		}
		if (program{path: path}).kind() == "python" {
			return args[i:]
		}
		if first == nil {
			first = args[i:]
		}
	}
	return first
}

// underUV: `uv run` uses the project's environment.
func (s search) underUV(args []string) []string {
	dirs := []string{s.vars["UV_PROJECT_ENVIRONMENT"], filepath.Join(s.dir, ".venv")}
	if s.root != "" {
		dirs = append(dirs, filepath.Join(s.root, ".venv"))
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.dir, dir)
		}
		python := executable(filepath.Join(dir, binDir(), "python"))
		if python == "" {
			continue
		}
		for i, a := range args {
			if a == "" || a[0] == '-' {
				continue
			}
			if p := executable(filepath.Join(dir, binDir(), a)); p != "" {
				return append([]string{p}, args[i+1:]...)
			}
			break
		}
		return append([]string{python}, args...)
	}
	return nil
}

func binDir() string {
	if runtime.GOOS == "windows" {
		return "Scripts"
	}
	return "bin"
}

// pyenv gives the program behind one of pyenv's shims, by the rules of `pyenv version-name`: variable, .python-version upwards, global version.
func (s search) pyenv(path string) string {
	if filepath.Base(filepath.Dir(path)) != "shims" {
		return ""
	}
	root := filepath.Dir(filepath.Dir(path))
	versions := filepath.Join(root, "versions")
	if info, err := os.Stat(versions); err != nil || !info.IsDir() {
		return ""
	}
	var wanted []string
	if v := s.vars["PYENV_VERSION"]; v != "" {
		wanted = strings.Split(v, ":")
	}
	for dir := s.dir; len(wanted) == 0 && dir != ""; dir = filepath.Dir(dir) {
		wanted = versionFile(filepath.Join(dir, ".python-version"))
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if len(wanted) == 0 {
		wanted = versionFile(filepath.Join(root, "version"))
	}
	for _, v := range wanted {
		v = strings.TrimPrefix(v, "python-")
		if v == "" || v == "system" || strings.ContainsAny(v, `/\`) || strings.HasPrefix(v, ".") {
			continue
		}
		if p := executable(filepath.Join(versions, v, binDir(), filepath.Base(path))); p != "" {
			return p
		}
		// "3.11" stands for the latest 3.11.x.
		names, _ := listDir(versions, 1000)
		best := ""
		for _, n := range names {
			if strings.HasPrefix(n, v+".") && laterVersion(n, best) {
				best = n
			}
		}
		if p := executable(filepath.Join(versions, best, binDir(), filepath.Base(path))); best != "" && p != "" {
			return p
		}
	}
	return ""
}

func versionFile(path string) []string {
	b, err := readSmall(path, 4096)
	if err != nil {
		return nil
	}
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			out = append(out, strings.Fields(line)...)
		}
	}
	return out
}

// laterVersion compares dotted numbers: 3.11.10 is later than 3.11.9.
func laterVersion(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(x) && i < len(y); i++ {
		if x[i] != y[i] {
			if len(x[i]) != len(y[i]) {
				return len(x[i]) > len(y[i])
			}
			return x[i] > y[i]
		}
	}
	return len(x) > len(y)
}
