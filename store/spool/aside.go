package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/runpin/runpin/schema"
)

// Reports lists the files of a spool that hold whole reports, in the order of their first documents, also those of directories in it, up to two levels deep.
func Reports(dir string) ([]string, error) {
	files, _, err := list(dir)
	return files, err
}

// levels is how deep a spool may be divided: by job and node, say.
const levels = 2

// list is Reports, and tells of directories in the spool that cannot be read.
func list(dir string) (files []string, closed []error, err error) {
	var walk func(dir string, level int) error
	walk = func(dir string, level int) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fail("spool.import", dir, err)
		}
		for _, e := range entries {
			name := e.Name()
			path := filepath.Join(dir, name)
			switch {
			case strings.HasPrefix(name, "."):
			case e.IsDir() && level < levels && name != done && name != refused:
				if err := walk(path, level+1); err != nil && !errors.Is(err, os.ErrNotExist) {
					closed = append(closed, unreadable(err))
				}
			case !e.IsDir() && strings.HasSuffix(name, suffix):
				files = append(files, path)
			}
		}
		return nil
	}
	if err := walk(dir, 0); err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(files, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return files, closed, nil
}

// unreadable: that a file cannot be read says nothing about the store, so it is no reason to stop.
func unreadable(err error) error {
	var own *schema.Error
	if !errors.As(err, &own) || own.Kind == schema.Invalid {
		return err
	}
	e := *own
	e.Kind, e.Hint = schema.Invalid, "the file was left where it is; look at its permissions, and import again"
	return &unread{&e}
}

// unread is of a file that may hold a good report.
type unread struct{ err *schema.Error }

func (u *unread) Error() string { return u.err.Error() }
func (u *unread) Unwrap() error { return u.err }

// refuse moves a file aside that the store will never take as it is, and reports it. One that could not be read stays: the next import may succeed.
func (m *importing) refuse(path string, err error) {
	var left *unread
	kind := schema.KindOf(err)
	if kind == schema.Unavailable || kind == schema.Interrupted {
		m.stop(err)
		return
	}
	if dir := filepath.Dir(path); !errors.As(err, &left) && filepath.Base(dir) != refused {
		aside := filepath.Join(dir, refused)
		if mkErr := os.Mkdir(aside, 0o700); mkErr == nil || errors.Is(mkErr, os.ErrExist) {
			if os.Rename(path, filepath.Join(aside, filepath.Base(path))) == nil {
				m.mu.Lock()
				m.done.Refused++
				m.done.Left--
				m.mu.Unlock()
			}
		}
	}
	m.failed(err)
}

// setAside moves the files of a batch out of the way, once the store has them. Where the spool cannot be written to they stay, and nothing is lost by that.
func (m *importing) setAside(batch []waiting) error {
	inPlace, dirs := 0, map[string]bool{}
	for _, w := range batch {
		dir := filepath.Dir(w.path)
		movable, seen := dirs[dir]
		if !seen {
			err := os.Mkdir(filepath.Join(dir, done), 0o700)
			if movable = err == nil || errors.Is(err, os.ErrExist); !movable && !closed(err) {
				return fail("spool.import", dir, err)
			}
			dirs[dir] = movable
		}
		if movable {
			err := os.Rename(w.path, filepath.Join(dir, done, filepath.Base(w.path)))
			if err == nil || errors.Is(err, os.ErrNotExist) {
				continue
			}
			if !closed(err) {
				return fail("spool.import", w.path, err)
			}
			dirs[dir] = false
		}
		inPlace++
	}
	m.mu.Lock()
	m.done.Reports += len(batch)
	m.done.InPlace += inPlace
	m.mu.Unlock()
	for dir, moved := range dirs {
		if moved {
			if err := syncDir(dir); err != nil {
				return fail("spool.import", dir, err)
			}
		}
	}
	return nil
}

// closed reports whether err says that a directory may not be written to.
func closed(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}
