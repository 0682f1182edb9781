package environment

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// later is a clock by which every directory of a test has been at rest for an hour.
func later() time.Time { return time.Now().Add(time.Hour) }

// venv makes a virtual environment with every way in which a package can be installed.
func venv(t testing.TB) string {
	site := "lib/python3.11/site-packages/"
	root := tree(t, map[string]string{
		"pyvenv.cfg":      "home = /opt/base/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n",
		"bin/python3.11!": "\x7fELF",
		"bin/python":      "-> python3.11",
		"bin/python3":     "-> python",
		"bin/torchrun!":   "#!@/bin/python\nimport sys\n",
		"bin/long!":       "#!/bin/sh\n'''exec' \"@/bin/python\" \"$0\" \"$@\"\n' '''\n",
		"train.py!":       "#!/usr/bin/env python3\nprint()\n",
		"split.py!":       "#!/usr/bin/env -S python3 -u\nprint()\n",
		"lib64":           "-> lib",

		site + "numpy-1.26.0.dist-info/METADATA":                          "Metadata-Version: 2.1\nName: NumPy\nVersion: 1.26.0\nSummary: x\n\nName: not this\n",
		site + "My_Pkg.x-2.0.dist-info/METADATA":                          "Name: My_Pkg.x\r\nVersion: 2.0+cu121\r\n",
		site + "vcs-1.0.dist-info/METADATA":                               "Name: vcs\nVersion: 1.0\n",
		site + "vcs-1.0.dist-info/direct_url.json":                        `{"url": "https://bot:hunter2@example.com/vcs.git", "vcs_info": {"vcs": "git", "commit_id": "4b825dc642cb6eb9a060e54bf8d69288fbee4904"}}`,
		site + "arch-1.0.dist-info/METADATA":                              "Name: arch\nVersion: 1.0\n",
		site + "arch-1.0.dist-info/direct_url.json":                       `{"url": "https://example.com/arch.whl", "archive_info": {"hashes": {"sha256": "00ff"}}}`,
		site + "edit-0.1.dist-info/METADATA":                              "Name: edit\nVersion: 0.1\n",
		site + "edit-0.1.dist-info/direct_url.json":                       `{"url": "file:///src/my edit", "dir_info": {"editable": true}}`,
		site + "nometa-3.1.dist-info/RECORD":                              "",
		site + "old-0.9-py3.11.egg-info":                                  "Metadata-Version: 1.0\nName: old\nVersion: 0.9\n",
		site + "older-0.8-py3.11.egg-info/PKG-INFO":                       "Name: older\nVersion: 0.8\n",
		site + "egg-0.7-py3.11.egg/EGG-INFO/PKG-INFO":                     "Name: egg\nVersion: 0.7\n",
		site + "bad.dist-info/METADATA":                                   "nothing\n",
		site + "evil-1.dist-info/METADATA":                                "Name: evil name\nVersion: 1\n",
		site + "numpy/__init__.py":                                        "",
		"pythonpath/extra-5.0.dist-info/METADATA":                         "Name: extra\nVersion: 5.0\n",
		"home/.local/lib/python3.11/site-packages/u/x":                    "",
		"home/.local/lib/python3.11/site-packages/u-1.dist-info/METADATA": "Name: u\nVersion: 1\n",
	})
	for _, name := range []string{"bin/torchrun", "bin/long"} {
		path := filepath.Join(root, name)
		b, _ := os.ReadFile(path)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), "@", root)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const venvPackages = `python arch 1.0 https://example.com/arch.whl#sha256=00ff
python edit 0.1 editable+file:///src/my%20edit
python egg 0.7
python my-pkg-x 2.0+cu121
python nometa 3.1
python numpy 1.26.0
python old 0.9
python older 0.8
python vcs 1.0 git+https://example.com/vcs.git@4b825dc642cb6eb9a060e54bf8d69288fbee4904
`

func TestPackagesOfACommand(t *testing.T) {
	onLinux(t)
	root := venv(t)
	path := "PATH=" + root + "/bin:/usr/bin:/bin"
	for _, c := range []struct {
		why   string
		argv  []string
		env   []string
		extra string // lines besides
	}{
		{"a path", []string{root + "/bin/python", "train.py"}, nil, ""},
		{"a relative path", []string{"./bin/python"}, nil, ""},
		{"PATH", []string{"python3", "-m", "train"}, []string{path}, ""},
		{"a console script", []string{"torchrun", "--nproc", "8", "t.py"}, []string{path}, ""},
		{"a console script with a long path", []string{"long"}, []string{path}, ""},
		{"env in the shebang", []string{"./train.py"}, []string{path}, ""},
		{"env -S in the shebang", []string{"./split.py"}, []string{path}, ""},
		{"wrappers", []string{"env", "A=B", "nice", "-n", "5", "python", "x"}, []string{path}, ""},
		{"uv run", []string{"./uv", "run", "--frozen", "train.py"}, []string{path, "UV_PROJECT_ENVIRONMENT=."}, ""},
		{"PYTHONPATH", []string{"python"}, []string{path, "PYTHONPATH=" + root + "/pythonpath:rel:"}, "python extra 5.0\n"},
		{"PYTHONPATH ignored", []string{"python", "-uE", "x"}, []string{path, "PYTHONPATH=pythonpath"}, ""},
		{"no user site in an environment", []string{"python"}, []string{path, "HOME=" + root + "/home"}, ""},
	} {
		if c.why == "uv run" {
			if err := os.WriteFile(filepath.Join(root, "uv"), []byte("\x7fELF"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		s := &sink{}
		env, err := New(Options{CacheDir: "-", Now: later}).ReadEnvironment(t.Context(), recorder.EnvironmentRequest{Argv: c.argv, Env: c.env, Dir: root, Sink: s})
		in := env.Interpreter
		if err != nil || in == nil {
			t.Errorf("%s: %+v, %v", c.why, env.Reasons, err)
			continue
		}
		want := strings.SplitAfter(venvPackages+c.extra, "\n")
		slices.Sort(want)
		if in.Kind != "python" || in.Version != "3.11.7" || string(in.Prefix) != root || filepath.Dir(string(in.Path)) != root+"/bin" {
			t.Errorf("%s: %+v", c.why, in)
		}
		if len(s.blobs) != 1 || s.blobs[0] != strings.Join(want, "") || in.Count != len(want)-1 || in.Packages == nil || in.Packages.Kind != schema.BlobPackages {
			t.Errorf("%s: %+v\n%s\nwant\n%s", c.why, in, s.blobs, strings.Join(want, ""))
		}
		if env.Facts["python_hash_seed"] != "random" {
			t.Errorf("%s: hash seed %q", c.why, env.Facts["python_hash_seed"])
		}
		if !slices.ContainsFunc(env.Reasons, func(r schema.Reason) bool { return strings.HasPrefix(r.Text, "2 of its packages") }) {
			t.Errorf("%s: what could not be read is not said: %+v", c.why, env.Reasons)
		}
		if b, _ := schema.Canonical(env); strings.Contains(string(b)+s.blobs[0], "hunter2") {
			t.Errorf("%s: a password came through", c.why)
		}
	}
}

func TestOtherInterpreters(t *testing.T) {
	onLinux(t)
	root := tree(t, map[string]string{
		// A base installation as conda makes it.
		"conda/bin/python3.10!":                                        "\x7fELF",
		"conda/bin/python":                                             "-> python3.10",
		"conda/conda-meta/python-3.10.13-h955ad1f_0.json":              "{}",
		"conda/conda-meta/scikit-learn-1.3.0-py310_1.json":             "{}",
		"conda/conda-meta/history":                                     "",
		"conda/lib/python3.10/os.py":                                   "",
		"conda/lib/python3.10/site-packages/pip-23.dist-info/METADATA": "Name: pip\nVersion: 23\n",
		// A system installation as Debian makes it.
		"usr/bin/python3":     "-> python3.11",
		"usr/bin/python3.11!": "\x7fELF",
		"usr/lib/python3/dist-packages/apt-2.6.dist-info/METADATA":               "Name: apt\nVersion: 2.6\n",
		"usr/local/lib/python3.11/dist-packages/loc-1.dist-info/METADATA":        "Name: loc\nVersion: 1\n",
		"home/.local/lib/python3.11/site-packages/mine-1.dist-info/METADATA":     "Name: mine\nVersion: 1\n",
		"home/.local/lib/python3.10/site-packages/not_mine-1.dist-info/METADATA": "Name: not\nVersion: 1\n",
		// pyenv.
		"pyenv/shims/python!":                         "#!/bin/sh\nexec pyenv exec\n",
		"pyenv/version":                               "3.9.1\n",
		"pyenv/versions/3.9.1/bin/python!":            "\x7fELF",
		"pyenv/versions/3.12.9/bin/python!":           "\x7fELF",
		"pyenv/versions/3.12.10/bin/python!":          "\x7fELF",
		"pyenv/versions/3.12.10/lib/python3.12/os.py": "",
		"project/.python-version":                     "# local\n3.12\n",
		// An environment that sees the system's packages.
		"both/pyvenv.cfg": "home = @/usr/bin\ninclude-system-site-packages = true\nversion_info = 3.11.2.final.0\n",
		"both/bin/python": "-> ../../usr/bin/python3.11",
		"both/lib/python3.11/site-packages/own-1.dist-info/METADATA": "Name: own\nVersion: 1\n",
		"bin/train!": "\x7fELF",
		"bin/job!":   "#!/bin/bash\necho\n",
		"bin/loop!":  "#!@/bin/loop\n",
		"bin/conda!": "#!@/conda/bin/python\n",
	})
	for _, name := range []string{"bin/loop", "bin/conda", "both/pyvenv.cfg"} {
		b, _ := os.ReadFile(filepath.Join(root, name))
		if err := os.WriteFile(filepath.Join(root, name), []byte(strings.ReplaceAll(string(b), "@", root)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := "HOME=" + root + "/home"
	for _, c := range []struct {
		why                   string
		argv                  string
		env                   []string
		dir                   string
		path, kind, version   string
		packages, reasonStart string
	}{
		{"conda", "conda/bin/python", nil, "", "conda/bin/python", "conda", "3.10.13", "conda python 3.10.13 h955ad1f_0\nconda scikit-learn 1.3.0 py310_1\npython pip 23\n", ""},
		{"debian", "usr/bin/python3", []string{home}, "", "usr/bin/python3", "python", "3.11", "python apt 2.6\npython loc 1\npython mine 1\n", "patch-version"},
		{"debian without the user's", "usr/bin/python3 -s x", []string{home}, "", "usr/bin/python3", "python", "3.11", "python apt 2.6\npython loc 1\n", "patch-version"},
		{"debian isolated", "usr/bin/python3 -I", []string{home}, "", "usr/bin/python3", "python", "3.11", "python apt 2.6\npython loc 1\n", "patch-version"},
		{"an environment with the system's", "both/bin/python", []string{home, "PYTHONNOUSERSITE=1"}, "", "both/bin/python", "python", "3.11.2", "python apt 2.6\npython loc 1\npython own 1\n", ""},
		{"pyenv global", "pyenv/shims/python", nil, "", "pyenv/versions/3.9.1/bin/python", "python", "3.9.1", "", ""},
		{"pyenv local", "pyenv/shims/python", nil, "project", "pyenv/versions/3.12.10/bin/python", "python", "3.12.10", "", ""},
		{"pyenv variable", "pyenv/shims/python", []string{"PYENV_VERSION=3.9.1"}, "project", "pyenv/versions/3.9.1/bin/python", "python", "3.9.1", "", ""},
		{"a program", "bin/train", nil, "", "bin/train", "", "", "-", ""},
		{"a shell script", "bin/job", nil, "", "/bin/bash", "bash", "", "-", ""},
		{"no such program", "bin/none", nil, "", "", "", "", "-", "no-interpreter"},
		{"not in PATH", "python", []string{"PATH=/does/not/exist"}, "", "", "", "", "-", "no-interpreter"},
		{"a shebang that leads to itself", "bin/loop", nil, "", "", "", "", "-", "no-interpreter"},
		{"conda run", "bin/conda run -n x python", nil, "", "", "", "", "-", "no-interpreter"},
	} {
		argv := strings.Fields(c.argv)
		if strings.Contains(argv[0], "/") {
			argv[0] = filepath.Join(root, argv[0])
		}
		s := &sink{}
		env, err := New(Options{CacheDir: "-", Now: later}).ReadEnvironment(t.Context(), recorder.EnvironmentRequest{Argv: argv, Env: c.env, Dir: filepath.Join(root, c.dir), Sink: s})
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		var codes []string
		for _, r := range env.Reasons {
			codes = append(codes, r.Code)
		}
		if c.reasonStart != "" && !slices.Contains(codes, c.reasonStart) {
			t.Errorf("%s: reasons %+v", c.why, env.Reasons)
		}
		if c.path == "" {
			if env.Interpreter != nil {
				t.Errorf("%s: %+v", c.why, env.Interpreter)
			}
			continue
		}
		want := c.path
		if !filepath.IsAbs(want) {
			want = filepath.Join(root, want)
		}
		in := env.Interpreter
		if in == nil || string(in.Path) != want || in.Kind != c.kind || in.Version != c.version {
			t.Errorf("%s: %+v %+v", c.why, in, env.Reasons)
			continue
		}
		switch {
		case c.packages == "-" && (len(s.blobs) > 0 || in.Packages != nil):
			t.Errorf("%s: %q", c.why, s.blobs)
		case c.packages != "-" && (len(s.blobs) != 1 || s.blobs[0] != c.packages):
			t.Errorf("%s: %q", c.why, s.blobs)
		}
	}
}

func TestPackageListIsCachedUntilItChanges(t *testing.T) {
	onLinux(t)
	root := bigVenv(t, 3)
	site := filepath.Join(root, "lib/python3.11/site-packages")
	cache := t.TempDir()
	clock := later
	list := func() string {
		t.Helper()
		s := &sink{}
		r := New(Options{CacheDir: cache, Now: func() time.Time { return clock() }})
		if _, err := r.ReadEnvironment(t.Context(), recorder.EnvironmentRequest{Argv: []string{root + "/bin/python"}, Dir: root, Sink: s}); err != nil || len(s.blobs) != 1 {
			t.Fatalf("%q, %v", s.blobs, err)
		}
		return s.blobs[0]
	}
	first := list()
	// What is changed behind the directory's back is not seen: the answer comes from the cache.
	meta := filepath.Join(site, "package_0-1.0.dist-info/METADATA")
	if err := os.WriteFile(meta, []byte("Name: package_0\nVersion: 9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != first {
		t.Fatalf("not from the cache: %s", got)
	}
	// An installation is.
	if err := os.MkdirAll(filepath.Join(site, "new-1.dist-info"), 0o755); err != nil {
		t.Fatal(err)
	}
	second := list()
	if !strings.Contains(second, "python new 1\n") || !strings.Contains(second, "python package-0 9\n") {
		t.Fatalf("from the cache: %s", second)
	}
	// A directory that has just changed is not trusted: the next change could leave the same time.
	clock = time.Now
	if err := os.Remove(filepath.Join(site, "new-1.dist-info")); err != nil {
		t.Fatal(err)
	}
	list()
	if err := os.WriteFile(meta, []byte("Name: package_0\nVersion: 10\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := list(); !strings.Contains(got, "python package-0 10\n") {
		t.Fatalf("a racy directory was cached: %s", got)
	}
}

// The real Python of this machine, as it sees itself.
func TestAgainstPython(t *testing.T) {
	requirePart(t, "python3")
	python, version, names := askPython(t)
	s := &sink{}
	env, err := New(Options{CacheDir: "-"}).ReadEnvironment(t.Context(), recorder.EnvironmentRequest{Argv: []string{"python3", "x.py"}, Env: os.Environ(), Dir: t.TempDir(), Sink: s})
	if err != nil || env.Interpreter == nil || len(s.blobs) != 1 {
		t.Fatalf("%+v, %v", env.Reasons, err)
	}
	in := env.Interpreter
	if in.Version != version && in.Version != minorOf(version) {
		t.Errorf("version %s, Python says %s", in.Version, version)
	}
	if same, _ := filepath.EvalSymlinks(string(in.Path)); same != python {
		t.Errorf("interpreter %s, Python says %s", same, python)
	}
	for _, name := range names {
		if !strings.Contains("\n"+s.blobs[0], "\npython "+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("Name: a\nVersion: 1\n", "a-1.dist-info", `{"url": "https://u:p@h/x", "vcs_info": {"vcs": "git", "commit_id": "c"}}`)
	f.Add("", "a.dist-info", "{}")
	f.Fuzz(func(t *testing.T, metadata, dir, direct string) {
		if dir == "" || strings.ContainsAny(dir, "/\x00") || dir == "." || dir == ".." || len(dir) > 200 {
			return
		}
		path := filepath.Join(t.TempDir(), dir)
		if os.MkdirAll(path, 0o755) != nil {
			return
		}
		_ = os.WriteFile(filepath.Join(path, "METADATA"), []byte(metadata), 0o644)
		_ = os.WriteFile(filepath.Join(path, "direct_url.json"), []byte(direct), 0o644)
		w := &packageList{seen: map[string]bool{}}
		w.distInfo(path)
		if len(w.lines)+w.unread != 1 {
			t.Fatalf("%d lines, %d unread", len(w.lines), w.unread)
		}
		for _, line := range w.lines {
			if n := len(strings.Fields(line)); n != 3 && n != 4 || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%q", line)
			}
		}
	})
}
