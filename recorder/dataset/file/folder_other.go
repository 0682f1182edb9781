//go:build !linux

package file

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// folder is a directory that several tasks share (see folder_linux.go for the contract).
type folder struct {
	path   string
	remote bool
	users  atomic.Int32
}

type handle struct{ f *os.File }

const listBuffer = 0

func openFolder(path string) (*folder, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: errNotDirectory}
	}
	return &folder{path: path}, err
}

func (f *folder) sub(rel string) (*folder, error) {
	path := filepath.Join(f.path, filepath.FromSlash(rel))
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: errNotDirectory}
	}
	return &folder{path: path}, err
}

func (f *folder) share(int) {}
func (f *folder) release()  {}

func (f *folder) list([]byte) ([]listed, error) {
	d, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	out := make([]listed, len(entries))
	for i, e := range entries {
		out[i] = listed{e.Name(), kindOfFileMode(e.Type())}
	}
	return out, err
}

func (f *folder) at(name string) string { return filepath.Join(f.path, filepath.FromSlash(name)) }

func (f *folder) stat(name string, follow bool) (meta, error) {
	look := os.Lstat
	if follow {
		look = os.Stat
	}
	info, err := look(f.at(name))
	if err != nil {
		return meta{}, err
	}
	return metaOf(info), nil
}

func (f *folder) readlink(name string) (string, error) {
	target, err := os.Readlink(f.at(name))
	return filepath.ToSlash(target), err
}

// open looks before it opens: a fifo would make it wait. A swap in between is found by the stat of the open file.
func (f *folder) open(name string, follow bool) (handle, error) {
	m, err := f.stat(name, follow)
	if err != nil {
		return handle{}, err
	}
	if m.kind != kindFile {
		return handle{}, &fs.PathError{Op: "open", Path: f.at(name), Err: errNotDirectory}
	}
	file, err := os.OpenFile(f.at(name), os.O_RDONLY|nonBlocking, 0)
	return handle{file}, err
}

func (h handle) stat() (meta, error) {
	info, err := h.f.Stat()
	if err != nil {
		return meta{}, err
	}
	return metaOf(info), nil
}

func (h handle) read(b []byte) (int, error) { return h.f.Read(b) }
func (h handle) remote() bool               { return false }
func (h handle) close()                     { _ = h.f.Close() }
func (h handle) willReadAll()               {}

func metaOf(info fs.FileInfo) meta {
	m := meta{kind: kindOfFileMode(info.Mode().Type()), stamp: stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}}
	addStamp(&m, info)
	return m
}

func kindOfFileMode(mode fs.FileMode) kind {
	switch {
	case mode.IsRegular():
		return kindFile
	case mode.IsDir():
		return kindDir
	case mode&fs.ModeSymlink != 0:
		return kindLink
	default:
		return kindSpecial
	}
}

func clone(*os.File, handle) bool { return false }

func renameNew(from, to string) error { return renameChecked(from, to) }
