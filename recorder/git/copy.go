package git

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Up to these bounds the objects of a repository are copied as they lie. Picking out those of one commit takes longer: a pack that is written anew is summed up.
const (
	maxCopied = 64 << 20
	maxLoose  = 500
)

var errTooMany = errors.New("the repository is too large to be copied whole")

// copyObjects copies all objects of other directories, history and all, where that is cheap; else it copies nothing and fails with errTooMany. What is copied is not
// looked into.
func (s *Scratch) copyObjects(objectDirs []string) error {
	type file struct{ from, to string }
	var files []file
	left, loose := int64(maxCopied), 0
	for _, dir := range objectDirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			pack := e.Name() == "pack"
			if !e.IsDir() || !pack && (len(e.Name()) != 2 || !isHex(e.Name())) {
				continue
			}
			objects, err := os.ReadDir(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			for _, o := range objects {
				ext := filepath.Ext(o.Name())
				if !o.Type().IsRegular() || pack && ext != ".pack" && ext != ".idx" || !pack && (ext != "" || strings.HasPrefix(o.Name(), "tmp_")) {
					continue
				}
				info, err := o.Info()
				if err != nil {
					return err
				}
				if !pack {
					loose++
				}
				if left -= info.Size(); left < 0 || loose > maxLoose {
					return errTooMany
				}
				files = append(files, file{filepath.Join(dir, e.Name(), o.Name()), filepath.Join(s.Dir, "objects", e.Name(), o.Name())})
			}
		}
	}
	for _, f := range files {
		if err := copyObject(f.from, f.to); err != nil && !errors.Is(err, fs.ErrExist) { // two directories may have the same
			return err
		}
	}
	return nil
}

func copyObject(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
