package environment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// sink keeps blobs in memory.
type sink struct {
	blobs []string
	err   error
}

func (s *sink) PutBlob(_ context.Context, kind schema.BlobKind, content io.Reader) (schema.BlobRef, error) {
	b, _ := io.ReadAll(content)
	s.blobs = append(s.blobs, string(b))
	return schema.NewBlob(kind, b).Ref, s.err
}

// tree writes files below a fresh directory: a name that ends with ! is executable, a value that begins with "-> " is a link.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, "!") {
			name, mode = strings.TrimSuffix(name, "!"), 0o755
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads what Linux shows")
	}
}

const cpuinfo = `processor	: 0
vendor_id	: GenuineIntel
model name	: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags		: fpu vme sse4_2 avx avx2 avx512f avx512_bf16 amx_tile amx_int8 fma sha_ni smep sme hypervisor lm

processor	: 1
vendor_id	: GenuineIntel
`

func node() map[string]string {
	return map[string]string{
		"etc/os-release":                          "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/localtime":                           "-> /usr/share/zoneinfo/Europe/Berlin",
		"proc/sys/kernel/osrelease":               "6.1.0-18-amd64\n",
		"proc/sys/kernel/hostname":                "node17\n",
		"proc/sys/kernel/random/boot_id":          "6f1c0b1e-5f43-4f4c-9f56-0d4c0c4f4f4f\n",
		"proc/cpuinfo":                            cpuinfo,
		"proc/meminfo":                            "MemTotal:       16384 kB\nMemFree: 1 kB\n",
		"proc/self/cgroup":                        "0::/user.slice/job\n",
		"proc/self/status":                        "Name:\tx\nUmask:\t0027\nState:\tR\n",
		"proc/1/cgroup":                           "0::/init.scope\n",
		"sys/fs/cgroup/user.slice/cpu.max":        "250000 100000\n",
		"sys/fs/cgroup/user.slice/job/cpu.max":    "max 100000\n",
		"sys/fs/cgroup/user.slice/job/memory.max": "8388608\n",
		"sys/devices/system/cpu/present":          "0-3,8\n",
		"usr/bin/ldd":                             "#!/bin/bash\nTEXTDOMAIN=libc\n    echo 'ldd (Debian GLIBC 2.36-9+deb12u4) 2.36'\n    printf $\"Copyright\"\n",
	}
}

func TestSystem(t *testing.T) {
	onLinux(t)
	r := New(Options{Root: tree(t, node()), CacheDir: "-"})
	env, err := r.ReadEnvironment(t.Context(), recorder.EnvironmentRequest{Env: []string{"LANG=de_DE.UTF-8", "OMP_NUM_THREADS=4", "HOME=/x", "WANDB_API_KEY=hunter2", "MY_MODE=fast"}, Extra: []string{"MY_MODE", "WANDB_API_KEY", "UNSET"}})
	if err != nil {
		t.Fatal(err)
	}
	if env.CPU.Usable < 1 || env.Facts["uid"] == "" {
		t.Errorf("usable %d, uid %q", env.CPU.Usable, env.Facts["uid"])
	}
	want := schema.Environment{
		ID: env.ID, Node: "node17",
		OS: schema.OS{Name: "debian", Version: "12", Pretty: "Debian GNU/Linux 12 (bookworm)", Kernel: "6.1.0-18-amd64", Arch: runtime.GOARCH},
		CPU: schema.CPU{Vendor: "GenuineIntel", Model: "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", Logical: 5, Usable: env.CPU.Usable, Quota: "2.5",
			Features: []string{"amx_int8", "amx_tile", "avx", "avx2", "avx512_bf16", "avx512f", "fma", "sha_ni", "sse4_2"}},
		MemoryBytes: 16 << 20, MemoryLimit: 8 << 20,
		Variables: map[string]schema.Text{"LANG": "de_DE.UTF-8", "OMP_NUM_THREADS": "4", "MY_MODE": "fast"},
		Facts:     map[string]string{"locale": "de_DE.UTF-8", "timezone": "Europe/Berlin", "umask": "0027", "glibc": "2.36", "container": "no", "uid": env.Facts["uid"]},
		Reasons:   []schema.Reason{{Code: "withheld", Subject: "WANDB_API_KEY", Text: "the variable holds a secret and was not recorded"}},
	}
	if diff := cmp.Diff(want, env, cmp.AllowUnexported(schema.Time{})); diff != "" {
		t.Error(diff)
	}
	if id, err := env.Identity(); err != nil || id != env.ID || !id.Valid() {
		t.Errorf("%s, %v", id, err)
	}
	other := env
	other.Node, other.Ranks = "node18", []int{1}
	if id, _ := other.Identity(); id != env.ID {
		t.Error("equal nodes must share the id")
	}
	other.CPU.Usable++
	if id, _ := other.Identity(); id == env.ID {
		t.Error("unequal nodes must not")
	}
}

func TestSystemWithoutAnything(t *testing.T) {
	onLinux(t)
	env, err := New(Options{Root: t.TempDir(), CacheDir: "-"}).ReadEnvironment(t.Context(), recorder.EnvironmentRequest{})
	if err != nil || !env.ID.Valid() {
		t.Fatalf("%+v, %v", env, err)
	}
	var codes []string
	for _, reason := range env.Reasons {
		codes = append(codes, reason.Code)
	}
	if !slices.Contains(codes, "no-os-release") || !slices.Contains(codes, "no-cpuinfo") {
		t.Errorf("what is missing is not said: %v", codes)
	}
	if b, _ := schema.Canonical(env); strings.Contains(string(b), "unknown") {
		t.Errorf("something is guessed: %s", b)
	}
}

func TestLimitsOfVersion1(t *testing.T) {
	onLinux(t)
	r := New(Options{CacheDir: "-", Root: tree(t, map[string]string{
		"proc/self/cgroup": "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n0::/\n",
		"proc/meminfo":     "MemTotal: 4194304 kB\n",
		"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "1073741824\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes":          "9223372036854771712\n",
		"sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us":         "150000\n",
		"sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us":        "100000\n",
		"sys/fs/cgroup/cpu/cpu.cfs_quota_us":                  "-1\n",
		"sys/fs/cgroup/cpu/cpu.cfs_period_us":                 "100000\n",
		"proc/1/cgroup":                                       "4:cpu:/docker/x\n",
	})})
	f := r.readSystem("", nil)
	if f.env.CPU.Quota != "1.5" || f.env.MemoryLimit != 1<<30 || f.env.Facts["container"] != "docker" || f.env.Facts["timezone"] != "UTC" {
		t.Fatalf("%+v", f.env)
	}
}

func TestCLibraries(t *testing.T) {
	onLinux(t)
	for name, c := range map[string]struct {
		files map[string]string
		facts map[string]string
	}{
		"in the library": {map[string]string{"lib/x86_64-linux-gnu/libc.so.6": "\x7fELF\x00\xff" + strings.Repeat("x", 9000) + "\x00GNU C Library (Ubuntu GLIBC 2.35-0ubuntu3.6) stable release version 2.35.\n"}, map[string]string{"glibc": "2.35"}},
		"musl":           {map[string]string{"lib/ld-musl-x86_64.so.1": ""}, map[string]string{"musl": "ld-musl-x86_64.so.1"}},
		"neither":        {nil, nil},
	} {
		var f findings
		New(Options{CacheDir: "-", Root: tree(t, c.files)}).readFacts(&f, "", nil)
		for _, key := range []string{"glibc", "musl"} {
			if f.env.Facts[key] != c.facts[key] {
				t.Errorf("%s: %v", name, f.env.Facts)
			}
		}
	}
}

func TestARM(t *testing.T) {
	onLinux(t)
	r := New(Options{CacheDir: "-", Root: tree(t, map[string]string{"proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd evtstrm sha2 asimddp sve bf16 i8mm\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n\n"})})
	var f findings
	r.readCPU(&f)
	if f.env.CPU.Vendor != "ARM" || f.env.CPU.Model != "ARM part 0xd40" || strings.Join(f.env.CPU.Features, " ") != "asimd asimddp bf16 fp i8mm sha2 sve" {
		t.Fatalf("%+v", f.env.CPU)
	}
}

func TestVariables(t *testing.T) {
	env := []string{"PYTHONHASHSEED=0", "CUBLAS_WORKSPACE_CONFIG=:4096:8", "NCCL_ALGO=Ring", "NCCL_DEBUG=INFO", "CUDA_VISIBLE_DEVICES=1", "CUDA_LAUNCH_BLOCKING=1", "OMP_NUM_THREADS=2", "LANG=C",
		"TORCH_HOME=/x", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=0", "HOME=/root", "PATH=/bin", "RUNPIN_RUN_ID=x", "CUDA_DIR=/opt/cuda", "MKL_ROOT=/opt/mkl", "TF_VAR_region=x", "MINE=1", "MINE=2", "EMPTY=", "HF_TOKEN=x", "XLA_FLAGS=https://u:p@h/x", "odd", "=C:=x",
		"B\xff=1", "BYTES=\xff"}
	got := Determining(env, []string{"MINE", "EMPTY", "UNSET", "HF_TOKEN", "B\xff", "BYTES", "RUNPIN_RUN_ID"})
	want := map[string]schema.Text{"PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "NCCL_ALGO": "Ring", "CUDA_LAUNCH_BLOCKING": "1", "OMP_NUM_THREADS": "2",
		"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "0", "MINE": "2", "EMPTY": "", "BYTES": "\xff"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Determining(nil, nil); got != nil {
		t.Errorf("%v", got)
	}
	for name, class := range variables {
		if class != Must && class != Likely && class != Noise || strings.Contains(strings.TrimSuffix(name, "*"), "*") || name != strings.ToUpper(name) {
			t.Errorf("the row %q: %q", name, class)
		}
	}
}

func TestLockFiles(t *testing.T) {
	root := tree(t, map[string]string{"uv.lock": "a", "requirements-dev.txt": "b", "requirements.in": "no", "sub/poetry.lock": "c", "sub/deeper/uv.lock": "no", "go.sum": "-> /etc/passwd", "environment.yml/x": "a directory", "Cargo.lock": strings.Repeat("x", maxLockFile+1)})
	f := readLockFiles(root, filepath.Join(root, "sub"))
	var got []string
	for _, l := range f.env.LockFiles {
		got = append(got, string(l.Path)+" "+l.Digest.Short())
	}
	want := []string{"requirements-dev.txt " + schema.SHA256([]byte("b")).Short(), "uv.lock " + schema.SHA256([]byte("a")).Short(), "sub/poetry.lock " + schema.SHA256([]byte("c")).Short()}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	var codes []string
	for _, reason := range f.reasons {
		codes = append(codes, reason.Code+" "+string(reason.Subject))
	}
	if want := []string{"too-large Cargo.lock", "not-read go.sum"}; !slices.Equal(codes, want) {
		t.Errorf("%q, want %q", codes, want)
	}
	if f := readLockFiles("", ""); len(f.env.LockFiles)+len(f.reasons) != 0 {
		t.Errorf("%+v", f)
	}
	if f := readLockFiles("/does/not/exist", "/nor/this"); len(f.env.LockFiles) != 0 {
		t.Errorf("%+v", f)
	}
}

func TestReadEnvironmentEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(Options{CacheDir: "-"}).ReadEnvironment(ctx, recorder.EnvironmentRequest{}); schema.KindOf(err) != schema.Interrupted {
		t.Errorf("cancelled: %v", err)
	}
	prefix := venv(t)
	full := errors.New("disk full")
	_, err := New(Options{CacheDir: "-"}).ReadEnvironment(t.Context(), recorder.EnvironmentRequest{Argv: []string{filepath.Join(prefix, "bin/python")}, Sink: &sink{err: full}})
	if !errors.Is(err, full) {
		t.Errorf("the sink's error: %v", err)
	}
}

func TestCacheIsVerified(t *testing.T) {
	r := New(Options{CacheDir: t.TempDir()})
	r.writeCache("a", "s", []byte("content\n"))
	if b, ok := r.readCache("a", "s"); !ok || string(b) != "content\n" {
		t.Fatalf("%q, %v", b, ok)
	}
	if _, ok := r.readCache("a", "other"); ok {
		t.Error("another state must not be answered")
	}
	path := filepath.Join(r.cacheDir, "a")
	b, _ := os.ReadFile(path)
	for _, damaged := range [][]byte{nil, b[:70], bytes.Replace(b, []byte("content"), []byte("CONTENT"), 1), []byte("x")} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := r.readCache("a", "s"); ok {
			t.Errorf("%q was believed", damaged)
		}
	}
	blocked := New(Options{CacheDir: filepath.Join(path, "below-a-file")})
	blocked.writeCache("a", "s", nil)
	if _, ok := blocked.readCache("a", "s"); ok {
		t.Error("a cache that cannot be written gave an answer")
	}
	if left, _ := filepath.Glob(filepath.Join(r.cacheDir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func BenchmarkReadEnvironment(b *testing.B) {
	prefix := bigVenv(b, 200)
	for name, cache := range map[string]string{"cold": "-", "warm": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			r := New(Options{CacheDir: cache, Now: func() time.Time { return time.Now().Add(time.Hour) }})
			req := recorder.EnvironmentRequest{Argv: []string{filepath.Join(prefix, "bin/python"), "train.py"}, Env: os.Environ(), Dir: prefix, CodeRoot: prefix, Sink: &sink{}}
			if _, err := r.ReadEnvironment(b.Context(), req); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				req.Sink = &sink{}
				env, err := r.ReadEnvironment(b.Context(), req)
				if err != nil || env.Interpreter.Count != 200 {
					b.Fatal(env.Interpreter, err)
				}
			}
		})
	}
}

func bigVenv(t testing.TB, n int) string {
	files := map[string]string{"pyvenv.cfg": "home = /usr/bin\nversion = 3.11.7\n", "bin/python3.11!": "\x7fELF", "bin/python": "-> python3.11"}
	for i := range n {
		dir := fmt.Sprintf("lib/python3.11/site-packages/package_%d-1.%d.dist-info/", i, i)
		files[dir+"METADATA"] = fmt.Sprintf("Metadata-Version: 2.1\nName: package_%d\nVersion: 1.%d\n\nText\n", i, i) + strings.Repeat("More text.\n", 500)
		files[dir+"RECORD"] = "x"
	}
	return tree(t, files)
}
