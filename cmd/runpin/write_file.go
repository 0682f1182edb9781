package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/runpin/runpin/schema"
)

// writeFile writes a file whole or not at all: to a temporary sibling, which is then renamed. A link is followed, and what is no regular file (a device,
// a pipe) is written to as it is.
func writeFile(path string, content []byte) error {
	fail := func(err error) error { return cannotWrite(path, err) }
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fail(err)
		}
		_, err = file.Write(content)
		if err := errors.Join(err, file.Close()); err != nil {
			return fail(err)
		}
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fail(err)
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(content); err != nil {
		closeQuietly(tmp)
		return fail(err)
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fail(err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fail(err)
	}
	return nil
}

func cannotWrite(path string, err error) error {
	return &schema.Error{Op: "write", Kind: schema.Unavailable, Subject: path, Err: err, Hint: "check that the directory exists, is writable and has room"}
}

// canWrite finds out before a run is written down whether a file that will be written after it has a place.
func canWrite(path string) error {
	if path == "" || path == "-" {
		return nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil {
		if info.IsDir() {
			return cannotWrite(path, errors.New("it is a directory"))
		}
		if !info.Mode().IsRegular() {
			return nil
		}
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".runpin-probe-*")
	if err != nil {
		return cannotWrite(path, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
