package code

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

func lfsProgram() bool {
	_, err := exec.LookPath("git-lfs")
	return err == nil
}

// findLFSObject gives the path of an LFS object in the clone in which the pin was recorded.
func findLFSObject(pin schema.CodePin, o schema.LFSObject) (string, error) {
	if pin.Root == nil || !filepath.IsAbs(string(pin.Root.Located)) {
		return "", errors.New("the record does not say where the clone was")
	}
	repo, err := git.Open(filepath.Join(string(pin.Root.Located), filepath.FromSlash(path.Dir(string(o.Path)))))
	if err != nil {
		return "", err
	}
	storage := filepath.Join(repo.Common, "lfs")
	if v, ok := repo.Config.Get("lfs.storage"); ok && v != "" {
		if storage = filepath.FromSlash(v); !filepath.IsAbs(storage) {
			storage = filepath.Join(repo.Common, storage)
		}
	}
	return lfsObjectIn(storage, o)
}

func lfsObjectIn(storage string, o schema.LFSObject) (string, error) {
	id := o.OID.Hex()
	if len(id) != 64 {
		return "", fmt.Errorf("%q is no LFS id", o.OID)
	}
	file := filepath.Join(storage, "objects", id[:2], id[2:4], id)
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("the clone lacks it: %w", fs.ErrNotExist)
	}
	if info.Size() != o.Bytes {
		return "", fmt.Errorf("the clone's copy has %d bytes, not %d", info.Size(), o.Bytes)
	}
	return file, nil
}

// placeLFS puts the content of LFS objects where the checkout has their pointers. What the changes brought with them is left alone.
func (r *Resolver) placeLFS(ctx context.Context, p *git.Program, pin schema.CodePin, plan *restorePlan, tmp string) error {
	fetched := map[string]bool{}
	for _, o := range pin.LFS {
		if o.PointerOnly || plan.changed(string(o.Path)) {
			continue
		}
		part := plan.partOf(string(o.Path))
		at := filepath.Join(tmp, filepath.FromSlash(part.path))
		rel := strings.TrimPrefix(string(o.Path), part.prefix())
		if err := checkPointer(at, rel, o); err != nil {
			return err
		}
		file, err := findLFSObject(pin, o)
		if err != nil {
			if !fetched[part.path] {
				fetched[part.path] = true
				if err := fetchLFS(ctx, p, part, at); err != nil {
					return err
				}
			}
			if file, err = lfsObjectIn(filepath.Join(at, ".git", "lfs"), o); err != nil {
				return gone(fmt.Sprintf("%q", o.Path), "git lfs fetch in a clone that can reach the LFS server", "its LFS object %s is nowhere to be had", o.OID.Short())
			}
		}
		if err := replaceWith(at, rel, file, o); err != nil {
			return err
		}
	}
	return nil
}

func (p *restorePlan) partOf(path string) *restorePart {
	best := p.parts[0]
	for _, part := range p.parts {
		if strings.HasPrefix(path, part.prefix()) && len(part.path) > len(best.path) {
			best = part
		}
	}
	return best
}

// checkPointer proves that the checkout's pointer names the recorded object.
func checkPointer(at, rel string, o schema.LFSObject) error {
	root, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(filepath.FromSlash(rel))
	if err != nil || !info.Mode().IsRegular() || info.Size() >= maxPointer {
		return drift(fmt.Sprintf("%q", o.Path), "the commit has no LFS pointer there")
	}
	b, err := root.ReadFile(filepath.FromSlash(rel))
	if err != nil {
		return err
	}
	if oid, size, ok := parsePointer(b); !ok || oid != o.OID || size != o.Bytes {
		return drift(fmt.Sprintf("%q", o.Path), "the commit's LFS pointer names another object than was recorded")
	}
	return nil
}

func fetchLFS(ctx context.Context, p *git.Program, part *restorePart, at string) error {
	if len(part.source.urls) == 0 || !lfsProgram() {
		return gone(part.subject, "install git-lfs, or git lfs fetch in the clone", "its LFS objects are not in the clone, and cannot be fetched from a remote")
	}
	_, err := p.Output(ctx, git.Call{Args: []string{"lfs", "fetch", "origin", string(part.source.commit)}, Dir: at, Network: true})
	if err != nil {
		return &schema.Error{Op: "code.restore", Kind: schema.Unavailable, Subject: part.subject, Err: fmt.Errorf("its LFS objects cannot be fetched: %w", err), Hint: "git lfs fetch in a clone of it"}
	}
	return nil
}

// maxAskedLFS bounds what a check of one checkout downloads to find out whether remotes have its LFS objects.
const maxAskedLFS = 256 << 20

// askLFS finds out whether the part's remote has an LFS object, by fetching it into a directory that is thrown away: no other question is answered by every
// kind of remote.
func (r *Resolver) askLFS(ctx context.Context, p *git.Program, part *restorePart, o schema.LFSObject) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.NetworkTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "runpin-lfs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := p.Init(ctx, dir, part.idSize)
	if err != nil {
		return err
	}
	if err := store.SetRemote(part.source.urls[0]); err != nil {
		return err
	}
	h := newDigester()
	err = p.Stream(ctx, git.Call{Args: []string{"lfs", "smudge"}, Dir: dir, Env: []string{"GIT_LFS_SKIP_SMUDGE=0"}, Stdin: bytes.NewReader(formatPointer(o.OID, o.Bytes)), Network: true}, h)
	switch {
	case err == nil && h.digest() == o.OID:
		return nil
	case err == nil || strings.Contains(err.Error(), "remote missing object") || strings.Contains(err.Error(), "[404]") || strings.Contains(err.Error(), "does not exist on the server"):
		return gone(string(o.Path), "git lfs push --all from a clone that has it", "its LFS object %s is not in the clone, and the remote does not have it", o.OID.Short())
	}
	return &schema.Error{Op: "code.check", Kind: schema.Unavailable, Subject: string(o.Path), Err: fmt.Errorf("its LFS object is not in the clone, and the remote did not say whether it has it: %w", err),
		Hint: "git lfs fetch in the clone tells, and keeps it there"}
}

func replaceWith(at, rel, file string, o schema.LFSObject) error {
	root, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.FromSlash(rel)
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := root.Remove(name); err != nil {
		return err
	}
	return writeNew(root, rel, info.Mode()&0o100 != 0, content, o.OID, o.Bytes)
}
