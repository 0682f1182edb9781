package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// copyFile copies the file that h has open to rel below root, and hashes what the copy holds. Where the file system can share blocks nothing is copied,
// and the digest is that of the clone.
func (w *walk) copyFile(root, rel string, h handle, m meta, e *entry, s *scratch) (size int64, err error) {
	path := filepath.Join(root, filepath.FromSlash(rel))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an earlier attempt
		return 0, &writeError{err}
	}
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666|execBits(m.exec))
	if err != nil {
		return 0, &writeError{err}
	}
	defer func() {
		if closeErr := out.Close(); closeErr != nil && err == nil {
			err = &writeError{closeErr}
		}
		if err == nil { // the time of the original: some programs go by it
			at := time.Unix(0, m.stamp.mtime)
			if timeErr := os.Chtimes(path, at, at); timeErr != nil {
				err = &writeError{timeErr}
			}
		}
	}()
	h.willReadAll()
	if m.stamp.size > 0 && clone(out, h) {
		return w.hashCopy(out, &e.sum, s)
	}
	return w.hashStream(h, &e.sum, s, out)
}

// hashCopy hashes a file that we wrote.
func (w *walk) hashCopy(f *os.File, sum *[32]byte, s *scratch) (int64, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, &writeError{err}
	}
	return w.hashReader(f.Read, sum, s, nil)
}

func execBits(exec bool) fs.FileMode {
	if exec {
		return 0o111
	}
	return 0
}

func makeDirectory(root, rel string) error {
	if err := os.Mkdir(filepath.Join(root, filepath.FromSlash(rel)), 0o777); err != nil {
		return &writeError{err}
	}
	return nil
}

// completeCopy adds what is no file, the links to directories, and takes away directories that are not part of the data set.
func (t *tree) completeCopy(root string) error {
	var walk func(n *node) error
	walk = func(n *node) error {
		for i := range n.entries {
			e := &n.entries[i]
			path := filepath.Join(root, filepath.FromSlash(n.below(e.name)))
			var err error
			switch {
			case e.kind == kindDir:
				err = walk(e.sub)
			case e.kind == kindDirLink:
				err = os.Symlink(filepath.FromSlash(e.target), path)
			case e.kind == kindNone && e.sub != nil:
				err = os.RemoveAll(path) // holds nothing but such directories
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return walk(t.root)
}
