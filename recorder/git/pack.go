package git

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Pack writes a pack of what commit reaches and tips do not, and gives the commits it builds on. Alone packs the one commit with all its
// files and no history. The pack is complete but for objects of the commits it builds on: not thin, and without bitmaps, which would leave
// out objects of their history too.
func (s *Scratch) Pack(ctx context.Context, w io.Writer, commit schema.ObjectID, tips []schema.ObjectID, alone bool) (builtOn []schema.ObjectID, err error) {
	var revs strings.Builder
	revs.WriteString(string(commit) + "\n")
	if alone {
		if err := s.CutHistory(commit); err != nil {
			return nil, err
		}
	} else {
		for _, t := range tips {
			if _, err := s.Run(ctx, nil, "cat-file", "-e", string(t)+"^{commit}"); err == nil {
				revs.WriteString("^" + string(t) + "\n")
			} else if ctx.Err() != nil {
				return nil, err
			}
		}
		out, err := s.Run(ctx, strings.NewReader(revs.String()), "rev-list", "--boundary", "--stdin")
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(string(out), "\n") {
			if id, ok := strings.CutPrefix(line, "-"); ok {
				oid, err := schema.ParseObjectID(id)
				if err != nil {
					return nil, err
				}
				builtOn = append(builtOn, oid)
			}
		}
	}
	return builtOn, s.Stream(ctx, strings.NewReader(revs.String()), w, "-c", "pack.threads=1", "pack-objects", "--revs", "--stdout", "--quiet", "--no-use-bitmap-index", "--delta-base-offset")
}

// PackFrom stores a commit with all its files out of the object directories of others: those objects alone, or all that are there where that is less work. It
// copies what is stored without looking into it: an object that is damaged, or is not what its id says, stays so, and one may be missing.
func (s *Scratch) PackFrom(ctx context.Context, objectDirs []string, commit schema.ObjectID) error {
	if s.copyObjects(objectDirs) == nil {
		return s.CutHistory(commit)
	}
	if err := s.borrowObjects(objectDirs); err != nil {
		return err
	}
	defer s.borrowObjects(nil)
	if err := s.CutHistory(commit); err != nil {
		return err
	}
	_, err := s.Run(ctx, strings.NewReader(string(commit)+"\n"), "-c", "pack.threads=1", "pack-objects", "--revs", "--quiet", "--no-use-bitmap-index", "--delta-base-offset",
		filepath.Join(s.Dir, "objects", "pack", "pack"))
	return err
}

// CutHistory makes commits look like ones without parents, as in a shallow clone.
func (s *Scratch) CutHistory(commits ...schema.ObjectID) error {
	path := filepath.Join(s.Dir, "shallow")
	old, _ := readSmall(path)
	lines := string(old)
	for _, c := range commits {
		if !strings.Contains(lines, string(c)) {
			lines += string(c) + "\n"
		}
	}
	os.Remove(path) // it may be a link to the repository's own
	return os.WriteFile(path, []byte(lines), 0o600)
}

// IndexPack stores the objects of a pack.
func (s *Scratch) IndexPack(ctx context.Context, pack io.Reader) error {
	_, err := s.Run(ctx, pack, "index-pack", "--stdin", "--fix-thin")
	return err
}

// Complete reports whether a commit is there with all its trees and files; its history does not matter.
func (s *Scratch) Complete(ctx context.Context, commit schema.ObjectID) bool {
	if _, err := s.Run(ctx, nil, "cat-file", "-e", string(commit)+"^{commit}"); err != nil {
		return false
	}
	if s.CutHistory(commit) != nil {
		return false
	}
	_, err := s.Run(ctx, strings.NewReader(string(commit)+"\n"), "rev-list", "--objects", "--quiet", "--stdin")
	return err == nil
}
