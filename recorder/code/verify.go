package code

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

type digester struct{ hash.Hash }

func newDigester() digester { return digester{sha256.New()} }

func (d digester) digest() schema.Digest {
	return schema.Digest("sha256:" + hex.EncodeToString(d.Sum(nil)))
}

func drift(subject, format string, args ...any) error {
	return &schema.Error{Op: "code.restore", Kind: schema.Drift, Subject: subject, Err: fmt.Errorf(format, args...), Hint: "nothing was left behind; runpin check tells what can still be had"}
}

// verifyPart proves that the restored files are the recorded ones: the tree that the commit and the changes make is the recorded tree, and
// each file on disk has the id that stands in it; there is no other.
func verifyPart(ctx context.Context, part *restorePart, store *git.Scratch, plan *restorePlan, at string) error {
	if part.want == nil { // there was no commit to check out
		var err error
		if part.want, err = part.expected(nil); err != nil {
			return err
		}
	}
	want := part.want
	var files []string
	err := filepath.WalkDir(at, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(at, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case rel == ".git":
			return fs.SkipDir
		case d.IsDir():
			if e, ok := want[rel]; ok && e.Mode == git.ModeSubmodule {
				return fs.SkipDir
			}
		default:
			if _, ok := want[rel]; !ok {
				return drift(fmt.Sprintf("%q", part.prefix()+rel), "it is not part of what was recorded")
			}
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		return err
	}
	links := 0
	for _, e := range want {
		if e.Mode == git.ModeSubmodule {
			links++
		}
	}
	if len(files)+links != len(want) {
		there := map[string]bool{}
		for _, f := range files {
			there[f] = true
		}
		for p, e := range want {
			if e.Mode != git.ModeSubmodule && !there[p] {
				return drift(fmt.Sprintf("%q", part.prefix()+p), "it is missing after the restore")
			}
		}
	}
	odd := make([]bool, len(files))
	parallel(len(files), func(i int) {
		odd[i] = !matches(filepath.Join(at, filepath.FromSlash(files[i])), want[files[i]], part.idSize)
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	var converted []string
	for i, f := range files {
		if !odd[i] {
			continue
		}
		if o, ok := plan.lfs[part.prefix()+f]; ok && !o.PointerOnly {
			// For an unchanged file the commit's own pointer was compared with the record when the content was put in its place.
			named := !plan.changed(part.prefix()+f) || git.HashObject("blob", formatPointer(o.OID, o.Bytes), part.idSize) == want[f].ID
			if named && lfsMatches(filepath.Join(at, filepath.FromSlash(f)), o, want[f]) {
				continue
			}
		}
		converted = append(converted, f)
	}
	return part.verifyConverted(ctx, store, at, want, converted)
}

// expected lists the files that the part must have, and proves the tree.
func (p *restorePart) expected(objects git.ObjectReader) (map[string]git.TreeEntry, error) {
	objects = proved{objects, p.idSize}
	base := p.commitTree
	if p.source.commit == "" {
		base = ""
	}
	tree, err := git.RewriteTree(objects, base, p.edits(), p.idSize)
	if err != nil {
		return nil, err
	}
	if tree != p.tree {
		return nil, drift(p.subject, "the commit and its changes make the tree %s, recorded was %s", tree, p.tree)
	}
	want := map[string]git.TreeEntry{}
	if base != "" {
		entries, err := git.FlattenTree(objects, base, maxPaths)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			want[e.Name] = e
		}
	}
	edits := p.edits()
	for _, e := range edits {
		if e.ID == "" {
			delete(want, e.Path)
		}
	}
	for _, e := range edits {
		if e.ID != "" {
			want[e.Path] = git.TreeEntry{Name: e.Path, Mode: e.Mode, ID: e.ID}
		}
	}
	return want, nil
}

// proved reads objects and holds each to its id: git itself trusts a pack that it is given, and ours can come out of a clone unread.
type proved struct {
	objects git.ObjectReader
	idSize  int
}

// ReadObject implements git.ObjectReader.
func (p proved) ReadObject(id schema.ObjectID) (string, []byte, error) {
	kind, content, err := p.objects.ReadObject(id)
	if err == nil && git.HashObject(kind, content, p.idSize) != id {
		return "", nil, drift("object "+id.Short(), "what is stored under this id is something else")
	}
	return kind, content, err
}

// readWhole bounds the files that are read at one go.
const readWhole = 256 << 10

var buffers = sync.Pool{New: func() any { return new([readWhole]byte) }}

// matches reports whether a file has the mode and, byte for byte, the id.
func matches(path string, e git.TreeEntry, idSize int) bool {
	if e.Mode == git.ModeLink {
		target, err := os.Readlink(path) // fails on anything else
		return err == nil && git.HashObject("blob", []byte(target), idSize) == e.ID
	}
	buffer := buffers.Get().(*[readWhole]byte)
	defer buffers.Put(buffer)
	f, size, executable, err := openRegular(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if runtime.GOOS != "windows" && executable != (e.Mode == git.ModeExec) {
		return false
	}
	h := git.Hasher("blob", size, idSize)
	for read := int64(0); ; {
		n, err := f.Read(buffer[:])
		if err != nil && err != io.EOF {
			return false
		}
		h.Write(buffer[:n])
		read += int64(n)
		if n == 0 || read >= size && n < readWhole {
			return read == size && hex.EncodeToString(h.Sum(nil)) == string(e.ID)
		}
	}
}

func modeMatches(info fs.FileInfo, e git.TreeEntry) bool {
	return runtime.GOOS == "windows" || (info.Mode()&0o100 != 0) == (e.Mode == git.ModeExec)
}

// lfsMatches reports whether a file has the content of an LFS object.
func lfsMatches(path string, o schema.LFSObject, e git.TreeEntry) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != o.Bytes || !modeMatches(info, e) {
		return false
	}
	f, err := openNoFollow(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := newDigester()
	_, err = io.Copy(h, f)
	return err == nil && h.digest() == o.OID
}

// verifyConverted asks git for the ids of files that its own conversions (.gitattributes) make differ from their bytes.
func (p *restorePart) verifyConverted(ctx context.Context, store *git.Scratch, at string, want map[string]git.TreeEntry, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	var regular []string
	for _, f := range paths {
		info, err := os.Lstat(filepath.Join(at, filepath.FromSlash(f)))
		if err != nil {
			return err
		}
		if e := want[f]; e.Mode == git.ModeLink || !info.Mode().IsRegular() || !modeMatches(info, e) {
			return drift(fmt.Sprintf("%q", p.prefix()+f), "it is not what was recorded after the restore")
		}
		regular = append(regular, f)
	}
	ids, err := store.CleanIDs(ctx, regular)
	if err != nil {
		return err
	}
	for i, f := range regular {
		if ids[i] != want[f].ID {
			return drift(fmt.Sprintf("%q", p.prefix()+f), "its object is %s after the restore, recorded was %s", ids[i], want[f].ID)
		}
	}
	return nil
}
