package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// checkout gives a clean clone, with a remote that has its commit, of a repository of n files of 1 to 3 KiB, 100 to a folder.
func (b *bench) checkout(ctx context.Context, n int) (string, error) {
	work := filepath.Join(b.dir, fmt.Sprintf("checkout-%d", n))
	if _, err := os.Stat(filepath.Join(work, ".git", "index")); err == nil {
		return work, nil
	}
	remoteDir := work + ".git"
	if err := b.git(ctx, b.dir, nil, "init", "--quiet", "--bare", "--initial-branch=main", remoteDir); err != nil {
		return "", err
	}
	pipe := fastImport(n)
	if err := b.git(ctx, remoteDir, pipe, "fast-import", "--quiet"); err != nil {
		return "", err
	}
	if err := b.git(ctx, b.dir, nil, "clone", "--quiet", "file://"+remoteDir, work); err != nil {
		return "", err
	}
	// Files as young as the index are looked at again by git each time; everybody is to start from an index that is settled.
	time.Sleep(1100 * time.Millisecond)
	return work, b.git(ctx, work, nil, "update-index", "--refresh")
}

func fastImport(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		out := bufio.NewWriter(w)
		rng := rand.New(rand.NewPCG(1, 2))
		fmt.Fprint(out, "commit refs/heads/main\ncommitter A <a@example.com> 1767225600 +0000\ndata 5\nfirst\n")
		for i := range n {
			content := text(rng, 1024+rng.IntN(2048))
			fmt.Fprintf(out, "M 100644 inline src/d%04d/file%02d.py\ndata %d\n%s\n", i/100, i%100, len(content), content)
		}
		fmt.Fprint(out, "done\n")
		out.Flush()
		w.Close()
	}()
	return r
}

// text gives bytes that look like source: letters and line ends.
func text(rng *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = "abcdefghijklmnopqrstuvwxyz ()=\n"[rng.IntN(31)]
	}
	return out
}

func (b *bench) git(ctx context.Context, dir string, stdin io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	cmd.Env = append(os.Environ(), append(b.env("fixtures"), "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return nil
}

// files makes a directory of n files of size bytes each, 1000 to a folder.
func (b *bench) files(kind string, n int, size int64) (string, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d-%d", kind, n, size))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	var seed [32]byte
	source := rand.NewChaCha8(seed)
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("d%03d", i/1000))
		if i%1000 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return "", err
			}
		}
		f, err := os.Create(filepath.Join(sub, fmt.Sprintf("f%06d.bin", i)))
		if err != nil {
			return "", err
		}
		if _, err := io.CopyN(f, source, size); err != nil {
			return "", err
		}
		if err := f.Close(); err != nil {
			return "", err
		}
	}
	// A cache that is careful reads files again that were changed a moment ago.
	time.Sleep(3 * time.Second)
	return dir, nil
}

// localRegistry serves one image and gives its reference, and what one HEAD of its manifest costs over a connection of its own.
func localRegistry(ctx context.Context) (ref string, head func() (time.Duration, error), stop func(), err error) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	addr := strings.TrimPrefix(server.URL, "http://")
	ref = addr + "/team/trainer:1.4"
	img, err := random.Image(1<<20, 3)
	if err != nil {
		return "", nil, nil, err
	}
	tag, err := name.NewTag(ref, name.Insecure)
	if err != nil {
		return "", nil, nil, err
	}
	if err := remote.Write(tag, img, remote.WithContext(ctx)); err != nil {
		return "", nil, nil, err
	}
	head = func() (time.Duration, error) {
		from := time.Now()
		_, err := remote.Head(tag, remote.WithContext(ctx))
		return time.Since(from), err
	}
	return ref, head, server.Close, nil
}
