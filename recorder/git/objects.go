package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"github.com/runpin/runpin/schema"
)

// maxObject bounds an object that is read whole. Trees, commits, notebooks and pointers are far below it.
const maxObject = 256 << 20

// Batch reads objects through one git cat-file process. It is safe for concurrent use; requests are answered one at a time.
type Batch struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err error
}

// Objects starts a reader of the repository's objects. The caller closes it.
func (s *Scratch) Objects(ctx context.Context) (*Batch, error) {
	cmd := s.program.command(ctx, s.call("cat-file", "--batch"))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Batch{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10)}, nil
}

// Close ends the process.
func (b *Batch) Close() error {
	b.in.Close()
	return b.cmd.Wait()
}

// ReadObject implements [ObjectReader].
func (b *Batch) ReadObject(id schema.ObjectID) (string, []byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return "", nil, b.err
	}
	kind, content, err := b.read(id)
	if err != nil && !errors.Is(err, ErrMissing) {
		b.err = err // the stream is out of step
	}
	return kind, content, err
}

func (b *Batch) read(id schema.ObjectID) (string, []byte, error) {
	if _, err := io.WriteString(b.in, string(id)+"\n"); err != nil {
		return "", nil, fmt.Errorf("git cat-file: %w", err)
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return "", nil, fmt.Errorf("git cat-file: %w", err)
	}
	fields := strings.Fields(line)
	if len(fields) == 2 && fields[1] == "missing" {
		return "", nil, fmt.Errorf("%s: %w", id, ErrMissing)
	}
	if len(fields) != 3 {
		return "", nil, fmt.Errorf("git cat-file says %q", schema.Shorten(line, 80))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 || size > maxObject {
		return "", nil, fmt.Errorf("object %s of %s bytes is too large to read", id.Short(), fields[2])
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(b.out, content); err != nil {
		return "", nil, err
	}
	if _, err := b.out.Discard(1); err != nil {
		return "", nil, err
	}
	return fields[1], content, nil
}

// Library reads a repository through go-git, where there is no git program.
type Library struct {
	mu      sync.Mutex
	Storage *filesystem.Storage
	id      int
}

// OpenLibrary opens the object store below a common git directory. Repositories with SHA-256 ids are beyond go-git.
func OpenLibrary(r *Repo) (*Library, error) {
	if r.HashSize() != 20 {
		return nil, errors.New("go-git does not read repositories with SHA-256 ids; install git")
	}
	fs := osfs.New(r.Common, osfs.WithBoundOS())
	dg := dotgit.NewWithOptions(fs, dotgit.Options{AlternatesFS: osfs.New(filepath.VolumeName(r.Common) + string(filepath.Separator))})
	return &Library{Storage: filesystem.NewStorageWithOptions(dg.Fs(), cache.NewObjectLRUDefault(),
		filesystem.Options{AlternatesFS: osfs.New(filepath.VolumeName(r.Common) + string(filepath.Separator)), LargeObjectThreshold: 0}), id: 20}, nil
}

// ReadObject implements [ObjectReader].
func (l *Library) ReadObject(id schema.ObjectID) (kind string, content []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, err := l.Storage.EncodedObject(plumbing.AnyObject, plumbing.NewHash(string(id)))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return "", nil, fmt.Errorf("%s: %w", id, ErrMissing)
	}
	if err != nil {
		return "", nil, err
	}
	if o.Size() > maxObject {
		return "", nil, fmt.Errorf("object %s of %d bytes is too large to read", id.Short(), o.Size())
	}
	rd, err := o.Reader()
	if err != nil {
		return "", nil, err
	}
	defer rd.Close()
	content, err = io.ReadAll(io.LimitReader(rd, maxObject+1))
	return o.Type().String(), content, err
}

// Close releases the files that are open.
func (l *Library) Close() error { return l.Storage.ObjectStorage.Close() }
