package code

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// RestoreCode implements rerun.Code. The checkout is built beside dir and renamed when it is proved equal to the record; on failure nothing
// is left. It is a git repository of its own, which shows no history, with HEAD on the recorded commit. Errors are of kind Gone or Unavailable
// (something it needs), Drift (what came out is not what was recorded), Invalid (the record cannot be one of ours) or Conflict (dir exists).
func (r *Resolver) RestoreCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource, dir string) (err error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return &schema.Error{Op: "code.restore", Kind: schema.Conflict, Subject: fmt.Sprintf("%q", dir), Err: errors.New("it exists already"), Hint: "name a directory that does not exist yet"}
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".runpin-restore-*")
	if err != nil {
		return &schema.Error{Op: "code.restore", Kind: schema.Unavailable, Subject: fmt.Sprintf("%q", dir), Err: err, Hint: "its parent directory must exist and be writable"}
	}
	defer os.RemoveAll(tmp)
	built := filepath.Join(tmp, "code")
	if pin.Kind == schema.CodeScript {
		if err = os.Mkdir(built, 0o755); err == nil {
			err = restoreScript(ctx, pin, blobs, built)
		}
	} else {
		err = r.restoreFromAny(ctx, pin, blobs, built)
	}
	if err != nil {
		return noRoom(dir, interrupted(ctx, err))
	}
	return os.Rename(built, dir)
}

// noRoom tells a full disk from what it looks like: git says that it could not write, or that it could not read what it had not written.
func noRoom(dir string, err error) error {
	text := err.Error()
	for _, sign := range []string{"No space left on device", "no space left on device", "Disk quota exceeded", "disk quota exceeded"} {
		if strings.Contains(text, sign) {
			return &schema.Error{Op: "code.restore", Kind: schema.Unavailable, Subject: fmt.Sprintf("%q", dir), Err: err, Hint: "make room there, or name a directory that has more of it: --workdir DIR"}
		}
	}
	return err
}

// restoreFromAny restores out of the clone where there is one; should that turn out to be damaged, out of what else has the commit.
func (r *Resolver) restoreFromAny(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource, built string) error {
	plan, err := planRestore(ctx, pin, blobs)
	if err != nil {
		return err
	}
	err = r.restoreCheckout(ctx, pin, plan, blobs, built)
	kind := schema.KindOf(err)
	if err == nil || ctx.Err() != nil || kind != schema.Drift && kind != schema.Internal || !plan.leaveClones() {
		return err
	}
	if err := os.RemoveAll(built); err != nil {
		return err
	}
	return r.restoreCheckout(ctx, pin, plan, blobs, built)
}

// leaveClones makes the plan do without the clones; false means that they are all there is, or that there are none.
func (p *restorePlan) leaveClones() bool {
	used := false
	for _, part := range p.parts {
		if part.source.clone != "" {
			if used = true; part.source.commit != "" && part.source.bundle == nil && len(part.source.urls) == 0 {
				return false
			}
		}
		part.source.clone, part.want = "", nil
	}
	return used
}

func restoreScript(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource, tmp string) error {
	if pin.Script == nil {
		return gone("code:"+pin.Name, "", "no script was recorded")
	}
	name := string(pin.Script.Path.Rel)
	if pin.Script.Path.Base != schema.BaseWorkDir || git.CheckPath(name) != nil {
		name = filepath.Base(filepath.FromSlash(string(pin.Script.Path.Typed)))
	}
	if err := git.CheckPath(name); err != nil {
		return invalidPin(name, "%w", err)
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer root.Close()
	return writeBlob(ctx, root, name, pin.Script.Mode == "100755", blobs, pin.Script.Blob)
}

func (r *Resolver) restoreCheckout(ctx context.Context, pin schema.CodePin, plan *restorePlan, blobs schema.BlobSource, tmp string) error {
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	p := r.git()
	if p == nil {
		return errNoGit
	}
	if _, err := p.Version(ctx); err != nil {
		return errNoGit
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer root.Close()
	stores := make([]*git.Scratch, len(plan.parts))
	for i, part := range plan.parts {
		if part.path != "" {
			if err := makeParents(root, part.path+"/x"); err != nil {
				return invalidPin(part.path, "%w", err)
			}
		}
		at := filepath.Join(tmp, filepath.FromSlash(part.path))
		if stores[i], err = p.Init(ctx, at, part.idSize); err != nil {
			return err
		}
		if err := r.restorePart(ctx, p, part, blobs, stores[i], at, pin); err != nil {
			return err
		}
	}
	if err := r.placeLFS(ctx, p, pin, plan, tmp); err != nil {
		return err
	}
	for i, part := range plan.parts {
		if err := verifyPart(ctx, part, stores[i], plan, filepath.Join(tmp, filepath.FromSlash(part.path))); err != nil {
			return err
		}
	}
	return nil
}

// restorePart checks out one repository and applies its changes.
func (r *Resolver) restorePart(ctx context.Context, p *git.Program, part *restorePart, blobs schema.BlobSource, store *git.Scratch, at string, pin schema.CodePin) error {
	if part.source.commit != "" {
		if err := r.obtain(ctx, p, part.source, blobs, store); err != nil {
			return err
		}
		if err := part.checkOut(ctx, store); err != nil {
			return err
		}
	} else if err := store.SetUnborn(string(pin.RefName)); err != nil {
		return err
	}
	if len(part.source.urls) > 0 {
		if err := store.SetRemote(part.source.urls[0]); err != nil {
			return err
		}
	}
	return applyChanges(ctx, at, part.changes, blobs)
}

// checkOut writes the files of the commit, after it was proved to be the recorded one. Beside that, what the changes will make of them is proved to be the
// recorded tree.
func (p *restorePart) checkOut(ctx context.Context, store *git.Scratch) error {
	objects, err := store.Objects(ctx)
	if err != nil {
		return err
	}
	defer objects.Close()
	if err := p.checkCommit(objects); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		p.want, err = p.expected(objects)
		return err
	})
	g.Go(func() error {
		if err := store.CheckOut(gctx, p.source.commit); err != nil {
			return &schema.Error{Op: "code.restore", Kind: schema.Internal, Subject: p.subject, Err: err}
		}
		return nil
	})
	return g.Wait()
}

// checkCommit proves that the commit is the recorded one, before its files are written.
func (p *restorePart) checkCommit(objects git.ObjectReader) error {
	tree, _, err := git.CommitTree(proved{objects, p.idSize}, p.source.commit)
	if err != nil {
		return err
	}
	if p.commitTree != "" && tree != p.commitTree {
		return &schema.Error{Op: "code.restore", Kind: schema.Drift, Subject: p.subject, Err: fmt.Errorf("its tree is %s, recorded was %s", tree, p.commitTree)}
	}
	p.commitTree = tree
	return nil
}

// applyChanges writes what differs from the commit: removals first, then files, then links, so that nothing is written through a link.
func applyChanges(ctx context.Context, at string, changes []schema.Change, blobs schema.BlobSource) error {
	if len(changes) == 0 {
		return nil
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, c := range changes {
		if err := removeOld(root, string(c.Path)); err != nil {
			return invalidPin(string(c.Path), "%w", err)
		}
	}
	for _, c := range changes {
		if c.Deleted || c.Target != "" {
			continue
		}
		if err := writeBlob(ctx, root, string(c.Path), c.Mode == "100755", blobs, schema.BlobRef{Kind: schema.BlobFile, Digest: c.Digest, Bytes: c.Bytes}); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if c.Deleted || c.Target == "" {
			continue
		}
		if err := makeParents(root, string(c.Path)); err != nil {
			return invalidPin(string(c.Path), "%w", err)
		}
		if err := root.Symlink(string(c.Target), filepath.FromSlash(string(c.Path))); err != nil {
			return &schema.Error{Op: "code.restore", Kind: schema.Unavailable, Subject: fmt.Sprintf("%q", c.Path), Err: err}
		}
	}
	return nil
}

var errThroughLink = errors.New("it lies behind a symbolic link or a file")

// removeOld takes away what the commit has at path, and directories that become empty by it.
func removeOld(root *os.Root, path string) error {
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts); i++ {
		info, err := root.Lstat(filepath.Join(parts[:i]...))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return nil // the file or link goes by a change of its own, or writing is refused
		}
	}
	name := filepath.Join(parts...)
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := root.Remove(name); err != nil {
		if info.IsDir() {
			return nil // its files go by changes of their own
		}
		return err
	}
	for i := len(parts) - 1; i > 0; i-- {
		if root.Remove(filepath.Join(parts[:i]...)) != nil {
			break
		}
	}
	return nil
}

// makeParents makes the directories above path, none of which may be a link.
func makeParents(root *os.Root, path string) error {
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts); i++ {
		name := filepath.Join(parts[:i]...)
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			if err := root.Mkdir(name, 0o777); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return errThroughLink
		}
	}
	return nil
}

// writeBlob writes a new file from a blob whose digest and size are checked again.
func writeBlob(ctx context.Context, root *os.Root, path string, executable bool, blobs schema.BlobSource, ref schema.BlobRef) error {
	if blobs == nil {
		return gone(string(ref.Digest), "", "there is no store to read it from")
	}
	rc, err := blobs.OpenBlob(ctx, ref)
	if err != nil {
		if schema.IsKind(err, schema.Gone) || schema.IsKind(err, schema.Unavailable) {
			return fmt.Errorf("%q: %w", path, err)
		}
		return &schema.Error{Op: "code.restore", Kind: schema.Gone, Subject: fmt.Sprintf("%q", path), Err: err}
	}
	defer rc.Close()
	return writeNew(root, path, executable, rc, ref.Digest, ref.Bytes)
}

func writeNew(root *os.Root, path string, executable bool, content io.Reader, digest schema.Digest, size int64) error {
	if err := makeParents(root, path); err != nil {
		return invalidPin(path, "%w", err)
	}
	mode := fs.FileMode(0o666)
	if executable {
		mode = 0o777
	}
	f, err := root.OpenFile(filepath.FromSlash(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return &schema.Error{Op: "code.restore", Kind: schema.Unavailable, Subject: fmt.Sprintf("%q", path), Err: err}
	}
	defer f.Close()
	h := newDigester()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(content, size+1))
	if err != nil {
		return &schema.Error{Op: "code.restore", Kind: schema.Unavailable, Subject: fmt.Sprintf("%q", path), Err: err}
	}
	if n != size || h.digest() != digest {
		return &schema.Error{Op: "code.restore", Kind: schema.Drift, Subject: fmt.Sprintf("%q", path), Err: fmt.Errorf("the stored content is not %s of %d bytes", digest, size)}
	}
	return f.Close()
}
