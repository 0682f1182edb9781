package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// replaceFiles gives files new content: each is written whole beside its place and keeps its mode, and none is put in place before all are written. A
// link is followed. When one cannot be written, nothing has changed; a process that is killed between two leaves each old or new, never in between.
func replaceFiles(files map[string][]byte) error {
	type ready struct{ tmp, path string }
	var all []ready
	defer func() {
		for _, r := range all {
			_ = os.Remove(r.tmp) // those that were put in place are not there any more
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path, err := filepath.EvalSymlinks(name)
		if err != nil {
			return cannotWrite(name, err)
		}
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is not a regular file")
		}
		if err == nil { // a file that may not be written is not replaced, though its directory would let us
			var file *os.File
			if file, err = os.OpenFile(path, os.O_WRONLY, 0); err == nil {
				err = file.Close()
			}
		}
		if err != nil {
			return cannotWrite(name, err)
		}
		tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
		if err != nil {
			return cannotWrite(name, err)
		}
		all = append(all, ready{tmp.Name(), path})
		_, err = tmp.Write(files[name])
		if err := errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Sync(), tmp.Close()); err != nil {
			return cannotWrite(name, err)
		}
	}
	for _, r := range all {
		if err := os.Rename(r.tmp, r.path); err != nil {
			return cannotWrite(r.path, err)
		}
	}
	return nil
}
