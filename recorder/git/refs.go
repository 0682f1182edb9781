package git

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Head is what a checkout stands on. Name is the full name of the branch, "" when detached; Commit is "" on a branch without commits.
type Head struct {
	Name   string
	Commit schema.ObjectID
}

// Head reads HEAD. Files are read directly: a process costs more than the rest of a clean capture.
func (r *Repo) Head() (Head, error) {
	b, err := readSmall(filepath.Join(r.Dir, "HEAD"))
	if err != nil {
		return Head{}, err
	}
	line := strings.TrimSpace(string(b))
	name, symbolic := strings.CutPrefix(line, "ref:")
	if !symbolic {
		id, err := schema.ParseObjectID(line)
		if err != nil {
			return Head{}, fmt.Errorf("HEAD is neither a commit nor a branch: %q", schema.Shorten(line, 80))
		}
		return Head{Commit: id}, nil
	}
	name = strings.TrimSpace(name)
	if !safeRefName(name) {
		return Head{}, fmt.Errorf("HEAD names %q, which is not a ref", schema.Shorten(name, 80))
	}
	if isDir(filepath.Join(r.Common, "reftable")) {
		return Head{}, ErrRefFormat
	}
	id, err := r.Ref(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Head{Name: name}, nil
	}
	return Head{Name: name, Commit: id}, err
}

// ErrRefFormat says that the repository keeps its refs in a format that is read through the git program only.
var ErrRefFormat = errors.New("the repository's refs are in the reftable format")

// Ref gives what a full ref name points at; fs.ErrNotExist when there is no such ref.
func (r *Repo) Ref(name string) (schema.ObjectID, error) {
	for range 5 {
		if !safeRefName(name) {
			return "", fmt.Errorf("%q is not a ref name", schema.Shorten(name, 80))
		}
		b, err := r.looseRef(name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			packed, err := r.packedRefs("")
			if err != nil {
				return "", err
			}
			if id, ok := packed[name]; ok {
				return id, nil
			}
			return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		line := strings.TrimSpace(string(b))
		if next, ok := strings.CutPrefix(line, "ref:"); ok {
			name = strings.TrimSpace(next)
			continue
		}
		return schema.ParseObjectID(line)
	}
	return "", fmt.Errorf("%s: too many symbolic refs", name)
}

func (r *Repo) looseRef(name string) ([]byte, error) {
	for _, dir := range []string{r.Dir, r.Common} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			continue
		}
		return readSmall(path)
	}
	return nil, fs.ErrNotExist
}

// maxPackedRefs bounds packed-refs: a million refs are about 70 MB.
const maxPackedRefs = 256 << 20

func (r *Repo) packedRefs(prefix string) (map[string]schema.ObjectID, error) {
	refs := map[string]schema.ObjectID{}
	b, err := readAtMost(filepath.Join(r.Common, "packed-refs"), maxPackedRefs)
	if errors.Is(err, fs.ErrNotExist) {
		return refs, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if len(line) == 0 || line[0] == '#' || line[0] == '^' {
			continue
		}
		id, name, ok := strings.Cut(string(bytes.TrimSuffix(line, []byte{'\r'})), " ")
		if !ok || !strings.HasPrefix(name, prefix) {
			continue
		}
		if oid, err := schema.ParseObjectID(id); err == nil {
			refs[name] = oid
		}
	}
	return refs, nil
}

// NamedRef is a ref and what it points at.
type NamedRef struct {
	Name string
	ID   schema.ObjectID
}

// Refs lists the refs below a prefix ("refs/remotes/"), by name. Symbolic refs (origin/HEAD) are left out: what they name is listed.
func (r *Repo) Refs(prefix string) ([]NamedRef, error) {
	refs, err := r.packedRefs(prefix)
	if err != nil {
		return nil, err
	}
	top := filepath.Join(r.Common, filepath.FromSlash(strings.TrimSuffix(prefix, "/")))
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if !d.Type().IsRegular() || strings.HasSuffix(path, ".lock") {
			return nil
		}
		rel, err := filepath.Rel(r.Common, path)
		if err != nil {
			return err
		}
		b, err := readSmall(path)
		if err != nil {
			return err
		}
		if id, err := schema.ParseObjectID(strings.TrimSpace(string(b))); err == nil {
			refs[filepath.ToSlash(rel)] = id
		} else {
			delete(refs, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]NamedRef, 0, len(refs))
	for name, id := range refs {
		list = append(list, NamedRef{name, id})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

func safeRefName(name string) bool {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\x00\n\r\\:") {
		return false
	}
	if name != "HEAD" && !strings.HasPrefix(name, "refs/") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") {
			return false
		}
	}
	return true
}
