package code

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// Options configures a [Resolver]. The zero value is what a user wants.
type Options struct {
	Now         func() time.Time // time.Now when nil
	NoGit       bool             // judge with go-git even where there is a git program
	MaxBytes    int64            // of all changed and untracked files of one checkout together; 50 MiB when 0
	MaxBundle   int64            // of a bundle of commits that no remote has; 256 MiB when 0
	maxScanned  int64            // content of commits that is searched for secrets before they are kept; 2 GiB when 0
	Remember    bool             // answers to CheckCode are kept for the life of the Resolver: for a look at a whole history
	NetworkTime time.Duration    // for one question to a remote; 60 s when 0. A restore may take as long as it takes
	firstAlone  time.Duration    // before the other remotes of a commit are asked, too; 250 ms when 0
}

// Resolver captures, checks and restores code. It is safe for concurrent use.
type Resolver struct {
	opts    Options
	once    sync.Once
	program *git.Program
	asked   asked
}

// New makes a Resolver.
func New(opts Options) *Resolver {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = 50 << 20
	}
	if opts.MaxBundle == 0 {
		opts.MaxBundle = 256 << 20
	}
	if opts.maxScanned == 0 {
		opts.maxScanned = maxScanned
	}
	if opts.NetworkTime == 0 {
		opts.NetworkTime = time.Minute
	}
	if opts.firstAlone == 0 {
		opts.firstAlone = 250 * time.Millisecond
	}
	return &Resolver{opts: opts}
}

// Root gives the root of the checkout that dir lies in, without starting a process.
func Root(dir string) (root string, ok bool) { return git.Root(dir) }

// git gives the git program, nil when there is none to be relied on.
func (r *Resolver) git() *git.Program {
	r.once.Do(func() {
		if r.opts.NoGit {
			return
		}
		if p, err := git.FindProgram(); err == nil {
			r.program = p
		}
	})
	return r.program
}

func (r *Resolver) now() schema.Time { return schema.At(r.opts.Now()) }

var libraryVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/go-git/go-git/v5" {
				return strings.TrimPrefix(dep.Version, "v")
			}
		}
	}
	return "5"
})

// ResolveCode implements recorder.CodeResolver. Errors are of kind Invalid (the request), Unpinnable (the code cannot be captured, with
// what to do about it), Unavailable (a remote that has to be asked does not answer) or Interrupted.
func (r *Resolver) ResolveCode(ctx context.Context, req recorder.CodeRequest) (schema.CodePin, error) {
	if req.Name == "" {
		req.Name = "code"
	}
	if rest, ok := strings.CutPrefix(req.Ref, "git+"); ok {
		return r.resolveURL(ctx, req, rest)
	}
	dir := req.Ref
	if dir == "" {
		dir = "."
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(req.WorkDir, dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return schema.CodePin{}, unpinnable(req.Ref, err, "give a directory of a checkout, or git+URL@REV; --no-code records none")
	}
	file := ""
	if !info.IsDir() {
		file, dir = dir, filepath.Dir(dir)
	}
	repo, err := git.Open(dir)
	if errors.Is(err, git.ErrNone) {
		return r.resolveScript(ctx, req, file)
	}
	if errors.Is(err, git.ErrBare) {
		return schema.CodePin{}, unpinnable(req.Ref, err, "give a checkout of it: git clone or git worktree add, then --code DIR; or --code git+file://DIR@REV")
	}
	if err != nil {
		return schema.CodePin{}, unpinnable(req.Ref, err, "")
	}
	return r.resolveCheckout(ctx, req, repo)
}

func unpinnable(subject string, err error, hint string) error {
	return &schema.Error{Op: "code.resolve", Kind: schema.Unpinnable, Subject: quoted(subject), Err: err, Hint: hint}
}

func quoted(s string) string { return fmt.Sprintf("%q", git.Redact(schema.Shorten(s, 400))) }

// interrupted turns any error into one of kind Interrupted when the caller gave up.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &schema.Error{Op: "code", Kind: schema.Interrupted, Subject: "code", Err: ctx.Err()}
	}
	return &schema.Error{Op: "code", Kind: schema.Unavailable, Subject: "code", Err: ctx.Err()}
}
