package environment

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// Options are for tests and for cmd/runpin; the zero value is this machine.
type Options struct {
	_ struct{}

	Now      func() time.Time
	Root     string // stands before /proc, /etc, /sys, /dev and /lib
	SMI      string // the nvidia-smi program; "" looks for it in PATH
	CacheDir string // for GPU facts and package lists; "" is one in the user's cache directory, "-" is none; hosts are kept apart below it
}

// Reader looks at this node. It is safe for use by several goroutines.
type Reader struct {
	now      func() time.Time
	root     string
	smi      string
	cacheDir string
}

var _ recorder.EnvironmentReader = (*Reader)(nil)

// New makes a Reader. It touches nothing yet.
func New(o Options) *Reader {
	r := &Reader{now: o.Now, root: o.Root, smi: o.SMI, cacheDir: o.CacheDir}
	if r.now == nil {
		r.now = time.Now
	}
	switch r.cacheDir {
	case "-":
		r.cacheDir = ""
		return r
	case "":
		dir, err := os.UserCacheDir()
		if err != nil {
			return r
		}
		r.cacheDir = filepath.Join(dir, "runpin", "environment")
	}
	// A home directory may be shared by many hosts, and what stands at one path differs between them.
	host, _ := os.Hostname()
	r.cacheDir = filepath.Join(r.cacheDir, fileName(host))
	return r
}

// ReadEnvironment fills in what can be learned about this node for the command in req. It fails only when ctx ends or the sink refuses the package
// list; everything else that goes wrong is a reason in the result.
func (r *Reader) ReadEnvironment(ctx context.Context, req recorder.EnvironmentRequest) (schema.Environment, error) {
	vars := splitEnv(req.Env)
	var (
		wg                               sync.WaitGroup
		gpus, system, interpreter, locks findings
		sinkErr                          error
	)
	for _, part := range []func(){
		func() { gpus = r.readGPUs(ctx) },
		func() { system = r.readSystem(req.Dir, vars) },
		func() { interpreter, sinkErr = r.readInterpreter(ctx, req, vars) },
		func() { locks = readLockFiles(req.CodeRoot, req.Dir) },
	} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			part()
		}()
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return schema.Environment{}, &schema.Error{Op: "environment.read", Kind: schema.Interrupted, Subject: "environment", Err: err}
	}
	if sinkErr != nil {
		return schema.Environment{}, sinkErr
	}
	env := system.env
	env.GPUs, env.GPUDriver, env.CUDA = gpus.env.GPUs, gpus.env.GPUDriver, gpus.env.CUDA
	env.Interpreter, env.LockFiles = interpreter.env.Interpreter, locks.env.LockFiles
	for _, f := range []findings{system, gpus, interpreter, locks} {
		env.Reasons = append(env.Reasons, f.reasons...)
	}
	var withheld []schema.Reason
	said := vars
	if len(req.Unsaid) > 0 {
		said = maps.Clone(vars)
		maps.DeleteFunc(said, func(name, _ string) bool { return slices.Contains(req.Unsaid, name) })
	}
	env.Variables, withheld = recorded(said, req.Extra)
	env.Reasons = append(env.Reasons, withheld...)
	if env.Interpreter != nil && (env.Interpreter.Kind == "python" || env.Interpreter.Kind == "conda") {
		seed, set := vars["PYTHONHASHSEED"]
		if !set || seed == "" {
			seed = "random" // the interpreter's default
		}
		env.Facts = setFact(env.Facts, "python_hash_seed", seed)
	}
	id, err := env.Identity()
	if err != nil {
		return schema.Environment{}, err
	}
	env.ID = id
	return env, nil
}

// findings is what one part of the reader contributes.
type findings struct {
	env     schema.Environment
	reasons []schema.Reason
}

func (f *findings) because(code, subject, text string) {
	f.reasons = append(f.reasons, schema.Reason{Code: code, Subject: schema.Text(subject), Text: text})
}

func isLinux() bool { return runtime.GOOS == "linux" }
